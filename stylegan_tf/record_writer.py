"""Writes data sets: complete under their name or not at all, and resumable in between.

    datasets/ffhq/ffhq-r10.tfrecords   1024x1024 ... ffhq-r02.tfrecords   4x4
    datasets/ffhq/ffhq-rxx.labels      float32 [images, label_size], a .npy stream; only if there are labels
    datasets/ffhq/dataset.json         what is in there, for people and for us; other readers ignore it

With shards ffhq-r10-00000-of-00008.tfrecords and so on; with compression ffhq-r10.index.npy, where each record begins.
"""

import contextlib
import dataclasses
import io
import json
import time

import numpy as np

from stylegan_tf.record_levels import ORIGINAL, RecordFormat, check_image, describe, encode_levels
from stylegan_tf.record_manifest import MANIFEST, index_name, labels_name, manifest_text, records_name, shard_starts
from stylegan_tf.record_partial import GrowingFile, Journal, PartialDirectory, write_file

__all__ = ["RecordFormat", "RecordWriter", "encode_levels"]

REMEMBER_SECONDS = 0.2  # between two checkpoints in memory
JOURNAL_SECONDS = 5  # between two on the disk
LENGTHS = ".lengths"  # of the records in a file, int64; becomes its index


class RecordWriter:
    """Writes a data set; it appears under its name when the `with` block ends well, and not before.

    The same images and labels give the same bytes, interrupted or not. After an error or an interruption nothing is
    left, unless `checkpoint` was called: then the hidden directory `.NAME.partial` waits for `resume`.

    Args:
        tfrecord_dir: Directory to make; its last part names the files.
        expected_images: Number of images that will come; fewer may come, which leaves the last shards shorter.
        description: JSON-able facts for `dataset.json`; may be changed until the end of the block.
        format: A `RecordFormat`.
        resume: What `resumable` returned, to go on behind image number `resume.count`. None starts anew; what another
            writer left is removed.

    Attributes:
        count: Number of images written.
        shape: (H, W, C), None before the first image.
        label_size: Number of label components.

    Raises:
        ValueError: The directory exists already, another process is writing it, or `resume` began with other options.
        OSError: It cannot be written.
    """

    def __init__(self, tfrecord_dir, expected_images, description=None, format=ORIGINAL, resume=None):
        self.partial = PartialDirectory(tfrecord_dir)
        self.directory = self.partial.directory
        self.expected_images, self.format, self.resume = expected_images, format, resume
        self.description = dict(description or {})
        self.shape, self.count, self.label_size = None, 0, 0
        self.files = {}  # name: (bytes, CRC-32C) of what is complete
        self.open_files = {}  # name: `GrowingFile` of the shard at hand
        self.remembered, self.remembered_at, self.journaled_at = resume, -np.inf, time.monotonic()
        self.starts = shard_starts(max(expected_images, format.shards), format.shards)
        if format.shards > max(expected_images, 1):
            raise ValueError(f"{format.shards} shards are too many for {expected_images} images; choose fewer")
        if resume and (resume.expected_images, resume.format) != (expected_images, format):
            raise ValueError(
                f"{self.directory} was begun as {resume.expected_images} images in {resume.format}, and cannot go on "
                f"as {expected_images} in {format}; use the same options, or start again"
            )

    @staticmethod
    def resumable(tfrecord_dir):
        """The `Journal` of an interrupted writer, with `count`, `expected_images`, `format` and `state`; or None.

        Raises:
            ValueError: It is damaged.
        """
        return PartialDirectory(tfrecord_dir).journal()

    def add_image(self, image, name="image"):
        """Append one image, uint8 [H, W, C], to every level.

        Raises:
            ValueError: The image is not usable (see `encode_levels`) or unlike the first; it is called by `name`.
        """
        image = np.asarray(image)
        check_image(image, self.format, name)
        self._check_shape(image.shape, name)
        self.add_records(image.shape, encode_levels(image, self.format, name), name)

    def add_records(self, shape, records, name="image", position=None):
        """Append one image as `encode_levels` made it.

        Args:
            shape: (H, W, C) of the image.
            records: One for each level that is stored, full resolution first.
            name: What to call the image in an error.
            position: Where it would stand if no image were left out, which decides its shard: so shards stay even, and
                each can be made without the others. None: `count`.

        Raises:
            ValueError: The image is unlike the first.
        """
        self._check_shape(shape, name)
        self.shape = tuple(shape)
        position = self.count if position is None else position
        shard = min(int(np.searchsorted(self.starts, position, "right")) - 1, self.format.shards - 1)
        names = self._names(shard)
        if len(records) != len(names):
            raise ValueError(f"{name} has {len(records)} records, but its levels are {len(names)}")
        if names[0] not in self.open_files:
            self._close_files()
            self._open_files(names if self.format.encoding == "raw" else [*names, *(name + LENGTHS for name in names)])
        for level, record in zip(names, records, strict=True):
            self.open_files[level].append(record)
            if self.format.encoding != "raw":
                self.open_files[level + LENGTHS].append(np.int64(len(record)).tobytes())
        self.count += 1

    def add_labels(self, labels):
        """Write the labels, float32 [images, label_size], in the order of the images, after the last image."""
        labels = np.asarray(labels, np.float32)
        if labels.ndim != 2 or len(labels) != self.count:
            raise ValueError(f"labels of shape {list(labels.shape)} do not go with {self.count} images")
        self.label_size = labels.shape[1]
        self._write(labels_name(self.directory.name), _npy(labels))

    def append(self, name, data):
        """Append bytes to a file of the caller's beside the records; it is resumed, listed and checked like those."""
        if name not in self.open_files:
            self._open_files([name])
        self.open_files[name].append(data)

    def checkpoint(self, state=None):
        """Remember that everything so far can be resumed; cheap enough to call after every image.

        Every few seconds, and when the `with` block is interrupted, the last checkpoint goes into the journal.

        Args:
            state: JSON-able; comes back as `state` of the `Journal`.
        """
        now = time.monotonic()
        if self.count == 0 or now < self.remembered_at + REMEMBER_SECONDS:
            return
        files = self.files | {name: (file.size, file.crc) for name, file in self.open_files.items()}
        state = json.loads(json.dumps(state or {}))  # a copy, and no surprise when it is written
        self.remembered = Journal(self.expected_images, self.format, self.shape, self.count, files, state)
        self.remembered_at = now
        if now >= self.journaled_at + JOURNAL_SECONDS:
            self._write_journal()

    def __enter__(self):
        self.partial.claim()
        try:
            self._go_on() if self.resume else self.partial.clear()
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(self, kind, error, traceback):
        published = False
        try:
            if kind is None:
                self._finish()
                published = True
        finally:
            if published:
                self.partial.release()
            else:
                self._abandon()

    def _check_shape(self, shape, name):
        if self.shape is not None and tuple(shape) != self.shape:
            raise ValueError(f"{name} is {describe(shape)}, but the first image was {describe(self.shape)}")

    def _names(self, shard):
        """Files of one shard, one for each level that is stored, full resolution first."""
        prefix, shards = self.directory.name, self.format.shards
        return [records_name(prefix, size, shard, shards) for size in self.format.resolutions(self.shape[0])]

    def _open_files(self, names):
        for name in names:
            self.open_files[name] = GrowingFile(self.partial.path / name, *self.files.get(name, ()))

    def _close_files(self):
        """Complete the shard at hand."""
        for name, file in list(self.open_files.items()):
            file.to_disk()
            file.close()
            self.files = {**self.files, name: (file.size, file.crc)}  # a new one: checkpoints keep the old one
            del self.open_files[name]

    def _write(self, name, data):
        entry = write_file(self.partial.path / name, data)
        self.files = {**self.files, name: (entry["bytes"], entry["crc32c"])}

    def _write_journal(self):
        for file in self.open_files.values():
            file.to_disk()
        self.partial.write_journal(self.remembered)
        self.journaled_at = time.monotonic()

    def _go_on(self):
        """Put everything back to where the journal says."""
        self.partial.rewind(self.resume)
        self.shape, self.count, self.files = self.resume.shape, self.resume.count, dict(self.resume.files)

    def _abandon(self):
        """After an error: keep what can be resumed, or leave nothing."""
        if self.remembered is not None:
            with contextlib.suppress(OSError):  # a full disk: the journal before this one still holds
                self._write_journal()
        for file in self.open_files.values():
            with contextlib.suppress(OSError):
                file.close()
        if not self.partial.has_journal():
            self.partial.remove()
        self.partial.release()

    def _finish(self):
        if self.count == 0:
            raise ValueError(f"{self.directory}: no images, no data set")
        self._close_files()
        for shard in range(self.format.shards):
            for name in self._names(shard):
                if name not in self.files:  # fewer images came than expected
                    self._write(name, b"")
        obsolete = [name for name in self.files if name.endswith(LENGTHS)]
        for name in obsolete:
            lengths = np.fromfile(self.partial.path / name, np.int64)
            self._write(index_name(name.removesuffix(LENGTHS)), _npy(np.cumsum([0, *lengths])))
        facts = {"images": self.count, "shape": list(self.shape), "label_size": self.label_size}
        entries = {
            name: {"bytes": size, "crc32c": crc} for name, (size, crc) in self.files.items() if name not in obsolete
        }
        text = manifest_text(facts | dataclasses.asdict(self.format), self.description, entries)
        write_file(self.partial.path / MANIFEST, text.encode())
        self.partial.publish(obsolete)


def _npy(array):
    """An array as the bytes of an .npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
