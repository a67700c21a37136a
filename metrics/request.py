"""What is asked for, and whether it can be done: everything that can be told before TensorFlow is loaded."""

import dataclasses
import difflib

from metrics.features import FEATURE_NETWORKS, PERCEPTUAL_DISTANCES, missing_weights
from metrics.fetch import fetch
from metrics.table import FEATURES, METRICS
from metrics.weights import WEIGHTS, find_weights
from stylegan_tf.progress_line import ProgressLine

MEGABYTE = 10**6
SMALLEST = 20  # images: with fewer no interval means anything


@dataclasses.dataclass(frozen=True)
class Settings:
    """What decides results beside network and data.

    Attributes:
        features: One of `table.FEATURES`: the published networks, or what stands in for them offline.
        num_images: Images, or paths, instead of the published numbers; None for those.
        mirror: Flip real images with probability 1/2, as the training did.
        seed: Decides latents, noise, coins and resamples.
        batch: Images at a time on each device; None for the original's. Path lengths depend on it a little, for the
            images of a minibatch share their noise.
    """

    features: str = "inception"
    num_images: int | None = None
    mirror: bool = False
    seed: int = 0
    batch: int | None = None


def check_request(names, settings, data, has_classifiers):
    """Refuse what cannot be computed, before anything is.

    Args:
        names: Names of metrics, keys of `METRICS`.
        settings: `Settings`.
        data: `RealData`, None if none was named.
        has_classifiers: Whether attribute classifiers were named.

    Raises:
        ValueError: A name or option is unknown, or the data set is too small; the message says what to do.
    """
    check_names(names)
    if settings.features not in FEATURES:
        raise ValueError(f"--features {settings.features}: choose one of {', '.join(FEATURES)}")
    for name in names:
        metric, count = METRICS[name], images_for(name, settings)
        if count < SMALLEST:
            raise ValueError(f"--num-images {count}: {name} needs {SMALLEST} or more")
        if metric.network == "classifiers" and not has_classifiers:
            raise ValueError(
                f"{name} needs classifiers of attributes: --attributes FILE, which train_attributes.py makes"
            )
        if metric.reals and data is None:
            raise ValueError(f"{name} compares with real images: name their directory with --data")
        if metric.reals == "distinct" and data.count < count:
            raise ValueError(
                f"{name} needs {count} different real images, and {data.directory} has {data.count}: add --num-images "
                f"{data.count}, or fewer"
            )


def check_names(names):
    """Raise a ValueError for a name that is no metric; it suggests what may have been meant."""
    for name in names:
        if name not in METRICS:
            close = difflib.get_close_matches(name, METRICS, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(METRICS)}"
            raise ValueError(f"{name!r} is no metric: {hint}")


def images_for(name, settings):
    """Number of images, or paths, that a metric is computed from."""
    return settings.num_images or METRICS[name].images


def networks_for(names, settings):
    """Names of the networks that metrics need: ({of features}, {of perceptual distances})."""
    needed = {METRICS[name].network: METRICS[name].network_with(settings.features) for name in names}
    distances = {needed.pop("lpips")} if "lpips" in needed else set()
    needed.pop("classifiers", None)
    return set(needed.values()), distances


def check_weights_present(needed, directory):
    """Raise a ValueError that names all weight files that are missing, each with the remedy.

    Args:
        needed: What `networks_for` returned.
        directory: Where they are looked for first; None for the user's cache.
    """
    if missing := missing_weights(sorted(set().union(*needed)), directory):
        raise ValueError("\n".join(missing))


def fetch_missing_weights(needed, directory):
    """Get the missing weight files from their publishers, one after the other; size and source are shown first.

    Args:
        needed: What `networks_for` returned.
        directory: Where they are looked for, and where they go; None for the user's cache.

    Raises:
        OSError: The network or the disk refuses.
        ValueError: What came is not the file.
    """
    networks = FEATURE_NETWORKS | PERCEPTUAL_DISTANCES
    for keys in dict.fromkeys(keys for name in sorted(set().union(*needed)) for keys in networks[name]):
        if not any(find_weights(key, directory) for key in keys):
            line = ProgressLine(WEIGHTS[keys[0]].file, WEIGHTS[keys[0]].size // MEGABYTE, "MB")
            fetch(keys[0], directory, show_progress=lambda size, _, line=line: line.show(size // MEGABYTE))
            line.clear()
