"""CIFAR-10 and CIFAR-100: 32x32 pictures in the binary version or the Python version that their authors publish.

The binary version is one record a picture: its class (CIFAR-100: superclass, class) in one byte each, then 1024 bytes
each of red, green and blue. The Python version is a pickled dictionary, which is read here without unpickling it.
"""

from pathlib import Path

import numpy as np

from dataset_tools.errors import DatasetError
from dataset_tools.published import PixelSource, count_notes, one_hot, stamp_of, unreadable
from stylegan_tf.inert_pickle import Call, Global, read_pickle

PIXELS = (3, 32, 32)  # C, H, W
BYTES = int(np.prod(PIXELS))
PUBLISHED = 50000
REMEDY = (
    "download the binary version from https://www.cs.toronto.edu/~kriz/cifar.html and give the folder it unpacks to"
)
CIFAR10_FILES = [f"data_batch_{number}" for number in range(1, 6)]
CIFAR10_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
NAMES_FILE = "fine_label_names.txt"  # comes with the binary version of CIFAR-100

# what a NumPy array in a pickle names, and how many instructions 50000 labels, superclasses and file names take
ARRAY, KIND, TYPE = ("numpy.core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype")
EXPECTED = frozenset([ARRAY, KIND, TYPE])
MAX_INSTRUCTIONS = 1_000_000


def cifar10(cifar10_dir):
    """The five training batches: uint8 [32, 32, 3], 10 labels.

    Unlike the original, which wants exactly 50000 pictures, it takes as many as there are and notes another number.

    Args:
        cifar10_dir: Folder with data_batch_1.bin to _5.bin, or data_batch_1 to _5 of the Python version.

    Raises:
        DatasetError: A file is missing, damaged, or not of this data set.
    """
    paths = _find(cifar10_dir, CIFAR10_FILES)
    read = [_read_binary(path, 1) if path.suffix else _read_python(path, "labels") for path in paths]
    images, classes = zip(*read, strict=True)
    labels = [one_hot(part, 10, path) for part, path in zip(classes, paths, strict=True)]
    return _source(np.concatenate(images), np.concatenate(labels), CIFAR10_NAMES, paths, "CIFAR-10")


def cifar100(cifar100_dir):
    """The training set: uint8 [32, 32, 3], 100 labels, the fine ones.

    Args:
        cifar100_dir: Folder with train.bin, or train of the Python version.

    Raises:
        DatasetError: The file is missing, damaged, or not of this data set.
    """
    paths = _find(cifar100_dir, ["train"])
    images, classes = _read_binary(paths[0], 2) if paths[0].suffix else _read_python(paths[0], "fine_labels")
    return _source(images, one_hot(classes, 100, paths[0]), _fine_names(cifar100_dir), paths, "CIFAR-100")


def _source(images, labels, label_names, paths, name):
    where = paths[0].name if len(paths) == 1 else name
    notes = count_notes(len(images), PUBLISHED, name)
    return PixelSource(images.transpose(0, 2, 3, 1), where, stamp_of(paths), labels, label_names, notes)


def _find(directory, names):
    """Paths of all files of the binary version, or else of the Python version."""
    binary, python = ([Path(directory) / f"{name}{suffix}" for name in names] for suffix in (".bin", ""))
    paths = python if any(map(Path.is_file, python)) and not any(map(Path.is_file, binary)) else binary
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise DatasetError(f"{directory} does not hold {', '.join(missing)}; {REMEDY}")
    return paths


def _read_binary(path, classes_in_front):
    """(uint8 [N, 3, 32, 32], classes [N]), from records that begin with some classes; the last of them counts."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise unreadable(path, error) from error
    size = classes_in_front + BYTES
    if not len(data) or len(data) % size:
        raise DatasetError(
            f"{path} has {len(data)} bytes, not a multiple of {size}; it is cut short or another file, {REMEDY}"
        )
    records = data.reshape(-1, size)
    return records[:, classes_in_front:].reshape(-1, *PIXELS), records[:, classes_in_front - 1]


def _read_python(path, label_key):
    """(uint8 [N, 3, 32, 32], classes [N]), from a pickled dictionary."""
    try:
        content = read_pickle(path.read_bytes(), EXPECTED, MAX_INSTRUCTIONS)
        if not isinstance(content, dict):
            raise ValueError("it holds no dictionary")
        images, classes = _bytes_of(content.get("data")), content.get(label_key)
        if not isinstance(classes, list) or not all(type(value) is int for value in classes):
            raise ValueError(f"it has no list of whole numbers {label_key}")
        if not classes or len(images) != len(classes):
            raise ValueError(f"it has {len(images)} pictures and {len(classes)} labels")
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise DatasetError(f"{path} is not of CIFAR's Python version: {error}; {REMEDY}") from error
    return images, np.clip(classes, -1, 256)  # one_hot refuses what is out of range, however large


def _bytes_of(value):
    """Pixels of a pickled uint8 array [N, 3072]: uint8 [N, 3, 32, 32]."""
    built = isinstance(value, Call) and value.name == ARRAY and value.arguments[:1] == (Global(KIND),)
    if not built or not isinstance(value.state, tuple) or len(value.state) != 5:
        raise ValueError("it has no array data")
    _, shape, kind, fortran, data = value.state
    plain = isinstance(kind, Call) and kind.name == TYPE and kind.arguments[:1] == ("u1",) and fortran is False
    if not plain or not isinstance(shape, tuple) or [type(size) for size in shape] != [int, int] or shape[1] != BYTES:
        raise ValueError(f"its array data is not uint8 [N, {BYTES}]")
    if not isinstance(data, memoryview) or len(data) != shape[0] * BYTES:
        raise ValueError("its array data is cut short")
    return np.frombuffer(data, np.uint8).reshape(-1, *PIXELS)


def _fine_names(directory):
    """Names of the 100 classes, if the file with them is there as published."""
    try:
        names = (Path(directory) / NAMES_FILE).read_text("utf-8").split()
    except (OSError, UnicodeDecodeError):
        return []
    return names if len(names) == 100 else []
