"""Trains the classifiers of `metrics.classifiers` on the binary columns of a data set's labels, one after the other.

While networks are trained, each has a file in the hidden directory `.<name of the result>.parts`.
"""

import shutil
from dataclasses import asdict, dataclass, field

import numpy as np

from metrics.attribute_labels import held_out_images
from metrics.classifier_training import ClassifierTraining
from metrics.classifiers import save_classifiers
from metrics.images import NETWORK_SIZE
from stylegan_tf.arrays import writing


@dataclass(frozen=True)
class Recipe:
    """How classifiers are trained.

    Attributes:
        kimg: Thousand images shown to each network; None for as many as `minutes` allow.
        minutes: For all networks together, if `kimg` is None.
        minibatch: Images for one update.
        learning_rate: Of Adam, until the second half.
        held_out: Share of the images that no network is trained on.
        mirror: Flip each image with probability 1/2.
        seed: Decides weights, order, flips, and which images are held out.
        shared: One network with a logit for each attribute, in the time that one attribute takes; else one network an
            attribute, as in the paper, where none learns from the labels of another.
        resolution: Of the networks, in pixels.
        network: Further options of `Discriminator`. The minibatch stddev is off: a logit depends on its image alone.
    """

    kimg: float | None = 200.0
    minutes: float | None = None
    minibatch: int = 32
    learning_rate: float = 0.001
    held_out: float = 0.1
    mirror: bool = True
    seed: int = 0
    shared: bool = False
    resolution: int = NETWORK_SIZE
    network: dict = field(default_factory=lambda: {"mbstd_group_size": 0})


def train_classifiers(dataset, attributes, recipe, out, stop, say=print):
    """Trains one network after the other, or goes on with it, and writes all to one file at the end.

    Args:
        dataset: `RecordDataset`.
        attributes: {name: bool [images]}.
        recipe: `Recipe`.
        out: File to write, a `Path`.
        stop: `StopRequest`.
        say: Called with one line of text for each attribute that is learnt.

    Returns:
        {name: what `scores` says about the images held out}, or None if it was asked to stop; then the same call
        continues.

    Raises:
        ValueError: What is there already was trained otherwise, no image is left to train on, or a loss is not finite.
        OSError: A file cannot be written.
    """
    groups = [tuple(attributes)] if recipe.shared else [(name,) for name in attributes]
    if held_out_images(dataset.num_images, recipe.held_out, recipe.seed).all():
        raise ValueError(f"--held-out {recipe.held_out} leaves none of {dataset.num_images} images to train on")
    parts = out.with_name(f".{out.name}.parts")
    with writing(parts):
        parts.mkdir(parents=True, exist_ok=True)
    found, networks = {}, []
    for number, names in enumerate(groups):
        targets = np.stack([attributes[name] for name in names], axis=1)
        request = {"data": dataset.fingerprint(), "attributes": list(names), "recipe": asdict(recipe)}
        training = ClassifierTraining(dataset, targets, recipe, number, parts / f"{number:02d}.safetensors", request)
        if not training.run(stop, len(groups)):
            return None
        for name, result in zip(names, training.results, strict=True):
            found[name] = result
            say(_line(name, result))
        networks.append(training.network_in_float32())
    facts = {"recipe": asdict(recipe), "data": dataset.name, "images": dataset.num_images, "held out": found}
    save_classifiers(out, networks, groups, facts)
    shutil.rmtree(parts)
    return found


def _line(name, result):
    if result["accuracy"] is None:
        return f"{name}: no image was held out"
    balanced = "–" if result["balanced"] is None else f"{result['balanced']:.3f}"
    return (
        f"{name}: accuracy {result['accuracy']:.3f}, balanced {balanced}; "
        f"{100 * result['share']:.1f} % of the held-out images have it"
    )
