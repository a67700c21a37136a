"""Batches of real images: shuffled over the whole data set, reproducible, from any position."""

import functools
import queue
import threading
from pathlib import Path

import numpy as np

from stylegan_tf.records import load_labels, open_levels

READ_AHEAD = 4  # batches


class RecordDataset:
    """The images of a data set in an order that is a function of the seed.

    Position p of the endless stream is in epoch p // num_images, and each epoch is one permutation of all images. The
    original shuffles within a buffer instead; here a run can be resumed at any position, and small data sets mix well.

    Args:
        tfrecord_dir: Directory made by dataset_tool.py, or by the original's.
        resolution: Full resolution in pixels; None for the largest there is.
        max_label_size: "full" for all columns of the labels, or how many; 0 for none.
        seed: Decides the order.

    Attributes:
        name: Name of the directory.
        resolution, num_channels, label_size, num_images: Facts.
        labels: float32 [num_images, label_size].
    """

    def __init__(self, tfrecord_dir, resolution=None, max_label_size="full", seed=0):
        self.levels = open_levels(tfrecord_dir, resolution)
        self.name = Path(tfrecord_dir).resolve().name
        self.num_channels, self.resolution, _ = self.levels[0].shape
        self.num_images = len(self.levels[0])
        labels = load_labels(tfrecord_dir, self.num_images)
        self.labels = labels if max_label_size == "full" else labels[:, :max_label_size]
        self.label_size = self.labels.shape[1]
        self.seed = seed

    def indices(self, start, count):
        """Which images stand at positions start, ..., start + count - 1: int array [count]."""
        result = np.empty(count, np.int64)
        for row, position in enumerate(range(start, start + count)):
            epoch, place = divmod(position, self.num_images)
            result[row] = order_of_epoch(self.seed, epoch, self.num_images)[place]
        return result

    def batches(self, level, batch_size, start=0):
        """Endless generator of (images uint8 [N, H, W, C], labels float32 [N, label_size]).

        A thread reads ahead; it ends when the generator is closed.

        Args:
            level: Level of detail of the images.
            batch_size: N.
            start: Position of the first image.

        Raises:
            RecordError: A record is damaged.
        """
        ready, stop = queue.Queue(READ_AHEAD), threading.Event()

        def read():
            position = start
            try:
                while not stop.is_set():
                    chosen = self.indices(position, batch_size)
                    _put(ready, (self.levels[level].read(chosen), self.labels[chosen]), stop)
                    position += batch_size
            except Exception as error:  # handed to the consumer
                _put(ready, error, stop)

        thread = threading.Thread(target=read, name="read-ahead", daemon=True)
        thread.start()
        try:
            while True:
                batch = ready.get()
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        finally:
            stop.set()
            thread.join()


@functools.lru_cache(maxsize=4)
def order_of_epoch(seed, epoch, num_images):
    """The permutation of all images that one epoch is."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(num_images)


def _put(target, item, stop):
    """Wait for room in the queue, or for the wish to stop."""
    while not stop.is_set():
        try:
            return target.put(item, timeout=0.1)
        except queue.Full:
            continue
    return None
