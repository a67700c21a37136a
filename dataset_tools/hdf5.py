"""HDF5 files as Progressive GAN's tool made them: pictures at several resolutions, one item each."""

from pathlib import Path

import h5py
import numpy as np

from dataset_tools.errors import DatasetError
from dataset_tools.published import NumberedNames, stamp_of


def hdf5(hdf5_filename):
    """Pictures of the largest resolution, with the labels beside the file; see `Hdf5Source`."""
    return Hdf5Source(hdf5_filename)


class Hdf5Source:
    """Of the items whose name starts with "data", the widest one: uint8 [N, C, H, W] with C 1, 3 or 4.

    Only what is in the file itself counts. A link or an item that points at another file is left alone.

    Args:
        hdf5_filename: The file. NAME-labels.npy beside it, numbers [N, k], becomes the labels.

    Attributes:
        names: "data256x256[0]", ...
        labels: float32 [N, k]; [N, 0] without that file.
        label_names: [].
        stamp: Identity of both files.

    Raises:
        DatasetError: The file has no such item, or the labels do not go with it.
    """

    def __init__(self, hdf5_filename):
        path = Path(hdf5_filename)
        self.path, self.data = path, _open(path)
        self.names = NumberedNames(self.data.name.lstrip("/"), len(self.data))
        self.label_names = []
        labels = path.with_name(f"{path.stem}-labels.npy")
        self._labelled = labels.is_file()
        self.labels = _read_labels(labels, len(self)) if self._labelled else np.zeros([len(self), 0], np.float32)
        self.stamp = stamp_of([path, labels] if self._labelled else [path])

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        """uint8 [H, W, C]."""
        try:
            return np.ascontiguousarray(self.data[int(index)].transpose(1, 2, 0))
        except Exception as error:  # the library raises almost anything for a damaged file
            raise DatasetError(
                f"{self.names[index]} of {self.path} is damaged ({error}); get the file again"
            ) from error

    def notes(self):
        return [] if self._labelled else [f"no labels: there is no {self.path.stem}-labels.npy beside the file"]


def _open(path):
    """The item that is taken."""
    if not path.is_file():
        raise DatasetError(f"{path} is no file; HDF5_FILENAME must be an HDF5 file")
    try:
        return _widest(path, h5py.File(path, "r"))
    except DatasetError:
        raise
    except Exception as error:  # as above
        raise DatasetError(f"{path} is no HDF5 file, or is damaged ({error}); get it again") from error


def _widest(path, file):
    """The item with the longest axis 3, as the original picks it, among those that hold pictures."""
    found = []
    for name in file:
        if name.startswith("data") and isinstance(file.get(name, getlink=True), h5py.HardLink):
            item = file[name]
            if isinstance(item, h5py.Dataset) and item.ndim == 4 and not item.is_virtual and not item.external:
                found.append(item)
    if not found:
        raise DatasetError(
            f"{path} has no item of its own whose name starts with data and whose shape is images, channels, height, "
            "width; for another layout, write the pictures to files and use create_from_images"
        )
    widest = max(found, key=lambda item: item.shape[3])
    if widest.dtype != np.uint8 or widest.shape[1] not in (1, 3, 4) or 0 in widest.shape:
        shape = " x ".join(str(length) for length in widest.shape)
        raise DatasetError(
            f"{path}: {widest.name.lstrip('/')} is {widest.dtype} of {shape}, not uint8 pictures of 1, 3 or 4 channels "
            "in the order images, channels, height, width"
        )
    return widest


def _read_labels(path, count):
    try:
        labels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"{path} is no .npy file of numbers ({error}); replace it or move it away") from error
    if (
        not isinstance(labels, np.ndarray)
        or labels.dtype.kind not in "buif"
        or labels.ndim != 2
        or len(labels) != count
    ):
        found = f"{labels.dtype} {list(labels.shape)}" if isinstance(labels, np.ndarray) else "several arrays"
        raise DatasetError(f"{path} holds {found}, not numbers [{count}, k], a row for each picture")
    return labels.astype(np.float32)
