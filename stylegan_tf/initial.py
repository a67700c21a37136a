"""Initial values of weights, and how to leave them out where stored values will take their place."""

import contextlib
import contextvars
import math

import keras
from keras import ops as K

_room = contextvars.ContextVar("room", default=None)  # [elements that new weights may still have]; None to draw them


def normal(std):
    """Initializer: normally distributed around zero."""
    return _unless_loaded(keras.initializers.RandomNormal(0.0, std))


def filled(value):
    """Initializer: one value everywhere."""
    return _unless_loaded(keras.initializers.Constant(value))


@contextlib.contextmanager
def to_be_loaded(elements):
    """In this block new networks get zeros, which takes no time, and no more memory than what will be loaded.

    Args:
        elements: Numbers that all weights together may have.

    Raises:
        ValueError: A network is larger than that; nothing has been allocated for the weight that is too large.
    """
    token = _room.set([elements])
    try:
        yield
    finally:
        _room.reset(token)


def _unless_loaded(initializer):
    def values(shape, dtype=None):
        room = _room.get()
        if room is None:
            return initializer(shape, dtype=dtype)
        room[0] -= math.prod(shape)
        if room[0] < 0:
            raise ValueError(f"it asks for more weights than are stored, the last one of shape {list(shape)}")
        return K.zeros(shape, dtype)

    return values
