"""Finished networks in one file: configuration as JSON, weights as arrays, nothing that is ever executed.

    metadata   {"networks": {"Gs": {"class": "Generator", "config": {...}}, ...}, "metadata": the caller's}
    arrays     "Gs/G_synthesis/4x4/Const/const", ...: the network's key, then the weight's original name

A run names its snapshots `network-snapshot-<kimg>.safetensors`.
"""

import dataclasses
import os
import re
from pathlib import Path

import keras
import numpy as np

from stylegan_tf.arrays import read_arrays, read_metadata, write_arrays
from stylegan_tf.discriminator import Discriminator
from stylegan_tf.generator import Generator

CLASSES = {"Generator": Generator, "Discriminator": Discriminator}  # all that a snapshot may ask for
_PATTERN = re.compile(r"network-snapshot-(\d+)\.safetensors")


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What `load_snapshot` returns.

    Attributes:
        networks: Key -> network; "Gs" is the averaged generator, to generate with; "G", "D" the pair.
        metadata: What was given to `save_snapshot`; `level` and `fade` tell how far the networks have grown.
    """

    networks: dict[str, keras.Model]
    metadata: dict


def save_snapshot(path: str | os.PathLike, networks: dict[str, keras.Model], metadata: dict) -> None:
    """Writes networks to one file, atomically.

    Args:
        path: File name; `find_snapshot` looks for `network-snapshot-<kimg>.safetensors`.
        networks: Key without "/" -> Generator or Discriminator.
        metadata: JSON-able facts about the run.

    Raises:
        ValueError: A network is of another class.
        OSError: The file cannot be written.
    """
    arrays, description = {}, {}
    for key, network in networks.items():
        name = type(network).__name__
        if CLASSES.get(name) is not type(network):
            raise ValueError(f"{key!r} is a {name}; a snapshot holds {' and '.join(CLASSES)} only")
        description[key] = {"class": name, "config": network.get_config()}
        arrays |= {f"{key}/{name}": variable.numpy() for name, variable in network.named_variables().items()}
    write_arrays(path, arrays, {"networks": description, "metadata": metadata})


def load_snapshot(path: str | os.PathLike, names: tuple[str, ...] | None = None) -> Snapshot:
    """Reads what `save_snapshot` wrote.

    Args:
        path: File name.
        names: Keys of the networks to load, for instance ("Gs",); None for all.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or no snapshot, lacks a network, asks for an unknown class, or its
            arrays do not fit its configuration; the message lists them.
    """
    header = read_metadata(path)
    description = header.get("networks")
    if not isinstance(description, dict):
        raise ValueError(f"{path} holds no networks, as a checkpoint. Use a network-snapshot-*.safetensors file.")
    if unknown := set(names or ()) - set(description):
        raise ValueError(f"{path} holds no network {sorted(unknown)}, only {sorted(description)}")
    names = tuple(description) if names is None else names
    arrays, _ = read_arrays(path, prefix=tuple(f"{key}/" for key in names))
    networks = {key: _rebuild(path, key, description[key]) for key in names}
    _assign(path, networks, arrays)
    return Snapshot(networks, header["metadata"])


def find_snapshot(path: str | os.PathLike) -> Path:
    """Finds the snapshot that a user means.

    Args:
        path: A snapshot file, or a run directory, whose newest snapshot (most kimg) is taken.

    Raises:
        FileNotFoundError: There is none; the message says where there are some.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist. Name a run directory or a snapshot (.safetensors) file.")
    found = {int(match[1]): file for file in path.iterdir() if (match := _PATTERN.fullmatch(file.name))}
    if found:
        return found[max(found)]
    runs = sorted({str(file.parent) for file in path.glob("*/network-snapshot-*.safetensors")})
    hint = f"Did you mean {' or '.join(runs[-3:])}?" if runs else "Has the run reached its first snapshot?"
    raise FileNotFoundError(f"{path} contains no network-snapshot-*.safetensors file. {hint}")


def load_generator(path: str | os.PathLike) -> tuple[Generator, dict]:
    """Loads "Gs" of a snapshot file, or of the newest snapshot of a run: (generator, metadata)."""
    snapshot = load_snapshot(find_snapshot(path), ("Gs",))
    return snapshot.networks["Gs"], snapshot.metadata


def _rebuild(path, key, description):
    if description["class"] not in CLASSES:
        raise ValueError(f"{path}: {key!r} is a {description['class']!r}, not one of {', '.join(CLASSES)}")
    for option, value in description["config"].items():
        if isinstance(value, dict):  # Keras would take a dictionary for an object to be imported by name
            raise ValueError(f"{path}: option {option!r} of {key!r} is not a plain value: {value}")
    try:
        return CLASSES[description["class"]](**description["config"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {key!r} cannot be built from its configuration: {error}") from error


def _assign(path, networks, arrays):
    """Gives every weight its array, once all names and shapes are known to fit."""
    variables = {}
    for key, network in networks.items():
        variables |= {f"{key}/{name}": variable for name, variable in network.named_variables().items()}
    problems = [f"{name} is missing" for name in variables if name not in arrays]
    problems += [f"{name} belongs to no weight" for name in arrays if name not in variables]
    for name in variables.keys() & arrays.keys():
        if tuple(variables[name].shape) != arrays[name].shape:
            problems.append(f"{name} is {list(arrays[name].shape)} instead of {list(variables[name].shape)}")
    if problems:
        raise ValueError(f"{path} does not fit its own configuration: {'; '.join(sorted(problems))}")
    for name, variable in variables.items():
        variable.assign(np.asarray(arrays[name]))
