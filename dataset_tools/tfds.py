"""Image data sets of tensorflow-datasets, with their class labels, read without TensorFlow."""

import hashlib

import numpy as np
from tensorflow_datasets.core.decode import DeserializeMethod
from tensorflow_datasets.proto import tf_example_pb2

from dataset_tools.errors import DatasetError, printable
from dataset_tools.labels import Labels
from dataset_tools.published import one_hot, stamp_of
from dataset_tools.sources import PictureSource
from dataset_tools.tfds_folders import (
    DESCRIPTION,
    FEATURES,
    image_feature,
    label_feature,
    open_folder,
    prepared_folder,
    records_of_split,
)
from dataset_tools.tfds_records import TfRecords


def tfds(name, split="train", data_dir=None, label=None, download=False, on_error="fail", **options):
    """The pictures of a data set, made squares as those of a folder are. Nothing is downloaded unless asked for.

    Args:
        name: As "cifar10", "name/config" or "name/config:1.0.0"; without a version, the newest that is there.
        split: As "train", "train+test" or "train[:10%]".
        data_dir: Where tensorflow-datasets keeps its data; None for TFDS_DATA_DIR, else ~/tensorflow_datasets.
        label: Feature that becomes the one-hot labels; "none" for none; None for the class label, if there is just one.
        download: Whether tensorflow-datasets may fetch and prepare what is not there.
        on_error: "fail": every record must be sound and have its label. "skip": an error comes when it is read.
        options: Of `PictureSource`: resolution, transform, resize_filter, background, channels, mirror.

    Returns:
        A `PictureSource`.

    Raises:
        DatasetError: The data set is not there, is damaged, or has no such pictures.
        ValueError: An option has no such value.
    """
    pictures = TfdsPictures(prepared_folder(name, data_dir, download), split, label, on_error)
    return PictureSource(pictures, labels=pictures.labels, on_error=on_error, **options)


class TfdsPictures:
    """The pictures of a prepared data set as they are stored: an open container, see `dataset_tools.containers`.

    Args:
        folder: Folder of one version of a data set.
        split, label, on_error: See `tfds`.

    Attributes:
        path: The folder.
        names: As "train[:10%][0]".
        labels: `Labels`.
        stamp: Identity of the input.
    """

    def __init__(self, folder, split, label=None, on_error="fail"):
        self.path = folder
        builder = open_folder(folder)
        self._full_name = builder.info.full_name
        self._image = image_feature(builder.info)
        parts = records_of_split(builder.info, split)
        self._records = self._open_records(builder, split, parts)
        self.names = [f"{split}[{number}]" for number in range(len(self._records))]
        self.labels = self._read_labels(builder.info.features, label_feature(builder.info, label), on_error)
        paths = [folder / DESCRIPTION, folder / FEATURES, *(path for path, _, _ in parts)]
        self.stamp = hashlib.sha256(f"{stamp_of(paths)} {split} {label}".encode()).hexdigest()

    def __len__(self):
        return len(self.names)

    def read(self, index):
        """Bytes of one picture, a PNG or JPEG file.

        Raises:
            DatasetError: The record is damaged.
        """
        values = self._feature(index, self._image).bytes_list.value
        if len(values) != 1:
            raise DatasetError(f"{self.full_name(self.names[index])} has no {self._image}; prepare the data set again")
        return values[0]

    def full_name(self, name):
        """How messages name a picture."""
        return f"{self._full_name} {name}"

    def notes(self):
        return []

    def _open_records(self, builder, split, parts):
        suffix = builder.info.file_format.file_suffix
        if suffix == "tfrecord":
            return TfRecords(parts)
        if suffix == "array_record":
            return builder.as_data_source(split, deserialize_method=DeserializeMethod.RAW_BYTES)
        raise DatasetError(
            f"{printable(self.path)} holds {suffix} files; prepare the data set as tfrecord or array_record"
        )

    def _feature(self, index, name):
        """One feature of a record, a tf.train.Feature."""
        try:
            example = tf_example_pb2.Example.FromString(self._records[index])
        except DatasetError:
            raise
        except Exception as error:  # readers of records raise almost anything for a damaged file
            raise DatasetError(f"{self.full_name(self.names[index])} is damaged ({error}); prepare it again") from error
        return example.features.feature[name]

    def _read_labels(self, features, name, on_error):
        """`Labels`, from one pass over the records: they lie beside the pictures."""
        if name is None:
            return Labels(np.zeros([len(self), 0], np.float32), [])
        classes, missing = np.zeros(len(self), np.int64), []
        for index in range(len(self)):
            try:
                values = self._feature(index, name).int64_list.value
            except DatasetError:
                if on_error == "fail":
                    raise
                continue  # the picture will not be read either
            if len(values) == 1 and values[0] >= 0:
                classes[index] = values[0]
            else:  # -1 in test sets whose classes are kept secret
                missing.append(index)
        if missing and on_error == "fail":
            shown = self.full_name(self.names[missing[0]])
            raise DatasetError(f"{shown} has no {name}; leave the labels out with --label none")
        rows = one_hot(classes, features[name].num_classes, self._full_name)
        return Labels(rows, features[name].names, missing)
