"""Of an HDF5 file the widest item is taken, with the labels beside the file, and nothing from other files."""

import h5py
import numpy as np
import pytest
from source_contract import check_source

from dataset_tools.errors import DatasetError
from dataset_tools.hdf5 import hdf5

PIXELS = np.random.RandomState(0).randint(0, 256, [5, 3, 16, 16], np.uint8)
SMALL = PIXELS[:, :, ::2, ::2]


def write(path, **items):
    with h5py.File(path, "w") as file:
        for name, value in items.items():
            file[name] = value
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "faces.h5", data8x8=SMALL, data16x16=PIXELS, other=np.zeros([5, 3, 32, 32], np.uint8))


def test_the_widest_item_that_begins_with_data_is_taken(path):
    source = hdf5(path)
    np.testing.assert_array_equal(check_source(source, (16, 16, 3)), PIXELS.transpose(0, 2, 3, 1))
    assert source.names[4] == "data16x16[4]"
    assert source.notes() == ["no labels: there is no faces-labels.npy beside the file"]


def test_gray_pictures_keep_one_channel(tmp_path):
    source = hdf5(write(tmp_path / "x.h5", data=PIXELS[:, :1]))
    np.testing.assert_array_equal(check_source(source, (16, 16, 1))[..., 0], PIXELS[:, 0])


def test_labels_beside_the_file_are_taken_along(path):
    labels = np.random.RandomState(1).randn(5, 7)
    np.save(path.with_name("faces-labels.npy"), labels)
    source = hdf5(path)
    np.testing.assert_array_equal(source.labels, labels.astype(np.float32))
    assert source.notes() == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros([4, 7]), r"float64 \[4, 7\], not numbers \[5, k\]"),
        (np.zeros(5), r"float64 \[5\], not numbers"),
        (np.array([["a"]] * 5), r"<U1 \[5, 1\], not numbers"),
        (np.array([[{}]] * 5), "no .npy file of numbers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(path, labels, message):
    np.save(path.with_name("faces-labels.npy"), labels, allow_pickle=True)
    with pytest.raises(DatasetError, match=f"faces-labels.npy.*{message}"):
        hdf5(path)


def test_items_of_other_files_are_left_alone(tmp_path):
    other = write(tmp_path / "other.h5", data64=np.zeros([5, 3, 64, 64], np.uint8))
    (tmp_path / "pixels.raw").write_bytes(bytes(5 * 3 * 128 * 128))
    path = write(tmp_path / "faces.h5", data16=PIXELS)
    with h5py.File(path, "a") as file:
        file["data64"] = h5py.ExternalLink(other, "/data64")
        raw = [(str(tmp_path / "pixels.raw"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("data128", (5, 3, 128, 128), np.uint8, external=raw)
        layout = h5py.VirtualLayout((5, 3, 64, 64), np.uint8)
        layout[:] = h5py.VirtualSource(other, "data64", (5, 3, 64, 64))
        file.create_virtual_dataset("datav", layout)
    assert hdf5(path).names[0] == "data16[0]"


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"images": PIXELS}, "no item of its own whose name starts with data"),
        ({"data": PIXELS[0]}, "no item of its own"),
        ({"data": PIXELS / 255}, "data is float64 of 5 x 3 x 16 x 16, not uint8"),
        ({"data": PIXELS.transpose(0, 2, 3, 1)}, "data is uint8 of 5 x 16 x 16 x 3, not .* images, channels, height"),
        ({"data": PIXELS[:0]}, "data is uint8 of 0 x 3 x 16 x 16"),
    ],
)
def test_other_contents_are_refused(tmp_path, items, message):
    with pytest.raises(DatasetError, match=f"x.h5.*{message}"):
        hdf5(write(tmp_path / "x.h5", **items))


def test_a_damaged_or_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"missing.h5 is no file"):
        hdf5(tmp_path / "missing.h5")
    (tmp_path / "x.h5").write_bytes(b"no HDF5")
    with pytest.raises(DatasetError, match=r"x.h5 is no HDF5 file, or is damaged"):
        hdf5(tmp_path / "x.h5")
