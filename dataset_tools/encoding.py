"""Pictures of a source to records, on many threads, in the order wished for."""

import contextlib
import os
from typing import NamedTuple

from dataset_tools.errors import DatasetError
from dataset_tools.workers import map_in_order
from stylegan_tf.record_levels import encode_levels

AHEAD = 2  # tasks for each worker that may be in work or waiting to be written
TASK_PIXELS = 2**16  # small pictures go through the threads by the dozen: handing over costs as much as encoding one


class Encoded(NamedTuple):
    """Picture number `index` of a source: what is to be written, or why that is impossible."""

    index: int
    shape: tuple = ()  # H, W, C
    records: list = ()  # one for each level, as `encode_levels` makes them
    error: DatasetError | None = None

    @property
    def size(self):
        """Bytes on the disk."""
        return sum(map(len, self.records))


class Encoder:
    """Calls the source for pictures and encodes them.

    Args:
        source: See `make_dataset`.
        format: A `RecordFormat`.
        workers: Number of threads; None for one a core.
    """

    def __init__(self, source, format, workers=None):
        self.source, self.format = source, format
        self.workers = workers or available_cores()
        self.tried = {}

    def one(self, index):
        """`Encoded` picture number `index`."""
        index = int(index)
        if index in self.tried:
            return self.tried.pop(index)
        name = self.source.names[index]
        try:
            image = self.source[index]
            return Encoded(index, image.shape, encode_levels(image, self.format, name))
        except DatasetError as error:
            return Encoded(index, error=error)
        except OSError as error:
            reason = error.strerror or error
            return Encoded(index, error=DatasetError(f"{name} cannot be read: {reason}; check the file and its rights"))
        except ValueError as error:
            return Encoded(index, error=DatasetError(str(error)))

    def try_one(self, index):
        """As `one`, and remembered: the picture need not be encoded again when its turn comes."""
        self.tried[int(index)] = encoded = self.one(index)
        return encoded

    def all(self, indices):
        """Generator of `Encoded` for each of `indices`, in their order."""
        shape = next((encoded.shape for encoded in self.tried.values() if encoded.shape), (TASK_PIXELS, 1))
        together = min(max(TASK_PIXELS // (shape[0] * shape[1]), 1), 64)
        tasks = (indices[start : start + together] for start in range(0, len(indices), together))
        results = map_in_order(lambda task: [*map(self.one, task)], tasks, self.workers, AHEAD * self.workers)
        with contextlib.closing(results):
            for encoded in results:
                yield from encoded


def available_cores():
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
