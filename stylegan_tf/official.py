"""NVIDIA's names, layouts and options, and ours: the only place that knows the difference.

A weight's Keras path without its root is the original's name already. What changes is the layout of two kinds: the
constant and the noise images are NCHW there and NHWC here. And `lod` is a variable there, an argument of the call here.
"""

import concurrent.futures
import inspect
import reprlib

import keras
import numpy as np

from stylegan_tf.discriminator import Discriminator
from stylegan_tf.generator import MAPPING_OPTIONS, SYNTHESIS_OPTIONS, Generator
from stylegan_tf.growth import num_stages
from stylegan_tf.initial import to_be_loaded
from stylegan_tf.mapping import MappingNetwork
from stylegan_tf.progan import ProGANDiscriminator, ProGANGenerator
from stylegan_tf.synthesis import SynthesisNetwork

NETWORKS = {
    "G_style": Generator,
    "G_mapping": MappingNetwork,
    "G_synthesis": SynthesisNetwork,
    "D_basic": Discriminator,
    "G_paper": ProGANGenerator,
    "D_paper": ProGANDiscriminator,
}
DTYPES = ("float32", "float16", "bfloat16")
# defaults of the original that our constructors do not share (sections 6.1 and 8 of the reference)
_OTHER_DEFAULTS = {name: {"num_channels": 1, "resolution": 32} for name in ("D_basic", "G_paper", "D_paper")}


def build_network(func_name, static_kwargs, variables):
    """A network of the original, rebuilt from what describes it there.

    An option that is unknown here is dropped: the original's build functions ignore those that they do not know, so
    its files are full of them (`is_template_graph`, `force_clean_graph`, `components`, each network those of its
    sister). Our constructors, which people type options for, refuse them.

    Args:
        func_name: Name of the build function, with or without its module, as "training.networks_stylegan.G_style".
        static_kwargs: {option: value} as given to the original; those that are missing take its defaults.
        variables: {original name: array in the original layout}, all of them, `lod` included.

    Returns:
        A network of this package. Its attribute `lod` is the level of detail that the variables hold, a float; our
        networks take it as arguments, `level, fade = growth.split_lod(network.lod)`, and `variables_of` returns it.

    Raises:
        ValueError: There is no such build function (the message lists them), an option has an impossible value,
            variables are missing, surplus, of another shape or not finite (the message lists them all), or the two
            variables that hold `lod` differ. No memory is taken then for what the options ask for, so they may come
            from a stranger.
    """
    short_name = str(func_name).rpartition(".")[2]
    if short_name not in NETWORKS:
        raise ValueError(f"unknown network {func_name!r}; the known ones are {', '.join(NETWORKS)}")
    for what, value in {"static_kwargs": static_kwargs, "variables": variables}.items():
        if not isinstance(value, dict):
            raise ValueError(f"{what} of {short_name} must be a dictionary, not {reprlib.repr(value)}")
    arrays = {name: _array(name, array) for name, array in variables.items()}
    options = _OTHER_DEFAULTS.get(short_name, {}) | _known_options(short_name, static_kwargs)
    if isinstance(options.get("mapping_layers"), int) and options["mapping_layers"] > len(arrays):
        raise ValueError(f"{len(arrays)} variables do not make {options['mapping_layers']} mapping layers")
    try:
        expected = _shapes(NETWORKS[short_name], options)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"{short_name} cannot be built with these options: {error}") from error
    _check(short_name, expected, arrays)
    lods = {name: float(arrays[name]) for name in ("lod", "G_synthesis/lod") if name in arrays}
    if len(set(lods.values())) > 1:
        raise ValueError(f"{' but '.join(f'{name} is {lod}' for name, lod in lods.items())}; both must be the same")
    with to_be_loaded(sum(array.size for array in arrays.values())):
        network = NETWORKS[short_name](**options)
    _assign(network, arrays)
    network.lod = lod_of(arrays)
    if network.lod and not 0 <= network.lod <= num_stages(network.resolution) - 1:
        raise ValueError(f"lod is {network.lod}, but a network of {network.resolution} pixels has no such level")
    return network


def lod_of(variables):
    """Level of detail in variables by their original names: 0 for a finished network, or one that does not grow."""
    return float(variables.get("lod", 0))


