"""MNIST: handwritten digits, 28x28 gray, in the IDX files that its authors publish.

An IDX file is a header of big-endian 32-bit numbers, the magic number and the length of each axis, and then the bytes.
Fashion-MNIST and KMNIST come in the same files.
"""

import gzip
import struct
import zlib

import numpy as np

from dataset_tools.errors import DatasetError
from dataset_tools.published import PixelSource, count_notes, find_file, one_hot, stamp_of, unreadable

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
MAGIC = {1: 0x801, 3: 0x803}  # by number of axes: 8 for bytes, then that number
SIZE, PADDING = 28, 2  # pixels; 2 on every side make it 32
PUBLISHED = 60000
REMEDY = (
    f"download {IMAGES}.gz and {LABELS}.gz from http://yann.lecun.com/exdb/mnist/ (the original page), or from its "
    "mirrors https://storage.googleapis.com/cvdf-datasets/mnist/ and https://ossci-datasets.s3.amazonaws.com/mnist/, "
    "into that folder"
)
DEFLATE = 1032  # bytes that one compressed byte can become at most


def mnist(mnist_dir):
    """The digits in black, 0 around them, with their classes: uint8 [32, 32, 1], 10 labels.

    Unlike the original, which wants exactly 60000 pictures, it takes as many as there are and notes another number.

    Args:
        mnist_dir: Folder with the files of the training set, compressed or not.

    Raises:
        DatasetError: A file is missing, damaged, or not of this data set.
    """
    paths = [_find(mnist_dir, name) for name in (IMAGES, LABELS)]
    images = _padded_digits(paths[0])
    classes = _read_idx(paths[1], axes=1)
    if len(classes) != len(images):
        raise DatasetError(f"{paths[1]} has {len(classes)} labels, but {paths[0]} {len(images)} pictures; {REMEDY}")
    return PixelSource(
        images[..., np.newaxis],
        paths[0].name,
        stamp_of(paths),
        one_hot(classes, 10, paths[1]),
        [str(digit) for digit in range(10)],
        count_notes(len(images), PUBLISHED, "MNIST"),
    )


def mnist_rgb(mnist_dir, num_images=1000000, random_seed=123):
    """Three digits at random as the channels of one picture: uint8 [32, 32, 3], no labels.

    Args:
        mnist_dir: Folder with the pictures of the training set.
        num_images: Pictures to make.
        random_seed: The same one draws the same digits as the original.

    Raises:
        DatasetError: The file is missing, damaged, or not of this data set.
        ValueError: An option is out of range.
    """
    if num_images < 1:
        raise ValueError(f"--num-images must be at least 1, not {num_images}")
    if not 0 <= random_seed < 2**32:
        raise ValueError(f"--random-seed must be from 0 to {2**32 - 1}, not {random_seed}")
    path = _find(mnist_dir, IMAGES)
    return StackedDigits(_padded_digits(path), path, num_images, random_seed)


class StackedDigits(PixelSource):
    """Pictures of three digits each, put together when asked for; see `mnist_rgb`."""

    def __init__(self, digits, path, num_images, random_seed):
        # all draws at once: the same numbers as three for each picture, one picture after another
        self.chosen = np.random.RandomState(random_seed).randint(len(digits), size=[num_images, 3])
        notes = count_notes(len(digits), PUBLISHED, "MNIST")
        super().__init__(self.chosen, "picture", stamp_of([path]), notes=notes)
        self.digits = digits

    def __getitem__(self, index):
        """uint8 [32, 32, 3]."""
        return np.stack(self.digits[self.chosen[index]], axis=-1)


def _find(mnist_dir, name):
    return find_file(mnist_dir, [f"{name}.gz", name], REMEDY)


def _padded_digits(path):
    """uint8 [N, 32, 32]."""
    images = _read_idx(path, axes=3)
    if not len(images) or images.shape[1:] != (SIZE, SIZE):
        found = " x ".join(str(length) for length in images.shape)
        raise DatasetError(f"{path} holds {found} values, not pictures of {SIZE}x{SIZE} pixels; {REMEDY}")
    return np.pad(images, [(0, 0), (PADDING, PADDING), (PADDING, PADDING)])


def _read_idx(path, axes):
    """uint8 array of an IDX file with a certain number of axes."""
    try:
        with open(path, "rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if compressed else open(path, "rb") as file:
            header = file.read(4 * (1 + axes))
            if len(header) < 4 * (1 + axes):
                raise DatasetError(f"{path} is cut short: it has no header; {REMEDY}")
            magic, *shape = struct.unpack(f">{1 + axes}I", header)
            if magic != MAGIC[axes]:
                raise DatasetError(f"{path} begins with {magic}, not with {MAGIC[axes]} as this file should; {REMEDY}")
            size = int(np.prod(shape, dtype=object))
            if size > path.stat().st_size * DEFLATE:
                raise DatasetError(f"{path} is cut short or damaged: it announces {size} bytes; {REMEDY}")
            data = file.read(size + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is damaged ({error}); {REMEDY}") from error
    except OSError as error:
        raise unreadable(path, error) from error
    if len(data) != size:
        found = "more" if len(data) > size else len(data)
        raise DatasetError(f"{path} should hold {size} bytes after its header, and holds {found}; {REMEDY}")
    return np.frombuffer(data, np.uint8).reshape(shape)
