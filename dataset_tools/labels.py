"""Labels of pictures, from the folders that they lie in, a JSON or a CSV file: names on one side, rows on the other."""

import csv
import io
import json
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dataset_tools.errors import DatasetError, printable

MAX_LABEL_BYTES = 2**31  # of the whole array
MAX_CLASSES = 1_000_000
LARGEST = float(np.finfo(np.float32).max)


@dataclass
class Labels:
    """What `read_labels` found.

    Attributes:
        rows: float32 [n, k], zeros for a picture without a label.
        names: k names of the columns, or [] where nothing names them.
        missing: Indices of pictures without a label.
        surplus: Names that have a label, but are no picture.
    """

    rows: np.ndarray
    names: list[str]
    missing: list[int] = field(default_factory=list)
    surplus: list[str] = field(default_factory=list)


def read_labels(what, names, container=None):
    """Labels of pictures.

    Class numbers (from 0) become one column a class, of which one is 1; so do texts, in sorted order. Numbers with a
    fraction and lists of numbers stay as they are.

    Args:
        what: "folders": the first folder of each name. Else a file, on disk or in the container:
            .json {"labels": [["cats/1.png", 3], …]}, the labels numbers, texts or lists, as StyleGAN2-ADA's
            dataset.json; .csv with a name and one or more columns a line, a first line of column names if wanted.
        names: Paths of the pictures, "/" between the parts.
        container: `Container` to look for the file in, where there is none on disk.

    Raises:
        DatasetError: The file cannot be read, says nothing usable, or knows none of the pictures.
    """
    if what == "folders":
        found = {name: name.split("/")[0] if "/" in name else None for name in names}
        return _assemble("--labels folders", found, names, [])
    text = _read_text(what, container)
    reader = {".json": _from_json, ".csv": _from_csv}.get(Path(what).suffix.lower())
    if reader is None:
        raise DatasetError(f"--labels {what}: give 'folders', a .json or a .csv file")
    found, columns = reader(what, text)
    return _assemble(what, found, names, columns)


def _read_text(what, container):
    try:
        if container is not None and not Path(what).exists():
            data = container.read_file(str(what))
            if data is not None:
                return data.decode("utf-8-sig")
        return Path(what).read_text("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"--labels {what} cannot be read: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"--labels {what} is no UTF-8 text ({error}); save it as UTF-8") from error


def _from_json(what, text):
    """{name: label}"""
    try:
        labels = json.loads(text)["labels"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(
            f'{what} is no JSON of the form {{"labels": [["a.png", 3], …]}} ({error}); mend it'
        ) from error
    pairs = list(labels.items()) if isinstance(labels, dict) else labels
    if not isinstance(pairs, list) or not pairs:
        raise DatasetError(f'{what} has no labels under "labels"; leave out --labels, or put [["a.png", 3], …] there')
    for number, pair in enumerate(pairs):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise DatasetError(f'{what}: entry {number} of "labels" is not [name, label], but {_short(pair)}; mend it')
    return _without_repeats(what, pairs), []


def _from_csv(what, text):
    """({name: label}, column names)"""
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if any(line)]
    except csv.Error as error:
        raise DatasetError(f"{what} is no CSV ({error}); mend it") from error
    if not lines or len(lines[0]) < 2:
        raise DatasetError(f"{what} has no lines of the form a.png,3; mend it")
    columns = []
    if not Path(lines[0][0]).suffix:  # "file,label" rather than a picture's name
        columns = lines.pop(0)[1:]
    width = len(lines[0]) if lines else 2
    for line in lines:
        if len(line) != width:
            raise DatasetError(f"{what}: {printable(line[0])} has {len(line) - 1} columns, others {width - 1}; mend it")
    values = _numbers([line[1:] for line in lines])
    if width > 2 and values is None:
        raise DatasetError(f"{what} has text in one of its {width - 1} columns; give numbers, or one column of texts")
    labels = values or [line[1:] for line in lines]
    pairs = [(line[0], label if width > 2 else label[0]) for line, label in zip(lines, labels, strict=True)]
    return _without_repeats(what, pairs), columns if width > 2 else []


