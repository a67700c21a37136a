"""XLA for the arithmetic between convolutions, on processors and where a program asks for it.

TensorFlow's kernels run one after the other, so behind each convolution a large image is read and written a dozen
times: noise, bias, activation, mean, variance, style. XLA makes a few passes of it. Not everyone who runs a graph has
XLA (TensorFlow Serving, LiteRT, ONNX), and compiling takes seconds, so it is off unless asked for. Convolutions stay
with oneDNN, which is faster.
"""

import contextlib
import contextvars
import math

import keras

from stylegan_tf.convolution import fewer_multiplications
from stylegan_tf.processor import has_accelerator

WORTHWHILE = 2**20  # elements of a tensor; passes over less are fast, as it is in the processor's cache
_wanted = contextvars.ContextVar("compiled arithmetic", default=False)


@contextlib.contextmanager
def compiled_arithmetic():
    """While a `tf.function` is traced in this context, XLA compiles what `in_few_passes` wraps; decorates, too."""
    token = _wanted.set(keras.config.backend() == "tensorflow" and not has_accelerator())
    try:
        yield
    finally:
        _wanted.reset(token)


def compiled(function):
    """A `tf.function` that runs here and now, see `at_home`; on other backends `function` itself."""
    if keras.config.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(at_home(function), autograph=False)


def at_home(function):
    """`function` with all that pays where it runs on the machine that traces it, but may not elsewhere."""
    return compiled_arithmetic()(fewer_multiplications()(function))


def in_few_passes(function, x):
    """`function`, whose first argument will be the tensor `x`; compiled by XLA if that was asked for and pays."""
    if not _wanted.get() or math.prod(size or 1 for size in x.shape) < WORTHWHILE:
        return function
    import tensorflow as tf

    return tf.function(function, autograph=False, jit_compile=True) if tf.inside_function() else function
