"""What the networks have in common: options as configuration, weights from the start, calls in any form."""

import inspect

import keras

from stylegan_tf.layers import dtype_policy


class Network(keras.Model):
    """A network whose weights all exist once it is constructed, and whose options are its configuration."""

    def __init__(self, options, name, dtype):
        super().__init__(name=name, dtype=dtype_policy(dtype), autocast=False)
        self.options = options

    def add_layer(self, layer_class, *args, shape=None, **kwargs):
        """Construct a layer in this network's dtype and build it for inputs of `shape`."""
        layer = layer_class(*args, dtype=self.dtype_policy, **kwargs)
        layer.build(shape)
        return layer

    def __call__(self, inputs, *args, **kwargs):
        """Call with the arguments of `call` in any form; Keras alone takes nothing but tensors by position."""
        named = dict(inspect.signature(self.call).bind_partial(inputs, *args).arguments)
        return super().__call__(named.pop(next(iter(named))), **named, **kwargs)

    def named_variables(self):
        """Variables by their original names, which are their paths without this network's own."""
        return {variable.path.removeprefix(f"{self.path}/"): variable for variable in self.variables}

    def get_config(self):
        return {**self.options, "name": self.name, "dtype": self.dtype_policy.name}


def options_of(arguments):
    """The constructor's own arguments out of its `locals()`."""
    return {key: value for key, value in arguments.items() if key not in ("self", "name", "dtype", "__class__")}


def is_fixed(structure):
    """Whether the option `structure` asks for a network that does not grow; a ValueError for an unknown one."""
    if structure not in ("auto", "fixed", "linear", "recursive"):
        raise ValueError(f'structure must be "auto", "fixed", "linear" or "recursive", not {structure!r}')
    return structure == "fixed"


def known_zero(value):
    """Whether a value is known to be zero while a graph is built, so that what it multiplies can be left out."""
    return isinstance(value, int | float) and value == 0
