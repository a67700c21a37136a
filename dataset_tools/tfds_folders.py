"""Folders in which tensorflow-datasets has prepared a data set: where they are, and what they say about themselves."""

import json
import os
import re
from pathlib import Path

import numpy as np
import tensorflow_datasets
from tensorflow_datasets.core.features import ClassLabel, FeaturesDict, Image

from dataset_tools.errors import DatasetError, printable

NAME = re.compile(r"(?P<name>\w+)(/(?P<config>\w[\w.+-]*))?(:(?P<version>\d+\.\d+\.\d+))?")
VERSION = re.compile(r"\d+\.\d+\.\d+")
DESCRIPTION, FEATURES = "dataset_info.json", "features.json"
CATALOGUE = "https://www.tensorflow.org/datasets/catalog"
CLASS_KEYS = ("pythonClassName", "python_class_name", "type")  # in features.json, now and in older versions
CLASSES = "tensorflow_datasets.core.features."  # the only ones that such a file may name


def prepared_folder(name, data_dir=None, download=False):
    """Folder of one version of a data set.

    Args:
        name: As "cifar10", "name/config" or "name/config:1.0.0"; without a version, the newest that is there.
        data_dir: Where tensorflow-datasets keeps its data; None for TFDS_DATA_DIR, else ~/tensorflow_datasets.
        download: Whether tensorflow-datasets may fetch and prepare what is not there.

    Raises:
        DatasetError: It is not there, and did not or may not come; or it is there in several configurations.
    """
    match = NAME.fullmatch(name)
    if not match:
        raise DatasetError(f"{name!r} is not NAME, NAME/CONFIG or NAME/CONFIG:VERSION; names are in {CATALOGUE}")
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    found = _versions(root / match["name"], match["config"], match["version"])
    configs = sorted({path.parent.name for path in found})
    if len(configs) > 1:
        raise DatasetError(f"{name} is there as {', '.join(configs)}; choose one as {match['name']}/CONFIG")
    if found:
        return max(found, key=lambda path: [int(number) for number in path.name.split(".")])
    if download:
        return _fetch(name, root)
    raise DatasetError(
        f"{name} is not in {printable(root)}; let tensorflow-datasets get it with --download, or say with --data-dir "
        f"where it is. Names are in {CATALOGUE}"
    )


def _versions(folder, config, version):
    """Folders of prepared versions, without configuration if possible."""
    version = version or "*"
    for pattern in [f"{config}/{version}"] if config else [version, f"*/{version}"]:
        paths = [path for path in folder.glob(pattern) if VERSION.fullmatch(path.name)]
        paths = [path for path in paths if (path / DESCRIPTION).is_file() and (path / FEATURES).is_file()]
        if paths:
            return paths
    return []


def _fetch(name, root):
    """Let tensorflow-datasets download and prepare a data set; returns its folder."""
    try:
        builder = tensorflow_datasets.builder(name, data_dir=root, try_gcs=False)
    except Exception as error:  # unknown names and configurations, missing packages
        raise DatasetError(f"{name} cannot be prepared: {_reason(error)}. Names are in {CATALOGUE}") from error
    try:
        builder.download_and_prepare()
    except Exception as error:  # anything between here and a server
        raise DatasetError(
            f"{name} could not be downloaded and prepared: {_reason(error)}. Try again, or see what "
            f"{CATALOGUE}/{builder.name} says about it"
        ) from error
    return Path(builder.data_dir)


def open_folder(folder):
    """The builder of tensorflow-datasets for the data set in a folder.

    Raises:
        DatasetError: The folder is damaged, or its features are not read here.
    """
    try:
        _check_classes(json.loads((folder / FEATURES).read_text("utf-8")), folder / FEATURES)
        builder = tensorflow_datasets.builder_from_directory(folder)
        if not isinstance(builder.info.features, FeaturesDict):
            raise DatasetError(f"{printable(folder)} has no features by name, so no pictures")
    except DatasetError:
        raise
    except Exception as error:  # damaged files, or files of another version
        raise DatasetError(
            f"{printable(folder)} cannot be read ({_reason(error)}); delete it and prepare the data set again"
        ) from error
    return builder


def _check_classes(value, path):
    """Refuse classes of other packages anywhere in features.json: tensorflow-datasets would import them."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):  # JSON within JSON
        try:
            value = json.loads(value)
        except ValueError:
            return
    if isinstance(value, list):
        for item in value:
            _check_classes(item, path)
    if isinstance(value, dict):
        for key, item in value.items():
            if key in CLASS_KEYS and isinstance(item, str) and "." in item and not item.startswith(CLASSES):
                raise DatasetError(
                    f"{printable(path)} names the class {item!a}, which is not one of tensorflow-datasets' own; "
                    "nothing is imported for a file. Use a data set with plain pictures"
                )
            _check_classes(item, path)


def image_feature(info):
    """Name of the feature that is the picture.

    Raises:
        DatasetError: There is none, or there are several.
    """
    names = [name for name, feature in info.features.items() if type(feature) is Image]  # subclasses are masks
    preferred = info.supervised_keys[0] if info.supervised_keys else "image"
    if preferred in names:
        names = [preferred]
    if len(names) != 1:
        raise DatasetError(
            f"{info.full_name} has {len(names)} features that are pictures, not one; its features: "
            f"{', '.join(info.features)}"
        )
    if info.features[names[0]].np_dtype == np.float32:
        raise DatasetError(f"{info.full_name}: {names[0]} holds measurements (float32), not pictures")
    return names[0]


def label_feature(info, label=None):
    """Name of the feature that is the label, None for no labels.

    Args:
        info: `DatasetInfo`.
        label: Its name; "none" for no labels; None for the only class label, or the one to be learned by its authors.

    Raises:
        DatasetError: It is no class label.
    """
    names = [name for name, feature in info.features.items() if isinstance(feature, ClassLabel)]
    if label == "none":
        return None
    if label is not None and label not in names:
        raise DatasetError(
            f"--label {label} is no class of {info.full_name}; give one of {', '.join([*names, 'none'])}"
        )
    if label is not None:
        return label
    to_learn = [name for name in names if name in (info.supervised_keys or ())]
    return names[0] if len(names) == 1 else to_learn[0] if to_learn else None


def records_of_split(info, split):
    """[(path, first record, number of records), ...].

    Raises:
        DatasetError: There is no such split, or it is empty.
    """
    try:
        instructions = info.splits[split].file_instructions
    except Exception as error:  # no such split, or no such notation
        raise DatasetError(
            f"--split {split}: {_reason(error)}. {info.full_name} has {', '.join(info.splits)}"
        ) from error
    parts = [(part.filename, part.skip, part.take) for part in instructions if part.take > 0]
    if not parts:
        raise DatasetError(f"--split {split} of {info.full_name} has no pictures")
    return parts


def _reason(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
