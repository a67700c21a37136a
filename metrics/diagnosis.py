"""What the report is made of: numbers about the single images of a generator, and its quality against truncation."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from metrics.fid import frechet_distance
from metrics.neighbours import density_and_coverage, nearest, radii, realism
from metrics.precision_recall import share_inside
from metrics.sampling import as_rgb
from metrics.statistics import FeatureStatistics
from stylegan_tf.figures import images_from_seeds, latents_from_seeds
from stylegan_tf.images import enlarge
from stylegan_tf.progress_line import ProgressLine
from stylegan_tf.records import load_labels

MAX_REALS = 10_000  # real images whose neighbourhoods are known, and that are read if no features are given
MAX_QUERIES = 2000  # of these, those whose distance to the next is shown
NEIGHBOURS = 3  # k of precision, recall and realism; and real images shown beside a sample
CLOSE = 1  # percentile of the distances among real images below which a sample is closer than reals are


class Samples:
    """Generated images by number: sample n is what generate_images.py makes of the seed `first` + n.

    A network with labels gets those of randomly chosen real images. One that is still growing gives images of the size
    that it has reached, their pixels repeated up to the full one, as for the metrics.

    Args:
        subject: `metrics.gathering.Subject`.
        data: `metrics.reals.RealData`.
        count: Number of samples, N.
        first: First seed.
        batch_size: Images computed at a time.

    Attributes:
        can_truncate: Whether the network has a truncation.
        labels: float32 [N, label_size]; None for a network without labels, or with others than the data set.
        data_labels: Those of the real images, [M, any size].

    Raises:
        ValueError: Images of the network and of the data set differ in form, or the network is broken.
    """

    def __init__(self, subject, data, count, first, batch_size):
        data.check_fits(subject.generator, subject.name)
        self.generator, self.level, self.fade = subject.generator, subject.level, subject.fade
        self.count, self.first, self.batch_size = count, first, batch_size
        self.can_truncate = hasattr(self.generator, "truncate")
        self.data_labels, self.labels = load_labels(data.directory, data.count), None
        if self.generator.label_size and self.generator.label_size == self.data_labels.shape[1]:
            self.labels = self.data_labels[np.random.default_rng(first).integers(data.count, size=count)]
        latents = latents_from_seeds(range(first, first + min(count, batch_size)), self.generator.latent_size)
        if not np.isfinite(self.generator(latents, level=self.level, fade=self.fade, truncation_psi=None)).all():
            raise ValueError(f"{subject.name}: its images hold NaN or infinity; use an earlier snapshot")

    def pictures(self, numbers, psi=None, labels=None):
        """Yields uint8 [R, R, C] for each of some samples.

        Args:
            numbers: Which samples.
            psi: Truncation; None for none.
            labels: [n, label_size] instead of their own.
        """
        if labels is None and self.labels is not None:
            labels = self.labels[np.asarray(numbers)]
        seeds = [self.first + int(number) for number in numbers]
        options = dict(level=self.level, fade=self.fade, batch_size=self.batch_size)
        for picture in images_from_seeds(self.generator, seeds, labels, psi, **options):
            yield enlarge(picture, 2**self.level)


@dataclass(frozen=True)
class Diagnosis:
    """Numbers of the report; N samples, M real images, K = `NEIGHBOURS`.

    Attributes:
        distances: To the nearest real images, [N, K].
        numbers: Which these are, [N, K].
        real_distances: From real images to their nearest other, [n].
        realism: Of each sample, [N].
        untruncated: Of all samples, by their names: "distance" (Fréchet), "precision", "recall", "density", "coverage".
        curve: The same for each "psi"; empty for a network without truncation.
    """

    distances: np.ndarray
    numbers: np.ndarray
    real_distances: np.ndarray
    realism: np.ndarray
    untruncated: dict
    curve: list

    @property
    def is_twin(self):
        """Which of the `real_distances` are those of images that the data set has twice, or nearly so: bool [n]."""
        return self.real_distances < np.median(self.real_distances) / 100

    @property
    def close(self):
        """Distance below which a sample is closer to a real image than 99 % of real images are to others; no twins."""
        return float(np.percentile(self.real_distances[~self.is_twin], CLOSE))

    @property
    def close_share(self):
        """Share of the samples that are that close."""
        return float((self.distances[:, 0] < self.close).mean())

    @property
    def distance_ratio(self):
        """Median distance of samples to their nearest real image, over that of real images."""
        usual = float(np.median(self.real_distances))
        return float(np.median(self.distances[:, 0])) / usual if usual else float("inf")


def diagnose(samples, data, features, real_features, psis):
    """Compute a `Diagnosis`.

    Args:
        samples: `Samples`.
        data, features, real_features, psis: As for `report.write_report`.
    """
    network = tf.function(features.model), features.width
    if real_features is None:
        count = min(data.count, MAX_REALS)
        images = (data.level.read([number])[0] for number in range(count))
        real_features = feature_rows(*network, images, count, samples.batch_size, "Real images")
    reals = _Reals(real_features)
    curve, psis = [], sorted({*psis, 1.0}) if samples.can_truncate else [1.0]
    for psi in psis:
        pictures = samples.pictures(range(samples.count), psi if samples.can_truncate else None)
        found = feature_rows(*network, pictures, samples.count, samples.batch_size, f"Samples, psi {psi:g}")
        curve.append({"psi": psi, **reals.judge(found)})
        if psi == 1:
            fakes, numbers_of_all = found, curve[-1]
    distances, numbers = nearest(fakes, real_features, NEIGHBOURS)
    queries = np.unique(np.linspace(0, len(real_features) - 1, MAX_QUERIES).astype(int))
    return Diagnosis(
        distances=distances,
        numbers=numbers,
        real_distances=nearest(np.asarray(real_features[queries]), real_features, 1, queries)[0][:, 0],
        realism=realism(fakes, reals.pool, reals.reach),
        untruncated=numbers_of_all,
        curve=curve if samples.can_truncate else [],
    )


def feature_rows(network, width, pictures, count, batch_size, what):
    """Features of pictures that come one by one.

    Args:
        network: float32 [n, H, W, 3] with values in [0, 255] to features [n, D], compiled.
        width: D.
        pictures: Iterable of `count` uint8 [H, W, C].
        count: N.
        batch_size: Pictures at a time.
        what: What to call them on the line of progress.

    Returns:
        float32 [N, D].

    Raises:
        ValueError: A feature is not finite.
    """
    line = ProgressLine(what, count)
    rows, batch = np.empty([count, width], np.float32), []
    for number, picture in enumerate(pictures, start=1):
        batch.append(picture)
        if len(batch) == batch_size or number == count:
            images = as_rgb(tf.cast(np.stack(batch), tf.float32))
            rows[number - len(batch) : number] = network(images).numpy()
            batch = []
            line.show(number)
    line.clear()
    if not np.isfinite(rows).all():
        raise ValueError(f"{what}: features contain NaN or infinity: the generator or the feature network is broken")
    return rows


def evenly(rows, count):
    """At most `count` of some rows, evenly spread."""
    if len(rows) <= count:
        return np.asarray(rows)
    return np.asarray(rows[np.linspace(0, len(rows) - 1, count).astype(int)])


class _Reals:
    """What is known of the real images: mean and covariance of all, neighbourhoods of some."""

    def __init__(self, features):
        statistics = FeatureStatistics()
        for start in range(0, len(features), 1024):
            statistics.add(features[start : start + 1024])
        self.mean, self.covariance = statistics.mean, statistics.covariance
        self.pool = evenly(features, MAX_REALS)
        self.reach = radii(self.pool, NEIGHBOURS)

    def judge(self, fakes):
        """Numbers about all samples together: a row of the curve."""
        statistics = FeatureStatistics()
        statistics.add(fakes)
        density, covered = density_and_coverage(fakes, self.pool, self.reach, NEIGHBOURS)
        return {
            "distance": frechet_distance(self.mean, self.covariance, statistics.mean, statistics.covariance),
            "precision": float((density > 0).mean()),
            "recall": share_inside(self.pool, fakes, NEIGHBOURS),
            "density": float(density.mean()),
            "coverage": float(covered.mean()),
        }
