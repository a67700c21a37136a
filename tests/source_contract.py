"""What every source of pictures must be, see `dataset_tools.making`."""

import threading

import numpy as np


def check_source(source, shape, label_size=0):
    """All pictures, uint8 [N, H, W, C], after checking everything that a data set is made of."""
    assert len(set(source.names)) == len(source.names) == len(source)
    assert all(isinstance(name, str) for name in source.names)
    assert (source.labels.dtype, source.labels.shape) == (np.float32, (len(source), label_size))
    assert all(isinstance(name, str) for name in source.label_names)
    assert len(source.label_names) in (0, label_size)
    assert isinstance(source.stamp, str)
    assert source.stamp
    assert all(isinstance(line, str) for line in source.notes())
    images = [source[index] for index in range(len(source))]
    assert {(image.dtype, image.shape) for image in images} == {(np.dtype(np.uint8), shape)}
    _check_threads(source, images)
    return np.stack(images)


def _check_threads(source, images):
    """Four threads, each from the end, see what one saw."""
    found = []

    def read():
        found.append([source[index] for index in reversed(range(len(source)))])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pictures in found:
        np.testing.assert_array_equal(pictures[::-1], images)
    assert len(found) == 4
