"""What the machine's processor does, found out once."""

import functools

import keras
import numpy as np


@functools.cache
def has_accelerator():
    """Whether there is any device but processors."""
    return any(not name.startswith("cpu") for name in keras.distribution.list_devices())


@functools.cache
def sums_in_float32(dtype):
    """Whether depthwise convolutions of this dtype keep their sums in float32 and round once, in the end.

    oneDNN does so in bfloat16, on processors that it serves; TensorFlow's own kernel rounds every sum.
    """
    if dtype != "bfloat16" or keras.config.backend() != "tensorflow" or has_accelerator():
        return False
    import tensorflow as tf

    with tf.init_scope():  # at once, even while a graph is built
        image = np.ones([1, 16, 16, 16], np.float32)
        image[:, 8, 8] = 256  # to which bfloat16 cannot add one
        kernel = tf.ones([3, 3, 16, 1], tf.bfloat16)
        y = tf.nn.depthwise_conv2d(tf.constant(image, tf.bfloat16), kernel, [1, 1, 1, 1], "SAME")
        return bool(tf.reduce_all(y[:, 8, 8] == 264))
