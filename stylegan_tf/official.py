"""NVIDIA's variable names and layouts, and ours: the only place that knows the difference.

A weight's Keras path without its root is the original's name already. What changes is the layout of two kinds: the
constant and the noise images are NCHW there and NHWC here. And `lod` is a variable there, an argument of the call here.
"""

import numpy as np


def variables_of(network, lod=0.0):
    """Weights of `network` by their original names, in the original layout: {name: float32 array}.

    Args:
        network: A network of this package.
        lod: Level of detail to record, as the original keeps it in a variable.
    """
    arrays = {name: _to_official(name, variable.numpy()) for name, variable in network.named_variables().items()}
    return {name: np.float32(lod) for name in _lod_names(network)} | arrays


def load_variables(network, variables):
    """Assign arrays by their original names to `network`; `lod` is accepted and ignored.

    Args:
        network: A network of this package with fitting options.
        variables: {original name: array in the original layout}.

    Raises:
        ValueError: Names are missing or surplus, or shapes differ; all of them are listed, nothing is assigned.
    """
    ours = network.named_variables()
    given = {name: np.asarray(array) for name, array in variables.items() if name not in _lod_names(network)}
    complaints = [f"missing {name}" for name in ours if name not in given]
    complaints += [f"surplus {name} {list(given[name].shape)}" for name in given if name not in ours]
    for name in ours.keys() & given.keys():
        expected = _to_official(name, np.broadcast_to(np.float32(0), ours[name].shape)).shape
        if given[name].shape != expected:
            complaints.append(f"{name} has shape {list(given[name].shape)}, expected {list(expected)}")
    if complaints:
        raise ValueError(f"variables do not fit {type(network).__name__}: " + "; ".join(sorted(complaints)))
    for name, variable in ours.items():
        variable.assign(_from_official(name, given[name].astype(np.float32)))


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
