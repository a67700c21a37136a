"""NVIDIA's network pickles, read without TensorFlow 1 and without running anything in them (section 18 of
the reference).

A file holds one network or the three of a training run, (G, D, Gs). Each is the name of its build function, the
options given to it, its variables, and the Python source of the function, which the original executes and this
program does not even decode. `inert_pickle` turns a file into a tree of plain values; what follows takes from that
tree what it knows, checks it, and refuses the rest.
"""

import dataclasses
import math
import os
from pathlib import Path

import numpy as np

from stylegan_tf.inert_pickle import Call, Global, LongText, read_pickle
from stylegan_tf.official import build_network

_NETWORK, _EASY_DICT, _ENCODE = "dnnlib.tflib.network.Network", "dnnlib.util.EasyDict", "_codecs.encode"
_NDARRAY, _DTYPE = "numpy.ndarray", "numpy.dtype"
_RECONSTRUCT, _SCALAR, _FROM_BUFFER = (
    {f"numpy.{core}.{name}" for core in ("core", "_core")}  # NumPy 1 and 2
    for name in ("multiarray._reconstruct", "multiarray.scalar", "numeric._frombuffer")
)
_EXPECTED = frozenset({_NETWORK, _EASY_DICT, _ENCODE, _NDARRAY, _DTYPE} | _RECONSTRUCT | _SCALAR | _FROM_BUFFER)
_MAX_BYTES = 2**30  # of a file, and of a network's arrays: three times the largest file of the original
_MAX_COMPONENTS = 16
_MAX_AXES = 8
_NO_PICKLES = {  # how files begin that were mistaken for one, and the remedy
    b"version https://git-lfs": "is a Git LFS pointer, not the file that it points to; run `git lfs pull` beside it",
    b"PK\x03\x04": "is a ZIP archive; unpack it if the network is inside (a PyTorch network is not of this kind)",
    b"\x1f\x8b": "is a gzip archive; unpack it",
    b"<": "is a web page, not the download that it offers; open it in a browser to see what it says",
}
_REMEDY = "Nothing in it was executed. Name an original network .pkl; if it is one, download or copy it again"


@dataclasses.dataclass(frozen=True)
class OfficialNetwork:
    """A network as a file describes it.

    Attributes:
        name: "G", "D" or "Gs" in a file of a training run.
        func_name: Name of its build function, for instance "G_style".
        static_kwargs: Options given to it: text, numbers, None, and lists of these.
        variables: {original name: read-only float32 array in the original layout}, those of its components included.
    """

    name: str
    func_name: str
    static_kwargs: dict
    variables: dict[str, np.ndarray]


def load_official_pickle(path: str | os.PathLike) -> tuple:
    """Networks of an original pickle, ready to be called: `G, D, Gs = load_official_pickle(path)`.

    Each has an attribute `lod`, the level of detail that it had grown to: call it with
    `growth.split_lod(network.lod)` as `level` and `fade`, which are 0 for a finished network.

    Args:
        path: A `.pkl` of a training run or one of those that NVIDIA released, at most 1 GiB.

    Returns:
        (G, D, Gs), networks of this package. From a file with a single network, a discriminator comes as
        (None, D, None) and any other as (None, None, network).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or no network pickle, names anything else to be called, or its variables do not
            fit its options; the message names the file and what was found.
    """
    networks = []
    for record in read_official_pickle(path):
        try:
            networks.append(build_network(record.func_name, record.static_kwargs, record.variables))
        except ValueError as error:
            raise ValueError(f"{path} cannot be used: network {record.name!a}: {error}. {_REMEDY}.") from error
    if len(networks) == 3:
        return tuple(networks)
    return (None, networks[0], None) if record.func_name.startswith("D_") else (None, None, networks[0])


def read_official_pickle(path: str | os.PathLike) -> list[OfficialNetwork]:
    """What an original pickle says, without building networks: three records (G, D, Gs), or one.

    Args and errors as `load_official_pickle`; the names of build functions, options and variables are not checked.
    """
    data = _read(Path(path))
    try:
        value = read_pickle(data, _EXPECTED)
        networks = value if isinstance(value, tuple) and len(value) == 3 else (value,)
        return [_network(network) for network in networks]
    except ValueError as error:
        raise ValueError(f"{path} is no network pickle that can be read here: {error}. {_REMEDY}.") from error


def _read(path):
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file. Name an original network .pkl.")
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise ValueError(f"{path} has {size:,} bytes, more than any network of this kind. {_REMEDY}.")
    data = path.read_bytes()
    if not data:
        raise ValueError(f"{path} is empty. Download or copy it again.")
    for start, what in _NO_PICKLES.items():
        if data[:64].lstrip().startswith(start):
            raise ValueError(f"{path} {what}.")
    return data


def _network(value):
    state = _state(value)
    if not all(isinstance(state.get(key), str) for key in ("name", "build_func_name")):
        raise ValueError("a network lacks its name or that of its build function")
    options = _plain(state.get("static_kwargs"))
    if not isinstance(options, dict):
        raise ValueError("a network lacks its options, static_kwargs")
    variables = _variables(state, [])
    if sum(array.nbytes for array in variables.values()) > _MAX_BYTES:  # one array can stand for many variables
        raise ValueError(f"the arrays of a network have more than {_MAX_BYTES:,} bytes together")
    return OfficialNetwork(state["name"], state["build_func_name"], options, variables)


