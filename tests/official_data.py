"""The original's networks without the original: names and shapes as section 7 has them, pickles as section 18."""

import contextlib
import pickle
import pickletools
import sys
import types
from unittest import mock

import numpy as np

FEATURES = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}  # section 5.2
RELEASED = {"ffhq": 1024, "celebahq": 1024, "bedrooms": 256, "cats": 256, "cars": 512}  # section 17.1: resolutions
PARAMETERS = {  # sections 7.2 to 7.4: trainable, of G_style and of D_basic
    1024: (26_219_627, 23_087_249),
    512: (26_179_768, 23_080_225),
    256: (26_086_229, 23_052_353),
}


def sizes(resolution):
    """(lod, pixels, features) from 4x4 up."""
    pixels = [size for size in FEATURES if size <= resolution]
    return [(len(pixels) - 1 - index, size, FEATURES[size]) for index, size in enumerate(pixels)]


def with_biases(weights):
    """Every `weight` has a `bias` [out] next to it."""
    shapes = {}
    for scope, shape in weights.items():
        shapes |= {f"{scope}/weight": shape, f"{scope}/bias": shape[-1:]}
    return shapes


def layer_shapes(scope, kernel, features):
    """Section 7.2: the five variables of a synthesis layer."""
    return {
        f"{scope}/{'const' if scope.endswith('Const') else 'weight'}": kernel,
        f"{scope}/Noise/weight": [features],
        f"{scope}/bias": [features],
        f"{scope}/StyleMod/weight": [512, 2 * features],
        f"{scope}/StyleMod/bias": [2 * features],
    }


def mapping_shapes():
    """Section 7.2: G_mapping without labels."""
    return with_biases({f"Dense{index}": [512, 512] for index in range(8)})


def synthesis_shapes(resolution=1024):
    """Section 7.2: G_synthesis, 3 channels."""
    shapes = {"lod": []}
    for index in range(2 * len(sizes(resolution))):
        size = 2 ** (index // 2 + 2)
        shapes[f"noise{index}"] = [1, 1, size, size]
    inputs = 512
    for lod, size, features in sizes(resolution):
        if size == 4:
            shapes |= layer_shapes("4x4/Const", [1, 512, 4, 4], features)
            shapes |= layer_shapes("4x4/Conv", [3, 3, 512, 512], features)
        else:
            shapes |= layer_shapes(f"{size}x{size}/Conv0_up", [3, 3, inputs, features], features)
            shapes |= layer_shapes(f"{size}x{size}/Conv1", [3, 3, features, features], features)
        shapes |= with_biases({f"ToRGB_lod{lod}": [1, 1, features, 3]})
        inputs = features
    return shapes


def generator_shapes(resolution=1024):
    """Section 7.2: G_style, 3 channels, no labels."""
    shapes = {"lod": [], "dlatent_avg": [512]}
    shapes |= {f"G_synthesis/{name}": shape for name, shape in synthesis_shapes(resolution).items()}
    return shapes | {f"G_mapping/{name}": shape for name, shape in mapping_shapes().items()}


def discriminator_shapes(resolution=1024):
    """Section 7.3: D_basic, 3 channels, no labels."""
    weights = {"4x4/Conv": [3, 3, 513, 512], "4x4/Dense0": [8192, 512], "4x4/Dense1": [512, 1]}
    for lod, size, features in sizes(resolution):
        weights[f"FromRGB_lod{lod}"] = [1, 1, 3, features]
        if size > 4:
            weights[f"{size}x{size}/Conv0"] = [3, 3, features, features]
            weights[f"{size}x{size}/Conv1_down"] = [3, 3, features, FEATURES[size // 2]]
    return {"lod": []} | with_biases(weights)


def zeros(shapes):
    """{name: float32 zeros} that take no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


class Network:
    """Stands where the original's class does: section 18.1, what is stored."""

    def __init__(self, name, func_name, static_kwargs, variables, components=None, version=3):
        self.state = {
            "version": version,
            "name": name,
            "static_kwargs": static_kwargs,
            "components": components or {},
            "build_module_src": "raise SystemExit('the embedded source was executed')\n" * 40,
            "build_func_name": func_name,
            "variables": list(variables.items()),
        }
        if version == 2:
            del self.state["components"]

    def __getstate__(self):
        return self.state

    def __setstate__(self, state):
        raise AssertionError("an unpickler called __setstate__")


class EasyDict(dict):
    """Stands where the original's class does."""


def generator(name, static_kwargs, variables):
    """A G_style network with its two components, from variables by their full names."""
    components = {}
    for key, prefix in {"synthesis": "G_synthesis", "mapping": "G_mapping"}.items():
        own = {other.removeprefix(f"{prefix}/"): variables[other] for other in variables if other.startswith(prefix)}
        components[key] = Network(prefix, prefix, static_kwargs, own)
    own = {key: value for key, value in variables.items() if not key.startswith(("G_synthesis/", "G_mapping/"))}
    return Network(name, "G_style", static_kwargs, own, components)


class _NumPy1Pickler(pickle._Pickler):
    """Writes the names that modules had in NumPy 1."""

    def save(self, obj, *args, **kwargs):
        if isinstance(obj, str) and obj.startswith("numpy._core."):
            obj = obj.replace("numpy._core.", "numpy.core.")
        return super().save(obj, *args, **kwargs)


@contextlib.contextmanager
def original_modules():
    """While active, `Network` and `EasyDict` are classes of the original's modules."""
    modules = {
        name: types.ModuleType(name) for name in ("dnnlib", "dnnlib.tflib", "dnnlib.tflib.network", "dnnlib.util")
    }
    modules["dnnlib.tflib.network"].Network, modules["dnnlib.util"].EasyDict = Network, EasyDict
    with (
        mock.patch.dict(sys.modules, modules),
        mock.patch.object(Network, "__module__", "dnnlib.tflib.network"),
        mock.patch.object(EasyDict, "__module__", "dnnlib.util"),
    ):
        yield


def write(path, value, protocol=4, numpy=2):
    """Pickle `value` as the original would, with the module names of NumPy 1 or 2; returns the path."""
    kind = _NumPy1Pickler if numpy == 1 else pickle.Pickler
    with original_modules(), open(path, "wb") as file:
        kind(file, protocol).dump(value)
    if numpy == 1 and protocol < 4:  # names are lines there
        path.write_bytes(path.read_bytes().replace(b"cnumpy._core.", b"cnumpy.core."))
    return path


def as_python2(data):
    """A pickle of protocol 2 with all its texts as Python 2's strings, which are Latin-1."""
    parts, last = [], 0
    for instruction, argument, position in [*pickletools.genops(data), (None, None, len(data))]:
        parts.append(data[last:position])
        last = position
        if instruction and instruction.name == "BINUNICODE":
            raw = argument.encode("latin-1")
            parts.append(b"T" + len(raw).to_bytes(4, "little") + raw)
            last = position + 5 + len(argument.encode())
    return b"".join(parts)