def _numbers(rows):
    """Rows of texts as integers if all are, else as floats if all are, else None."""
    for number in (int, float):
        try:
            return [[number(text) for text in row] for row in rows]
        except ValueError:
            continue
    return None


def _without_repeats(what, pairs):
    found = {}
    for name, label in pairs:
        if name in found and found[name] != label:
            both = f"{_short(found[name])} and {_short(label)}"
            raise DatasetError(f"{what} gives {printable(name)} two labels, {both}; keep one")
        found[name] = label
    return found


def _assemble(what, found, names, columns):
    """{name: label, None for none} → `Labels` in the order of `names`."""
    found = {_composed(name): label for name, label in found.items() if label is not None}
    pictures = [_composed(name) for name in names]
    missing = [index for index, name in enumerate(pictures) if name not in found]
    if len(missing) == len(names):
        examples = (
            f"it names {_short(min(found))}, the pictures are called {_short(names[0])}" if found else "it is empty"
        )
        raise DatasetError(f"{what} has a label for none of the pictures: {examples}; make the names agree")
    surplus = sorted(found.keys() - set(pictures))
    for name, label in found.items():
        if isinstance(label, bool) or not isinstance(label, int | float | str | list):
            raise _wrong(what, name, label, "give a class number, a text, or a list of numbers")
    kinds = {type(label) for label in found.values()}
    if kinds == {int}:
        rows, columns = _one_hot(what, found, pictures, _class_numbers(what, found))
    elif kinds == {str}:
        rows, columns = _one_hot(what, found, pictures, sorted(set(found.values())))
    else:
        rows = _as_they_are(what, found, pictures)
    if columns and len(columns) != rows.shape[1]:
        raise DatasetError(f"{what} names {len(columns)} columns, but has {rows.shape[1]}; mend its first line")
    return Labels(rows, list(columns), missing, surplus)


def _class_numbers(what, found):
    """range(number of classes)"""
    for name, label in found.items():
        if not 0 <= label < MAX_CLASSES:
            raise _wrong(what, name, label, f"number the classes from 0, below {MAX_CLASSES:,}")
    return range(max(found.values()) + 1)


def _one_hot(what, found, pictures, classes):
    """(float32 [n, classes], names of the classes)"""
    size = len(pictures) * len(classes) * np.float32().itemsize
    if size > MAX_LABEL_BYTES:
        raise DatasetError(
            f"{what} has {len(classes):,} classes, which takes {size / 2**30:.0f} GiB for {len(pictures):,} pictures; "
            "number the classes from 0 without gaps, or use fewer"
        )
    column = {label: number for number, label in enumerate(classes)}
    rows = np.zeros([len(pictures), len(classes)], np.float32)
    for index, name in enumerate(pictures):
        if name in found:
            rows[index, column[found[name]]] = 1
    return rows, [str(label) for label in classes]


def _as_they_are(what, found, pictures):
    """float32 [n, numbers in a label]"""
    vectors = {name: label if isinstance(label, list) else [label] for name, label in found.items()}
    size = len(next(iter(vectors.values())))
    for name, vector in vectors.items():
        if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in vector):
            raise _wrong(
                what, name, found[name], "give labels of one kind: all numbers, all texts or all lists of numbers"
            )
        if not vector or len(vector) != size:
            raise _wrong(what, name, found[name], f"give every picture as many numbers, {size} like the first")
        if not all(abs(number) <= LARGEST for number in vector):  # false for not-a-number, too
            raise _wrong(what, name, found[name], "give finite numbers")
    absent = [0.0] * size
    return np.array([vectors.get(name, absent) for name in pictures], np.float32)


def _composed(name):
    """One spelling: macOS stores "é" as two characters in the names of files, others as one."""
    return unicodedata.normalize("NFC", name)


def _wrong(what, name, label, remedy):
    return DatasetError(f"{what}: the label of {printable(name)} is {_short(label)}; {remedy}")


def _short(value):
    text = printable(repr(value))
    return text if len(text) <= 60 else f"{text[:60]}…"
