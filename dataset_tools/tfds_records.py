"""Any record of TFRecord files by its number: what tensorflow-datasets gives for other formats only."""

import bisect
import itertools
import os

import numpy as np

from dataset_tools.errors import DatasetError, printable
from stylegan_tf.record_format import HEAD, TAIL, masked_crc, payload_length

REMEDY = "delete its folder and prepare the data set again"


class TfRecords:
    """The payloads of records in several files; [i] may be called from several threads.

    The files are opened when read, since there can be more of them than a process may have open, and 8 bytes a record
    are held in memory.

    Args:
        parts: [(path, first record, number of records), ...].

    Raises:
        DatasetError: A file is missing, damaged, or has too few records.
    """

    def __init__(self, parts):
        self._paths = [path for path, _, _ in parts]
        self._offsets = [_offsets(path, first, count) for path, first, count in parts]
        self._ends = list(itertools.accumulate(map(len, self._offsets)))

    def __len__(self):
        return self._ends[-1]

    def __getitem__(self, index):
        """Payload of a record, bytes.

        Raises:
            DatasetError: It cannot be read, or is damaged.
        """
        part = bisect.bisect_right(self._ends, index)
        path, offset = self._paths[part], int(self._offsets[part][index - self._ends[part]])
        try:
            with open(path, "rb") as file:
                file.seek(offset)
                payload = file.read(payload_length(file.read(HEAD)) or 0)
                checksum = file.read(TAIL)
        except OSError as error:
            raise _unreadable(path, error) from error
        if checksum != masked_crc(payload).to_bytes(TAIL, "little"):
            raise DatasetError(f"{printable(path)}: the record at byte {offset} is damaged; {REMEDY}")
        return payload


def _offsets(path, first, count):
    """Where some records of a file begin: uint64 [count]."""
    offsets = np.empty(count, np.uint64)
    offset = 0
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            for number in range(first + count):
                file.seek(offset)
                length = payload_length(file.read(HEAD))
                if length is None or offset + HEAD + length + TAIL > size:
                    raise DatasetError(
                        f"{printable(path)}: record {number} of {first + count} is damaged or missing; {REMEDY}"
                    )
                if number >= first:
                    offsets[number - first] = offset
                offset += HEAD + length + TAIL
    except OSError as error:
        raise _unreadable(path, error) from error
    return offsets


def _unreadable(path, error):
    return DatasetError(f"{printable(path)} cannot be read ({error.strerror}); {REMEDY}")