def variables_of(network, lod=None):
    """Weights of `network` by their original names, in the original layout: {name: float32 array}.

    Args:
        network: A network of this package.
        lod: Level of detail to record, as the original keeps it in a variable; None for that of `build_network`, or 0.
    """
    lod = getattr(network, "lod", 0.0) if lod is None else lod
    arrays = {name: _to_official(name, variable.numpy()) for name, variable in network.named_variables().items()}
    return {name: np.float32(lod) for name in _lod_names(network)} | arrays


def load_variables(network, variables):
    """Assign arrays by their original names to `network`; `lod` is accepted and ignored.

    Args:
        network: A network of this package with fitting options.
        variables: {original name: array in the original layout}.

    Raises:
        ValueError: Names are missing or surplus, shapes differ, or values are not finite; all of them are listed,
            nothing is assigned.
    """
    lod_names = _lod_names(network)
    arrays = {name: _array(name, array) for name, array in variables.items() if name not in lod_names}
    expected = {name: shape for name, shape in _official_shapes(network).items() if name not in lod_names}
    _check(type(network).__name__, expected, arrays)
    _assign(network, arrays)


def _array(name, values):
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no array: {error}") from error


def _known_options(func_name, static_kwargs):
    """Those of `static_kwargs` that decide something here."""
    known = inspect.signature(NETWORKS[func_name]).parameters.keys() - {"name", "options"}
    if func_name == "G_style":
        known |= MAPPING_OPTIONS | SYNTHESIS_OPTIONS
    options = {name: value for name, value in static_kwargs.items() if name in known}
    for name, value in options.items():
        if not _is_plain(value):  # Keras would take a dictionary for an object to be imported by name
            raise ValueError(f"option {name!r} of {func_name} is no plain value: {reprlib.repr(value)}")
    if options.get("dtype", "float32") not in DTYPES:
        raise ValueError(
            f"dtype of {func_name} must be one of {', '.join(DTYPES)}, not {reprlib.repr(options['dtype'])}"
        )
    return options


def _is_plain(value, depth=0):
    if isinstance(value, list | tuple):
        return depth < 2 and all(_is_plain(item, depth + 1) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def _shapes(network_class, options):
    """Original names and shapes of a network's variables, found without making room for their values.

    In a thread of its own, with which the list goes that Keras keeps per thread of variables to be given values later.
    """

    def shapes():
        with keras.StatelessScope(initialize_variables=False):
            return _official_shapes(network_class(**options))

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(shapes).result()


def _official_shapes(network):
    shapes = {name: tuple(variable.shape) for name, variable in network.named_variables().items()}
    for name, shape in shapes.items():
        if _is_image(name):
            batch, height, width, channels = shape
            shapes[name] = (batch, channels, height, width)
    return dict.fromkeys(_lod_names(network), ()) | shapes


def _check(owner, expected, arrays):
    """A ValueError that lists whatever keeps `arrays` from being the variables with the `expected` shapes."""
    complaints = [f"missing {name}" for name in expected if name not in arrays]
    complaints += [f"surplus {name} {list(arrays[name].shape)}" for name in arrays if name not in expected]
    for name in expected.keys() & arrays.keys():
        if arrays[name].shape != expected[name]:
            complaints.append(f"{name} has shape {list(arrays[name].shape)}, expected {list(expected[name])}")
        if arrays[name].dtype.kind not in "fiu":
            complaints.append(f"{name} holds no numbers, but {arrays[name].dtype}")
        elif not (np.abs(arrays[name]) <= np.finfo(np.float32).max).all():
            complaints.append(f"{name} is not a finite float32 in places")
    if complaints:
        raise ValueError(f"variables do not fit {owner}: " + "; ".join(sorted(complaints)))


def _assign(network, arrays):
    for name, variable in network.named_variables().items():
        variable.assign(_from_official(name, arrays[name].astype(np.float32)))


def _lod_names(network):
    if hasattr(network, "synthesis"):
        return ("lod", "G_synthesis/lod")
    return ("lod",) if hasattr(network, "resolution") else ()  # the mapping network does not grow


def _is_image(name):
    last = name.split("/")[-1]
    return last == "const" or last.startswith("noise")


def _to_official(name, array):
    return array.transpose(0, 3, 1, 2) if _is_image(name) else array


def _from_official(name, array):
    return array.transpose(0, 2, 3, 1) if _is_image(name) else array
