"""What lies beside the records: names of the files, `dataset.json`, and where the records of a file begin."""

import json
import shlex
from pathlib import Path

import google_crc32c
import numpy as np

MANIFEST = "dataset.json"
VERSION = 1
READ_AT_ONCE = 2**24  # bytes


def records_name(prefix, resolution, shard=0, shards=1):
    """Name of a file of records: "ffhq-r10.tfrecords", or "ffhq-r10-00003-of-00008.tfrecords"."""
    part = f"-{shard:05d}-of-{shards:05d}" if shards > 1 else ""
    return f"{prefix}-r{resolution.bit_length() - 1:02d}{part}.tfrecords"


def labels_name(prefix):
    """Name of the file of labels."""
    return f"{prefix}-rxx.labels"


def index_name(name):
    """Name of the index of a file of records."""
    return name.removesuffix(".tfrecords") + ".index.npy"


def shard_starts(images, shards):
    """Number of the first image of every shard, and of the one behind the last: `shards` + 1 integers."""
    return [shard * images // shards for shard in range(shards + 1)]


def manifest_text(facts, description, files):
    """Content of `dataset.json`.

    Args:
        facts: What the writer of the records knows: images, shape, ...
        description: What its caller knows: source, options, label_names, ...
        files: {name: {"bytes": size, "crc32c": checksum}} of all other files.
    """
    text = json.dumps({"format": VERSION, **facts, **description, "files": {}}, indent=2)
    entries = ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(files.items()))
    return text.removesuffix("{}\n}") + f"{{\n{entries}\n  }}\n}}\n"  # a line for each file


def read_manifest(directory):
    """`dataset.json` of a data set; {} if there is none, as in the original's data sets.

    Raises:
        ValueError: It is damaged or of a later format; the file is named.
    """
    path = Path(directory) / MANIFEST
    remedy = f"move it away, then run: python dataset_tool.py verify {shlex.quote(str(directory))}"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); {remedy}") from error
    files = manifest.get("files", {}) if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or not all(_is_entry(entry) for entry in files.values()):
        raise ValueError(f"{path} is no manifest; {remedy}")
    if manifest.get("format", VERSION) != VERSION:
        raise ValueError(f"{path} has format {manifest['format']!r}, but this version reads {VERSION}; use a newer one")
    return manifest


def _is_entry(entry):
    return isinstance(entry, dict) and type(entry.get("bytes")) is int and type(entry.get("crc32c")) is int


def file_entry(path):
    """What the manifest says about a file: {"bytes", "crc32c"}; reads all of it."""
    size = crc = 0
    with open(path, "rb") as file:
        while data := file.read(READ_AT_ONCE):
            size, crc = size + len(data), google_crc32c.extend(crc, data)
    return {"bytes": size, "crc32c": crc}


def read_index(path, size):
    """Where the records of a file begin, int64 [records + 1]; the last one is the file's size.

    Args:
        path: The index.
        size: Bytes of the file of records.

    Returns:
        None if there is no index, or if it is none for this file: then the records have to be looked for.
    """
    try:
        with open(path, "rb") as file:
            offsets = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if offsets.dtype != np.int64 or offsets.ndim != 1 or len(offsets) < 1:
        return None
    if offsets[0] != 0 or offsets[-1] != size or (np.diff(offsets) <= 0).any():
        return None
    return offsets
