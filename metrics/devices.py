"""Rows shared out over the devices of one machine, and their results put together in the same order."""

import contextlib

import numpy as np
import tensorflow as tf

from stylegan_tf.xla import at_home


def on_devices(replicas, function, rows):
    """Compile a function of rows so that every device does an equal share of them.

    Args:
        replicas: A `training.replicas.Replicas` on one machine.
        function: Takes tensors [N, ...] of the same N, then tensors that all devices receive; returns a tuple of
            tensors, [M, ...] or without axes.
        rows: Rows at a time on all devices, a multiple of their number.

    Returns:
        A function of arrays [n, ...], n ≤ `rows`, and of `common` values for all devices; it returns a tuple of NumPy
        arrays: the rows of all devices, in order, or [devices]. Fewer rows are filled up with copies of the last one,
        so that nothing is compiled twice; their results are left out.
    """

    on_one = at_home(function)

    @tf.function(autograph=False)  # nothing here needs it, and compiling takes half as long without
    def on_all(shared, common):
        if replicas.strategy is None:
            return on_one(*shared, *common)
        return replicas.strategy.run(on_one, args=(*shared, *common))

    def call(*arrays, common=()):
        count = len(arrays[0])
        filled = [np.concatenate([array, np.repeat(array[-1:], rows - count, axis=0)]) for array in arrays]
        shared = tuple(_shared(replicas, array) for array in filled)
        results = on_all(shared, tuple(tf.constant(value) for value in common))
        return tuple(_joined(replicas, result, count) for result in results)

    return call


def _shared(replicas, array):
    """A tensor with the rows of each device."""
    if replicas.strategy is None:
        return tf.constant(array)
    parts = np.split(array, replicas.count)
    return replicas.strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )


def _joined(replicas, result, count):
    """What the devices returned as one array, without the rows that only filled up."""
    values = [result] if replicas.strategy is None else replicas.strategy.experimental_local_results(result)
    values = [value.numpy() for value in values]
    return np.concatenate(values)[:count] if values[0].ndim else np.stack(values)


@contextlib.contextmanager
def full_precision():
    """In this block a GPU multiplies float32 numbers in full, not in TensorFloat-32, whose 10 bits would drown a path
    length: it magnifies differences of two images by 10^8."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


@contextlib.contextmanager
def out_of_memory_explained():
    """In this block a lack of memory on a device becomes a ValueError with the remedy."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise ValueError("out of memory: lower --batch, the images at a time on each device") from error
