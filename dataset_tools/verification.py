"""Is every byte of a data set as it was written? And, if not: a new data set without what is damaged."""

import re
import shlex
from pathlib import Path

import numpy as np

from dataset_tools.progress import Progress
from dataset_tools.scanning import Damage, RecordScan, pixels_of
from stylegan_tf.record_format import RecordError
from stylegan_tf.record_levels import RecordFormat, encode_levels, lower_levels
from stylegan_tf.record_manifest import file_entry, read_manifest
from stylegan_tf.record_writer import RecordWriter
from stylegan_tf.records import load_labels

LISTED = 20  # damages that are printed one by one
LOSSY = 24  # gray levels that a lower level may be off on average where the encoding is lossy
NAME = re.compile(r".*-r(\d\d)(-\d{5}-of-\d{5})?\.tfrecords")
FORMAT = ("encoding", "quality", "levels", "shards")  # keys of the manifest that make a `RecordFormat`


class DatasetCheck:
    """Walks once through all files of a data set and compares everything that can be compared.

    Args:
        tfrecord_dir: Directory of a data set, complete or not.

    Attributes:
        damages: List of `Damage`, growing while `images` is iterated over.
        total: Number of images that the data set should have.
        format: The `RecordFormat`.

    Raises:
        ValueError: This is no data set.
    """

    def __init__(self, tfrecord_dir):
        self.directory = Path(tfrecord_dir)
        self.manifest = read_manifest(tfrecord_dir)
        self.format = RecordFormat(**{key: self.manifest[key] for key in FORMAT if key in self.manifest})
        self.damages = []
        paths = [path for path in sorted(self.directory.glob("*.tfrecords")) if NAME.fullmatch(path.name)]
        sizes = {int(NAME.fullmatch(path.name)[1]) for path in paths}
        if not sizes:
            raise ValueError(
                f"{tfrecord_dir} holds no NAME-rXX.tfrecords file; name a directory made by dataset_tool.py"
            )
        largest = max(sizes)
        wanted = [largest] if self.format.levels == "computed" else range(largest, 1, -1)
        self.levels = [[path for path in paths if int(NAME.fullmatch(path.name)[1]) == size] for size in wanted]
        self.total = self.manifest.get("images") or self._count_of_most()
        missing = [size for size, level in zip(wanted, self.levels, strict=True) if not level]
        self.damages += [Damage(self.directory, f"lacks the file for {2**size} pixels") for size in missing]

    def images(self):
        """All images in order.

        Yields:
            (uint8 [H, W, C] of the full resolution, or None if it is damaged;
            records of all levels, None for each that is damaged).
        """
        streams = [self._records(paths) for paths in self.levels]
        progress, shape, index = Progress(self.total), None, 0
        try:
            while any(entries := [next(stream, None) for stream in streams]):
                full = entries[0].pixels(self) if entries[0] else None
                if full is not None and full.shape != (shape or full.shape):
                    self.damages.append(entries[0].damage(f"has shape {list(full.shape)} and not {list(shape)}"))
                    full = None
                shape = full.shape if shape is None and full is not None else shape
                records = [None] * len(entries)
                if full is not None:
                    records = [entries[0].record, *self._check_lower(full, entries[1:])]
                yield full, records
                index += 1
                progress.show(index)
        finally:
            progress.clear()
        if index != self.total:
            self.damages.append(Damage(self.levels[0][0], f"and its other shards hold {index} of {self.total} images"))

    def check_other_files(self):
        """Compare labels and indices with their checksums; look for files that are gone."""
        for name, entry in self.manifest.get("files", {}).items():
            path = self.directory / Path(name).name
            if not path.is_file():
                self.damages.append(Damage(path, "is missing"))
            elif path.suffix != ".tfrecords" and file_entry(path) != entry:
                self.damages.append(Damage(path, "is damaged: its checksum differs"))
        try:
            if not np.isfinite(load_labels(self.directory, self.total)).all():
                self.damages.append(Damage(self.directory, "has labels that are no numbers"))
        except ValueError as error:
            self.damages.append(Damage(self.directory, f"has damaged labels: {error}"))

    def _count_of_most(self):
        """Number of images without a manifest: that which most levels have."""
        counts = [sum(sum(1 for _ in RecordScan(path)) for path in paths) for paths in self.levels]
        return max(counts, key=counts.count)

    def _records(self, paths):
        """Entries of one level, over all its shards."""
        for path in paths:
            size, shards = path.stat().st_size, len(paths)
            even = self.format.encoding == "raw" and shards == 1 and self.total and size % self.total == 0
            scan = RecordScan(path, stride=size // self.total if even else 0)
            for number, (offset, found) in enumerate(scan):
                if isinstance(found, Damage):
                    self.damages.append(found)
                    found = None
                yield _Entry(path, number, offset, found)
            entry = self.manifest.get("files", {}).get(path.name)
            if entry and entry != {"bytes": scan.size, "crc32c": scan.crc}:
                self.damages.append(Damage(path, "is not the file that was written: its checksum differs"))

    def _check_lower(self, full, entries):
        """Records of the lower levels, None for each that is not the mean of the one above."""
        planes = np.ascontiguousarray(full.transpose(2, 0, 1))
        records = []
        for entry, expected in zip(entries, lower_levels(planes), strict=False):
            found = entry.pixels(self) if entry else None
            good = found is not None and self._alike(found, expected.transpose(1, 2, 0))
            if found is not None and not good:
                self.damages.append(entry.damage("is not the mean of the level above"))
            records.append(entry.record if good else None)
        return records

    def _alike(self, found, expected):
        if found.shape != expected.shape:
            return False
        if self.format.encoding == "jpeg" or self.format.quality is not None:
            return np.abs(found.astype(np.int16) - expected).mean() <= LOSSY
        return np.array_equal(found, expected)


class _Entry:
    """One record of one level: where it is and, unless it is damaged, its bytes."""

    def __init__(self, path, number, offset, record):
        self.path, self.number, self.offset, self.record = path, number, offset, record

    def damage(self, what):
        return Damage(self.path, what, self.number, self.offset)

    def pixels(self, check):
        """The image, or None; a picture that cannot be decoded is noted."""
        if self.record is None:
            return None
        try:
            return pixels_of(self.record)
        except RecordError as error:
            check.damages.append(self.damage(f"is {error}"))
            return None


def verify(tfrecord_dir):
    """Checks all files, records, shapes and labels, and that every level is the mean of the one above.

    Prints each damage with its file, record and byte offset.

    Returns:
        Whether all is well.

    Raises:
        ValueError: This is no data set.
    """
    check = DatasetCheck(tfrecord_dir)
    lost = sum(full is None for full, _ in check.images())
    check.check_other_files()
    for damage in check.damages[:LISTED]:
        print(f"Damaged: {damage}")
    if len(check.damages) > LISTED:
        print(f"... and {len(check.damages) - LISTED:,} more")
    if not check.damages:
        print(f"{tfrecord_dir}: {check.total:,} images, all as they were written")
        return True
    print(f"{tfrecord_dir}: {len(check.damages):,} damages; {lost:,} of {check.total:,} images are lost")
    print(f"To keep the others: python dataset_tool.py verify {shlex.quote(str(tfrecord_dir))} --repair NEW_DIR")
    return False


def repair(tfrecord_dir, out_dir):
    """Makes a new data set of all images whose full resolution is good; damaged lower levels are computed anew.

    Good records are copied as they are, so nothing is compressed twice. The old data set is not touched.

    Args:
        tfrecord_dir: Data set with damages.
        out_dir: Directory to make.

    Raises:
        ValueError: There is no good image, the labels are damaged, or `out_dir` exists.
    """
    check = DatasetCheck(tfrecord_dir)
    check.check_other_files()
    if any(damage.path.suffix == ".labels" or "labels" in damage.what for damage in check.damages):
        raise ValueError(
            f"{tfrecord_dir} has damaged labels, which cannot be mended; put the file back, or make it again"
        )
    labels = load_labels(tfrecord_dir, check.total)
    description = {key: check.manifest[key] for key in ("source", "options", "label_names") if key in check.manifest}
    kept, dropped = [], []
    with RecordWriter(out_dir, check.total, description, check.format) as writer:
        for index, (full, records) in enumerate(check.images()):
            if full is None:
                dropped.append(index)
                continue
            if any(record is None for record in records):
                fresh = encode_levels(full, check.format)
                records = [new if old is None else old for old, new in zip(records, fresh, strict=True)]
            writer.add_records(full.shape, [bytes(record) for record in records])
            kept.append(index)
        if labels.shape[1]:
            writer.add_labels(labels[kept])
    shown = ", ".join(map(str, dropped[:LISTED])) + (", ..." if len(dropped) > LISTED else "")
    print(f"Complete: {out_dir}, {len(kept):,} images; dropped {len(dropped):,}{f': {shown}' if dropped else ''}")
