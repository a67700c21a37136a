"""What the tests of the data path share: the original's data sets, and small ones of our own."""

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from stylegan_tf.records import RecordWriter

GOLDEN = Path(__file__).parent / "golden" / "dataset_tool"


@functools.cache
def expected():
    """What the original's reader gave for the data sets in `GOLDEN`: {name: array}, images NCHW."""
    with np.load(GOLDEN.parent / "dataset_expected.npz") as file:
        return dict(file)


def pictures(folder):
    """The PNGs of a folder in `GOLDEN`, uint8 [n, H, W, C]."""
    images = [np.array(Image.open(path)) for path in sorted((GOLDEN / folder).glob("*.png"))]
    return np.stack(images).reshape(len(images), *images[0].shape[:2], -1)


def noise(count, size=8, channels=3, seed=0):
    """uint8 [count, size, size, channels]"""
    return np.random.RandomState(seed).randint(0, 256, [count, size, size, channels], np.uint8)


def write(directory, images, labels=None, **options):
    """Make a data set; returns its directory."""
    with RecordWriter(directory, len(images), **options) as writer:
        for image in images:
            writer.add_image(image)
        if labels is not None:
            writer.add_labels(labels)
    return directory


def flip(path, position):
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


def open_on_full_disk(path, mode):
    """In place of `open`: every byte that reaches the disk is one too many."""
    return open("/dev/full", mode)


def left_in(directory):
    """Everything in a directory, hidden files included: sorted names."""
    return sorted(path.name for path in directory.iterdir())
