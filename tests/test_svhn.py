"""SVHN is read from the published MATLAB file, where the digit 0 has the label 10."""

import numpy as np
import pytest
from scipy.io import savemat
from source_contract import check_source

from dataset_tools.errors import DatasetError
from dataset_tools.svhn import svhn

PICTURES = np.random.RandomState(0).randint(0, 256, [6, 32, 32, 3], np.uint8)
DIGITS = np.array([1, 9, 10, 2, 10, 3], np.uint8)


def write(directory, pictures=PICTURES, digits=DIGITS, compressed=True, **more):
    arrays = {"X": pictures.transpose(1, 2, 3, 0), "y": digits[:, np.newaxis]}
    savemat(directory / "train_32x32.mat", more | arrays, do_compression=compressed)
    return directory


@pytest.mark.parametrize("compressed", [True, False])
def test_pictures_are_read_in_their_order(tmp_path, compressed):
    source = svhn(write(tmp_path, compressed=compressed))
    np.testing.assert_array_equal(check_source(source, (32, 32, 3), 10), PICTURES)
    assert source.notes() == ["6 pictures; SVHN as published has 73257"]


def test_label_ten_is_class_zero(tmp_path):
    source = svhn(write(tmp_path))
    assert source.labels.argmax(axis=1).tolist() == [1, 9, 0, 2, 0, 3]
    np.testing.assert_array_equal(source.labels.sum(axis=1), 1)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float64])
def test_labels_may_be_numbers_of_any_kind(tmp_path, kind):
    assert svhn(write(tmp_path, digits=DIGITS.astype(kind))).labels.argmax(axis=1).tolist() == [1, 9, 0, 2, 0, 3]


def test_other_variables_do_not_matter(tmp_path):
    source = svhn(write(tmp_path, text="x", record={"a": 1}, cell=np.array([1, "x"], object), z=np.array([1j])))
    np.testing.assert_array_equal(check_source(source, (32, 32, 3), 10), PICTURES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digits": DIGITS - 1}, "picture 0 the label 0, not one from 1 to 10"),
        ({"digits": DIGITS + 1}, "picture 2 the label 11"),
        ({"digits": DIGITS[:5]}, "has no labels y, one whole number for each of its 6 pictures"),
        ({"digits": DIGITS / 2}, "has no labels y"),
        ({"pictures": PICTURES / 255.0}, "has no uint8 pictures X"),
        ({"pictures": PICTURES[:, :28]}, "has no uint8 pictures X of 32 x 32 x 3 x N"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, message):
    with pytest.raises(DatasetError, match=f"train_32x32.mat.*{message}.*housenumbers"):
        svhn(write(tmp_path, **change))


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file", b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "train_32x32.mat").write_bytes(content)
    with pytest.raises(DatasetError, match=r"train_32x32.mat is no MATLAB 5 file, or is damaged .*; download"):
        svhn(tmp_path)


def test_a_cut_file_is_named(tmp_path):
    path = write(tmp_path) / "train_32x32.mat"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"train_32x32.mat.*; download"):
        svhn(tmp_path)


def test_a_missing_file_comes_with_the_page_that_has_it(tmp_path):
    with pytest.raises(DatasetError, match=r"does not hold train_32x32.mat; .*ufldl.stanford.edu"):
        svhn(tmp_path)
