"""What backends have in common but Keras has no name for: own gradients, and order."""

import contextlib

from keras import backend, ops


def with_gradient(forward, backward):
    """A function of tensors that is differentiated as told.

    Args:
        forward: Tensors to a tensor.
        backward: Gradient by the result, the result, and the arguments of `forward`, to the gradient by each argument.
            It may use functions of this kind itself, and can then be differentiated again; these get tensors as
            arguments, which JAX does not find in a closure.
    """

    @ops.custom_gradient
    def function(*arguments):
        result = forward(*arguments)

        def grad(*upstreams, upstream=None):  # some backends hand it over by position, some by name
            return backward(upstreams[0] if upstream is None else upstream, result, *arguments)

        return result, grad

    return function


def after(tensor):
    """In this context a TensorFlow graph computes nothing before it has the tensor; elsewhere the context is empty.

    A graph is worked off as inputs become known, so what hangs on weights alone is done, and kept, from the start.
    """
    if backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.control_dependencies([tensor])
