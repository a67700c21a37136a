"""What the tests of the data path share: the original's data sets, and small ones of our own."""

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from stylegan_tf.record_writer import RecordFormat, RecordWriter

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
    """Make a data set; returns its directory. Options are those of `RecordWriter`."""
    with RecordWriter(directory, len(images), **options) as writer:
        for image in images:
            writer.add_image(image)
        if labels is not None:
            writer.add_labels(labels)
    return directory


FORMATS = {
    "original": RecordFormat(),
    "shards": RecordFormat(shards=3),
    "png": RecordFormat("png", shards=2),
    "computed": RecordFormat("webp", levels="computed"),
}
IMAGES = noise(12, 16)


def make(directory, format, resume=None, stop=None, error=ZeroDivisionError):
    """Make a data set of `IMAGES` with a checkpoint after each one, or begin it: at image `stop` there is an error."""
    with RecordWriter(directory, len(IMAGES), {"source": "test"}, format, resume) as writer:
        for index in range(writer.count, len(IMAGES)):
            if index == stop:
                raise error
            writer.append("log.txt", b"%d\n" % index)
            writer.add_image(IMAGES[index])
            writer.checkpoint({"next": index + 1})
        writer.add_labels(np.eye(len(IMAGES)))
    return directory


def flip(path, position):
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


def open_on_full_disk(path, mode, *arguments, **options):
    """In place of `open`: every byte that reaches the disk is one too many."""
    return open("/dev/full" if mode.startswith("w") else path, mode, *arguments, **options)


def left_in(directory):
    """Everything in a directory, hidden files included: sorted names."""
    return sorted(path.name for path in directory.iterdir())
