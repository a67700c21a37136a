"""Random access to the records of one file."""

from functools import cached_property
from pathlib import Path

import numpy as np

from stylegan_tf.record_format import HEAD, TAIL, RecordError, decode, masked_crc, payload_length
from stylegan_tf.record_levels import decompress
from stylegan_tf.record_manifest import index_name, read_index

SAMPLES = 16  # records that are looked at before a large file is taken to have records of one size


class RecordFile:
    """The images of one file of records, through a memory map.

    Opening takes no longer for a large file than for a small one, unless its records have different sizes and there is
    no index: then their heads are read one after the other.

    Args:
        path: A `.tfrecords` file.

    Attributes:
        shape: (C, H, W) of its images.
        offsets: int64 [records + 1], where the records begin; the last one is the file's size.

    Raises:
        RecordError: The file is empty, cut off or no record file.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.size = self.path.stat().st_size
        if self.size == 0:
            raise RecordError(f"{self.path} is empty; make the data set again")
        self.offsets = self._find_records()
        first = self._verified(0)
        self.span = self._decode(first, 0)
        self.shape = self.span.shape
        self.start = first[: HEAD + self.span.start].tobytes()  # all raw records of a writer begin alike
        del self.data  # what is not read holds no file open

    @cached_property
    def data(self):
        """All bytes, uint8 [size]."""
        return np.memmap(self.path, np.uint8, "r").view(np.ndarray)

    def __len__(self):
        return len(self.offsets) - 1

    def read_into(self, index, image):
        """Put one image into `image`, uint8 [H, W, C].

        Raises:
            RecordError: The record is damaged; file, record and byte offset are named.
        """
        record = self._verified(index)
        alike = self.span.encoding == "raw" and record[: len(self.start)].tobytes() == self.start
        span = self.span if alike else self._decode(record, index)
        if span.shape != self.shape:
            self._fail(index, f"has shape {list(span.shape)}, but the first one {list(self.shape)}")
        data = record[HEAD + span.start :][: span.size]
        if span.encoding == "raw":
            for channel, plane in enumerate(data.reshape(span.shape)):
                image[..., channel] = plane
            return
        try:
            image[...] = decompress(data.tobytes(), span.shape, span.encoding)
        except RecordError as error:
            self._fail(index, f"is {error}")

    def record(self, index):
        """One record as it is in the file, head and checksum included: bytes.

        Raises:
            RecordError: The record is damaged; file, record and byte offset are named.
        """
        return self._verified(index).tobytes()

    def _find_records(self):
        offsets = read_index(self.path.with_name(index_name(self.path.name)), self.size)
        return self._equal_records() if offsets is None else offsets

    def _equal_records(self):
        """At once if all records have the length of the first one, else one after the other."""
        stride = self._end(0, 0)
        count = self.size // stride
        if self.size == count * stride:
            chosen = np.unique(np.linspace(0, count - 1, min(count, SAMPLES)).astype(np.int64))
            first = self.data[:HEAD].tobytes()
            if all(self.data[stride * index :][:HEAD].tobytes() == first for index in chosen):
                return np.arange(0, self.size + 1, stride)
        offsets = [0]
        while offsets[-1] < self.size:
            offsets.append(self._end(offsets[-1], len(offsets) - 1))
        return np.array(offsets)

    def _end(self, position, index):
        """Where a record ends, by its own head."""
        length = payload_length(self.data[position : position + HEAD])
        if length is None or position + HEAD + length + TAIL > self.size:
            self._fail(index, "is damaged or cut off", position)
        return position + HEAD + length + TAIL

    def _verified(self, index):
        """One record, uint8, head and checksum included; it is as it was written."""
        start, stop = self.offsets[index : index + 2].tolist()
        if self._end(start, index) != stop:
            self._fail(index, "is damaged: it does not end where the next one begins")
        record = self.data[start:stop]
        if int.from_bytes(record[-TAIL:].tobytes(), "little") != masked_crc(record[HEAD:-TAIL]):
            self._fail(index, "is damaged: its checksum differs")
        return record

    def _decode(self, record, index):
        try:
            return decode(record[HEAD:-TAIL])
        except RecordError as error:
            self._fail(index, f"is {error}")

    def _fail(self, index, what, position=None):
        position = int(self.offsets[index]) if position is None else position
        raise RecordError(f"{self.path}: record {index} at byte {position} {what}; make the data set again")
