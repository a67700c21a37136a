"""What the readers of published data sets share: pixels that fit into memory, numbered names, class labels."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dataset_tools.errors import DatasetError


class NumberedNames(Sequence):
    """The names "FILE[0]", "FILE[1]", ... without a list of them."""

    def __init__(self, where, count):
        self.where, self.numbers = where, range(count)

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        return f"{self.where}[{self.numbers[index]}]"


class PixelSource:
    """Pictures whose pixels are in memory.

    Args:
        images: uint8 [N, H, W, C].
        where: What the pictures are called: a file or folder.
        stamp: Identity of the input.
        labels: float32 [N, k]; None for no labels.
        label_names: k names, or [].
        notes: Lines to be said at the end.
    """

    def __init__(self, images, where, stamp, labels=None, label_names=(), notes=()):
        self.images = images
        self.names = NumberedNames(where, len(images))
        self.stamp = stamp
        self.labels = np.zeros([len(images), 0], np.float32) if labels is None else labels
        self.label_names = list(label_names)
        self._notes = list(notes)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        """uint8 [H, W, C]."""
        return np.ascontiguousarray(self.images[index])

    def notes(self):
        return self._notes


def one_hot(classes, count, where):
    """Whole numbers [N] from 0 to `count` - 1 to float32 [N, count].

    Raises:
        DatasetError: A class is out of range.
    """
    classes = np.asarray(classes, np.int64)
    outside = np.flatnonzero((classes < 0) | (classes >= count))
    if outside.size:
        number = outside[0]
        raise DatasetError(
            f"{where} gives picture {number} the class {classes[number]}, and classes go from 0 to {count - 1}; "
            "the file is damaged or belongs to another data set"
        )
    return np.eye(count, dtype=np.float32)[classes]


def find_file(directory, names, remedy):
    """The first of some files that is in a folder.

    Raises:
        DatasetError: None is there. `remedy` says where to get them.
    """
    for name in names:
        path = Path(directory) / name
        if path.is_file():
            return path
    raise DatasetError(f"{directory} does not hold {' or '.join(names)}; {remedy}")


def unreadable(path, error):
    """A DatasetError for a file that the system does not give."""
    reason = getattr(error, "strerror", None) or error
    return DatasetError(f"{path} cannot be read ({reason}); check the path and its permissions")


def stamp_of(paths):
    """Identity of some files by their names, sizes and times: a text that changes when they do."""
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in map(Path, paths)]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def count_notes(found, published, name):
    """A line about a data set that has fewer or more pictures than the published one; no line if it has as many."""
    return [] if found == published else [f"{found} pictures; {name} as published has {published}"]
