"""Walks through files of records and goes on behind damaged ones, where the reader for training would stop."""

from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from stylegan_tf.record_format import HEAD, TAIL, RecordError, decode, masked_crc, payload_length
from stylegan_tf.record_levels import decompress
from stylegan_tf.record_manifest import index_name, read_index


@dataclass(frozen=True)
class Damage:
    """Something that is not as it was written.

    Attributes:
        path: File.
        what: What is wrong with it.
        record: Number of the record within the file; None if it concerns the whole file.
        offset: Where in the file, in bytes.
    """

    path: Path
    what: str
    record: int | None = None
    offset: int | None = None

    def __str__(self):
        place = "" if self.record is None else f": record {self.record} at byte {self.offset}"
        return f"{self.path}{place} {self.what}"


class RecordScan:
    """Iterates over all records of one file in order: (byte offset, uint8 array of a good record or a `Damage`).

    Args:
        path: A `.tfrecords` file.
        stride: Size of a record to assume where no other tells; 0 if unknown.

    Attributes:
        crc: Checksum of all bytes, once the iteration is over.
    """

    def __init__(self, path, stride=0):
        self.path, self.stride = Path(path), stride
        self.size = self.path.stat().st_size
        self.data = np.memmap(path, np.uint8, "r") if self.size else np.empty(0, np.uint8)
        self.offsets = read_index(self.path.with_name(index_name(self.path.name)), self.size)
        self.crc = 0

    def __iter__(self):
        position = number = 0
        while position < self.size:
            stop = self._stop(position)
            if stop is None:
                stop, what = self._guess(position, number)
            else:
                self.stride, what = stop - position, self._fault(position, stop)
            record = self.data[position:stop]
            self.crc = google_crc32c.extend(self.crc, record)
            yield position, Damage(self.path, what, number, position) if what else record
            position, number = stop, number + 1

    def _stop(self, position):
        """Where the record ends, by its own head; None if that is damaged."""
        length = payload_length(self.data[position : position + HEAD])
        stop = None if length is None else position + HEAD + length + TAIL
        return stop if stop is not None and stop <= self.size else None

    def _guess(self, position, number):
        """Where a record with a damaged head ends, and what to say about it.

        By the index; or as if it had the size of the one before, if a head is there or that fits the rest of the file.
        """
        if self.offsets is not None and number + 1 < len(self.offsets):
            return int(self.offsets[number + 1]), "is damaged"
        stop = position + self.stride
        if self.stride and stop <= self.size and ((self.size - stop) % self.stride == 0 or self._stop(stop)):
            return stop, "is damaged"
        if self.stride and stop > self.size:
            return self.size, "is cut off"
        return self.size, "is damaged, and so nothing behind it can be found"

    def _fault(self, position, stop):
        crc = int.from_bytes(self.data[stop - TAIL : stop].tobytes(), "little")
        good = crc == masked_crc(self.data[position + HEAD : stop - TAIL])
        return None if good else "is damaged: its checksum differs"


def pixels_of(record):
    """The image in a good record: uint8 [H, W, C].

    Raises:
        RecordError: It is no image record, or its picture is damaged.
    """
    payload = record[HEAD:-TAIL]
    span = decode(payload)
    data = payload[span.start : span.start + span.size]
    if span.encoding != "raw":
        return decompress(data.tobytes(), span.shape, span.encoding)
    if span.size != np.prod(span.shape, dtype=object):
        raise RecordError(f"an image record whose shape {list(span.shape)} does not go with its {span.size} bytes")
    return np.ascontiguousarray(data.reshape(span.shape).transpose(1, 2, 0))
