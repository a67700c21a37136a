"""Named arrays and JSON in one file: the form of snapshots and checkpoints.

A file is a `.safetensors` file: a header of JSON, then raw numbers. Reading it executes nothing. Beside the
arrays the header carries metadata and SHA-256 digests, so a damaged file is told from a good one:

    digests   name -> SHA-256 of (dtype, shape, bytes) of that array
    sha256    SHA-256 of (metadata, digests)

Whoever reads some arrays verifies those, and whoever reads the metadata alone verifies that.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

_FORMAT = "stylegan_tf arrays 1"
_DTYPES = ("bool", "uint8", "int32", "int64", "uint64", "float16", "float32", "float64")


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[Path]:
    """Lets a file appear under its name only when it is complete and on the disk.

    Yields the name to write to, in the same directory. It is renamed to `path` at the end of the block, or
    removed after an error. What a killed process left there is overwritten by the next attempt.

    Raises:
        OSError: It cannot be written; `path` is named.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.partial")
    with writing(path):
        try:
            temporary.touch()
            mode = temporary.stat().st_mode
            yield temporary
            temporary.chmod(mode)  # some writers (safetensors) make files that only their owner can read
            _flush(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if os.name == "posix":  # elsewhere a directory cannot be opened
            _flush(path.parent)


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """Gives an OSError in this block the name of the file that was to be written, and the remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"{path}: {reason}; make room on the disk, or choose a directory in which you may write"
        ) from error


def write_arrays(path: str | os.PathLike, arrays: dict[str, np.ndarray], metadata: dict) -> None:
    """Writes named arrays and metadata to one file, atomically.

    Args:
        path: File name, ending in `.safetensors`; its directory exists.
        arrays: Name -> array of any shape, 0-d included; booleans, integers or floats.
        metadata: Anything that JSON can hold; NaN and infinity are refused.

    Raises:
        ValueError: An array has another dtype, or the metadata is no JSON.
        OSError: The file cannot be written; nothing is left under `path` that was not there before.
    """
    prepared = {}
    for name, array in arrays.items():
        array = np.asarray(array, order="C")
        if array.dtype.name not in _DTYPES:
            raise ValueError(f"array {name!r} has dtype {array.dtype}, not one of {', '.join(_DTYPES)}")
        prepared[name] = np.asarray(array, dtype=array.dtype.newbyteorder("<"))
    try:
        text = json.dumps(metadata, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"the metadata for {path} cannot be written as JSON: {error}") from error
    digests = json.dumps({name: _digest(array) for name, array in prepared.items()})
    header = {"format": _FORMAT, "metadata": text, "digests": digests, "sha256": _digest_text(text, digests)}
    with atomic_file(path) as temporary:
        try:
            safetensors.numpy.save_file(prepared, temporary, metadata=header)
        except safetensors.SafetensorError as error:
            raise OSError(str(error)) from error


def read_arrays(path: str | os.PathLike, prefix: str | tuple[str, ...] = "") -> tuple[dict[str, np.ndarray], dict]:
    """Reads what `write_arrays` wrote, and verifies it.

    Args:
        path: File name.
        prefix: Only arrays whose names start with it, or with one of several, are read; "" reads all.

    Returns:
        (name -> array, metadata).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, cut short, or not one of ours.
    """
    arrays = {}
    with _open(path) as (file, metadata, digests):
        for name in file.keys():  # noqa: SIM118 (the file object is no mapping)
            if name.startswith(prefix):
                arrays[name] = file.get_tensor(name)
                if _digest(arrays[name]) != digests.get(name):
                    raise ValueError(f"{path} is damaged: the checksum of {name!r} is wrong. {_REMEDY}")
        if missing := {name for name in digests if name.startswith(prefix)} - set(arrays):
            raise ValueError(f"{path} is damaged: {sorted(missing)} are missing. {_REMEDY}")
    return arrays, metadata


def read_metadata(path: str | os.PathLike) -> dict:
    """Reads and verifies the metadata alone, whatever the size of the arrays; errors as `read_arrays`."""
    with _open(path) as (_, metadata, _):
        return metadata


_REMEDY = "Use another snapshot or checkpoint, or copy this one again."


@contextlib.contextmanager
def _open(path):
    """Opens a file and verifies its header; yields (file, metadata, digests)."""
    try:
        file = safetensors.safe_open(path, framework="numpy")
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged or no .safetensors file ({error}). {_REMEDY}") from error
    except OSError as error:
        raise type(error)(f"{path} cannot be read: {error}") from error
    with file:
        header = file.metadata() or {}
        if header.get("format") != _FORMAT:
            raise ValueError(
                f"{path} was not written by this program (format {header.get('format')!r}, not {_FORMAT!r}). "
                "Use a network-snapshot-*.safetensors file of a run."
            )
        text, digests = header.get("metadata", ""), header.get("digests", "")
        if _digest_text(text, digests) != header.get("sha256"):
            raise ValueError(f"{path} is damaged: the checksum of its header is wrong. {_REMEDY}")
        yield file, json.loads(text), json.loads(digests)


def _digest(array):
    array = np.asarray(array, order="C")
    digest = hashlib.sha256(f"{array.dtype.name} {list(array.shape)} ".encode())
    digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _digest_text(*texts):
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _flush(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
