"""What the networks have in common: options as configuration, weights from the start, calls in any form."""

import inspect
import math
import numbers
import reprlib
from collections.abc import Hashable

import keras

from stylegan_tf.initial import to_be_loaded
from stylegan_tf.layers import dtype_policy

NUMBERS = frozenset(
    (
        *("latent_size", "label_size", "dlatent_size", "num_channels", "fmap_base", "fmap_decay", "fmap_max"),
        *("dlatent_broadcast", "mapping_layers", "mapping_fmaps", "mapping_lrmul", "pixelnorm_epsilon"),
        *("truncation_psi", "truncation_cutoff", "truncation_psi_val", "truncation_cutoff_val"),
        *("dlatent_avg_beta", "style_mixing_prob", "mbstd_group_size", "mbstd_num_features"),
    )
)
SWITCHES = frozenset(
    (
        *("use_styles", "use_noise", "use_wscale", "use_pixel_norm", "use_instance_norm", "use_pixelnorm"),
        *("use_leakyrelu", "const_input_layer", "randomize_noise", "normalize_latents"),
    )
)


class Network(keras.Model):
    """A network whose weights all exist once it is constructed, and whose options are its configuration."""

    def __init__(self, options, name, dtype):
        _check_kinds(options)
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


def in_dtype(network, dtype):
    """The network itself if it computes in that dtype ("float32", "bfloat16", "float16"), else a copy that does."""
    if network.compute_dtype == dtype:
        return network
    with to_be_loaded(network.count_params()):
        copy = type(network).from_config({**network.get_config(), "dtype": dtype})
    for ours, theirs in zip(copy.variables, network.variables, strict=True):
        ours.assign(theirs)
    return copy


def options_of(arguments):
    """The constructor's own arguments out of its `locals()`."""
    return {key: value for key, value in arguments.items() if key not in ("self", "name", "dtype", "__class__")}


def _check_kinds(options):
    """Refuse values that would fail, or count as True, only when the network is called; None means "off" or "as is"."""
    for name, value in options.items():
        if name in NUMBERS and value is not None and not (isinstance(value, numbers.Real) and abs(value) < math.inf):
            raise ValueError(f"{name} must be a finite number, not {reprlib.repr(value)}")
        if name in SWITCHES and not (isinstance(value, Hashable) and value in (None, False, True)):
            raise ValueError(f"{name} must be True or False, not {reprlib.repr(value)}")


def is_fixed(structure):
    """Whether the option `structure` asks for a network that does not grow; a ValueError for an unknown one."""
    if structure not in ("auto", "fixed", "linear", "recursive"):
        raise ValueError(f'structure must be "auto", "fixed", "linear" or "recursive", not {structure!r}')
    return structure == "fixed"


def known_zero(value):
    """Whether a value is known to be zero while a graph is built, so that what it multiplies can be left out."""
    return isinstance(value, int | float) and value == 0