def _state(value):
    """The dictionary that a network in the file consists of."""
    if not (isinstance(value, Call) and value.name == _NETWORK and isinstance(value.state, dict)):
        raise ValueError(f"expected a network or the three of a training run, found {_describe(value)}")
    if value.state.get("version") not in (2, 3):
        raise ValueError(f"version {_describe(value.state.get('version'))} of a network; 2 and 3 are known")
    return value.state


def _variables(state, seen):
    """{name: array} of a network and, recursively, of its components under their names."""
    seen.append(state)
    if len(seen) > _MAX_COMPONENTS:
        raise ValueError(f"a network of more than {_MAX_COMPONENTS} components, or one inside itself")
    own, components = state.get("variables"), state.get("components", {})
    if not (isinstance(own, list) and isinstance(components, dict)):
        raise ValueError("a network lacks its variables")
    arrays = {}
    for item in own:
        if not (isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[0], str)):
            raise ValueError("a variable that is no pair of name and array")
        _add(arrays, item[0], _array(*item))
    for component in map(_state, components.values()):
        if not isinstance(component.get("name"), str):
            raise ValueError("a component lacks its name")
        for name, array in _variables(component, seen).items():
            _add(arrays, f"{component['name']}/{name}", array)
    return arrays


def _add(arrays, name, array):
    if name in arrays:
        raise ValueError(f"variable {name!a} occurs twice")
    arrays[name] = array


def _plain(value, depth=0):
    """An option's value, or all options: no larger and no deeper than a network can need."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Call) and value.name in _SCALAR:
        return float(_array("of an option", value))
    if isinstance(value, Call) and value.name == _EASY_DICT and not value.arguments and not value.state:
        value = value.items
    if isinstance(value, list | tuple | dict) and len(value) <= 100 and depth < 3:
        if isinstance(value, dict):
            return {key: _plain(item, depth + 1) for key, item in value.items()}
        return [_plain(item, depth + 1) for item in value]
    raise ValueError(f"an option in static_kwargs is no plain value, but {_describe(value)}")


def _array(name, value):
    """The array that a call of NumPy's would have made: a view, if the file holds its bytes as they are."""
    raw, dtype, shape, order, axes = _parts(name, value)
    if not _is_float32(dtype):
        raise ValueError(f"array {name!a} is not of float32")
    if not (_are_whole_numbers(shape) and len(shape) <= _MAX_AXES and all(shape)):
        raise ValueError(f"array {name!a} has no shape that a variable can have")
    raw = _bytes(raw)
    if 4 * math.prod(shape) != len(raw):
        raise ValueError(f"array {name!a} of shape {list(shape)} has {len(raw)} bytes")
    array = np.frombuffer(raw, "<f4").reshape(shape, order="F" if order == "F" else "C")
    if order != "K":
        return array
    if not (_are_whole_numbers(axes) and sorted(axes) == list(range(len(shape)))):
        raise ValueError(f"array {name!a} has no order of axes")
    return array.transpose(axes)


def _parts(name, value):
    """(bytes, dtype, shape, order, axes) of an array, in any of the three ways in which NumPy writes one."""
    kind = value.name if isinstance(value, Call) else None
    if kind in _RECONSTRUCT:
        match value.arguments, value.state:
            case (Global(name="numpy.ndarray"), *_), (1, shape, dtype, is_fortran, raw):
                return raw, dtype, shape, "F" if is_fortran else "C", None
    elif kind in _SCALAR:
        match value.arguments:
            case dtype, raw:
                return raw, dtype, (), "C", None
    elif kind in _FROM_BUFFER:
        match value.arguments:
            case raw, dtype, shape, "C" | "F" as order:
                return raw, dtype, shape, order, None
            case raw, dtype, shape, "K", axes:
                return raw, dtype, shape, "K", axes
    raise ValueError(f"{name!a} is no array, but {_describe(value)}")


def _are_whole_numbers(values):
    return isinstance(values, tuple) and all(type(value) is int and value >= 0 for value in values)


def _is_float32(dtype):
    """Whether it is what `numpy.dtype("float32")` is written as: little-endian, without any extras."""
    if not (isinstance(dtype, Call) and dtype.name == _DTYPE and isinstance(dtype.state, tuple)):
        return False
    return dtype.arguments == ("f4", False, True) and dtype.state[:5] == (3, "<", None, None, None)


def _bytes(value):
    """The bytes of an array, which protocol 2 writes as Latin-1 text and a call to encode it."""
    if isinstance(value, Call) and value.name == _ENCODE and value.arguments[1:] == ("latin1",):
        value = value.arguments[0]
    if isinstance(value, LongText):
        return value.latin1
    if isinstance(value, str):
        return value.encode("latin-1")
    if isinstance(value, memoryview):
        return value
    raise ValueError(f"the content of an array is {_describe(value)}")


def _describe(value):
    """A value in a few words, however large or strange it is."""
    if value is None or isinstance(value, bool | int | float | str):
        return ascii(value)[:80]
    if isinstance(value, Call | Global):
        return value.name
    if isinstance(value, tuple | list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return "bytes" if isinstance(value, memoryview) else "a long text"
