"""Reads data sets: the original's, and all that `record_writer` writes, by level of detail."""

import re
from pathlib import Path

import numpy as np

from stylegan_tf.record_file import RecordFile
from stylegan_tf.record_format import RecordError
from stylegan_tf.record_levels import level_of
from stylegan_tf.record_manifest import MANIFEST, read_manifest

__all__ = ["ComputedLevel", "RecordError", "StoredLevel", "load_labels", "open_levels"]

SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})")


class StoredLevel:
    """All images at one resolution, in one file or in several, one after the other.

    Args:
        paths: The files.

    Attributes:
        shape: (C, H, W).
        resolution: H.
        name: What to call it in an error: a file.

    Raises:
        RecordError: A file is damaged, or all are empty.
        ValueError: The files disagree.
    """

    def __init__(self, paths):
        paths = [path for path in paths if path.stat().st_size] or paths[:1]  # shards may be empty, but not all
        self.files = [RecordFile(path) for path in paths]
        self.name, self.shape = str(paths[0]), self.files[0].shape
        self.resolution = self.shape[1]
        self.starts = np.cumsum([0, *map(len, self.files)])
        for file in self.files:
            if file.shape != self.shape:
                raise ValueError(f"{file.path} has images of {list(file.shape)}, but {self.name} of {list(self.shape)}")

    def __len__(self):
        return int(self.starts[-1])

    def locate(self, index):
        """Where an image is: (`RecordFile`, number of the record in it)."""
        if not 0 <= index < len(self):
            raise IndexError(f"there is no image {index}, only 0 to {len(self) - 1}")
        shard = int(np.searchsorted(self.starts, index, "right")) - 1
        return self.files[shard], int(index - self.starts[shard])

    def read(self, indices):
        """Images uint8 [len(indices), H, W, C].

        Raises:
            RecordError: A record is damaged; file, record and byte offset are named.
        """
        channels, height, width = self.shape
        images = np.empty([len(indices), height, width, channels], np.uint8)
        for index, image in zip(indices, images, strict=True):
            file, record = self.locate(index)
            file.read_into(record, image)
        return images


class ComputedLevel:
    """All images at a resolution that is not stored: cells of larger ones averaged, as where it is stored.

    Args:
        stored: The `StoredLevel` to compute from.
        resolution: A smaller one, in pixels.

    Attributes: as those of `StoredLevel`.
    """

    def __init__(self, stored, resolution):
        self.stored, self.resolution, self.name = stored, resolution, stored.name
        self.shape = (stored.shape[0], resolution, resolution)
        self.level = stored.resolution.bit_length() - resolution.bit_length()

    def __len__(self):
        return len(self.stored)

    def read(self, indices):
        """Images uint8 [len(indices), H, W, C]; errors as `StoredLevel.read`."""
        images = np.empty([len(indices), *self.shape[1:], self.shape[0]], np.uint8)
        for row, index in enumerate(indices):
            planes = np.ascontiguousarray(self.stored.read([index])[0].transpose(2, 0, 1))
            images[row] = level_of(planes, self.level).transpose(1, 2, 0)
        return images


def open_levels(tfrecord_dir, resolution=None):
    """The images of a data set, by level.

    Args:
        tfrecord_dir: Directory of a data set.
        resolution: Full resolution to use, in pixels; larger images are ignored. None for the largest there is.

    Returns:
        List of `StoredLevel` and `ComputedLevel`, from the full resolution (level 0) down to 4x4.

    Raises:
        ValueError: No such data set, a level is missing, or the files disagree; directory or file is named.
    """
    directory = Path(tfrecord_dir)
    paths = sorted(directory.glob("*.tfrecords")) if directory.is_dir() else []
    if not paths:
        what = "holds no .tfrecords file" if directory.is_dir() else "is no directory"
        raise ValueError(f"{directory} {what}; make a data set with dataset_tool.py")
    manifest = read_manifest(directory)
    _check_sizes(directory, manifest)
    stored = _stored_levels(paths)
    largest = max(stored)
    levels = []
    top = resolution or largest
    while top >= 4:
        if top in stored:
            levels.append(stored[top])
        elif manifest.get("levels") == "computed" and top < largest:
            levels.append(ComputedLevel(stored[largest], top))
        elif not levels:
            raise ValueError(f"{directory} has no images of {top} pixels, only {', '.join(map(str, sorted(stored)))}")
        else:
            raise ValueError(f"{directory} lacks the file for {top} pixels; make the data set again")
        top //= 2
    _check_agreement(directory, levels, manifest)
    return levels


def _stored_levels(paths):
    """{resolution: `StoredLevel`} of the files of a data set."""
    groups = {}
    for path in paths:
        name, shard, shards = match.groups() if (match := SHARD.fullmatch(path.stem)) else (path.stem, "0", "1")
        groups.setdefault((name, int(shards)), {})[int(shard)] = path
    levels = {}
    for (name, shards), files in groups.items():
        if missing := set(range(shards)) - set(files):
            gone = f"{name}-{min(missing):05d}-of-{shards:05d}.tfrecords"
            raise ValueError(f"{paths[0].parent} lacks {gone}; copy the data set again, or make it again")
        level = StoredLevel([files[shard] for shard in sorted(files)])
        if level.shape[1] != level.shape[2]:
            raise ValueError(f"{level.name}: images must be square, not {list(level.shape)} (channels, height, width)")
        if level.resolution in levels:
            other = levels[level.resolution].name
            raise ValueError(f"{other} and {level.name} have the same resolution; keep one of them")
        levels[level.resolution] = level
    return levels


def _check_sizes(directory, manifest):
    """Compare the sizes of the files with those that were written."""
    for name, entry in manifest.get("files", {}).items():
        path = directory / Path(name).name
        if path.is_file() and path.stat().st_size != entry["bytes"]:
            raise RecordError(
                f"{path} has {path.stat().st_size} bytes, but {entry['bytes']} were written; find what is damaged with "
                "dataset_tool.py verify, or make the data set again"
            )


def _check_agreement(directory, levels, manifest):
    """Refuse levels that do not hold the same images."""
    for level in levels[1:]:
        if (level.shape[0], len(level)) != (levels[0].shape[0], len(levels[0])):
            raise ValueError(
                f"{level.name} has {len(level)} images of {level.shape[0]} channels, but {levels[0].name} has "
                f"{len(levels[0])} of {levels[0].shape[0]}; make the data set again"
            )
    if len(levels[0]) != manifest.get("images", len(levels[0])):
        raise ValueError(
            f"{directory} has {len(levels[0])} images, but {manifest['images']} by its {MANIFEST}; make it again"
        )


def load_labels(tfrecord_dir, num_images):
    """Labels of a data set, float32 [num_images, label_size]; label_size 0 if it has none.

    Raises:
        ValueError: The file of labels is damaged or too short; it is named.
    """
    paths = sorted(Path(tfrecord_dir).glob("*.labels"))
    if not paths:
        return np.zeros([num_images, 0], np.float32)
    try:
        with open(paths[0], "rb") as file:
            labels = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{paths[0]} is no file of labels: {error}") from error
    if labels.ndim != 2 or len(labels) < num_images:
        raise ValueError(f"{paths[0]} has labels of shape {list(labels.shape)} for {num_images} images")
    return labels[:num_images].astype(np.float32)
