"""MNIST is read as published, and three digits are drawn together as the original draws them."""

import gzip
import os
import struct

import numpy as np
import pytest
from source_contract import check_source

from dataset_tools.errors import DatasetError
from dataset_tools.mnist import mnist, mnist_rgb

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
DIGITS = np.random.RandomState(0).randint(0, 256, [12, 28, 28], np.uint8)
CLASSES = np.array([5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5], np.uint8)


def idx(array, magic):
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


def write(directory, images=None, labels=None, compressed=True):
    """The two files of the training set; returns the folder."""
    for name, data in ((IMAGES, images), (LABELS, labels)):
        data = data if data is not None else idx(DIGITS, 2051) if name == IMAGES else idx(CLASSES, 2049)
        path = directory / (f"{name}.gz" if compressed else name)
        path.write_bytes(gzip.compress(data) if compressed else data)
    return directory


@pytest.mark.parametrize("compressed", [True, False])
def test_digits_have_two_black_pixels_around_them(tmp_path, compressed):
    images = check_source(mnist(write(tmp_path, compressed=compressed)), (32, 32, 1), 10)
    np.testing.assert_array_equal(images[:, 2:30, 2:30, 0], DIGITS)
    images[:, 2:30, 2:30] = 0
    assert not images.any()


def test_labels_are_one_hot_and_named(tmp_path):
    source = mnist(write(tmp_path))
    assert source.label_names == list("0123456789")
    assert source.labels[0].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    np.testing.assert_array_equal(source.labels.argmax(axis=1), CLASSES)
    np.testing.assert_array_equal(source.labels.sum(axis=1), 1)


def test_a_file_that_was_unpacked_under_its_packed_name_is_read(tmp_path):
    (write(tmp_path) / f"{IMAGES}.gz").write_bytes(idx(DIGITS, 2051))
    assert len(mnist(tmp_path)) == 12


def test_another_number_of_pictures_is_noted(tmp_path, monkeypatch):
    assert mnist(write(tmp_path)).notes() == ["12 pictures; MNIST as published has 60000"]
    monkeypatch.setattr("dataset_tools.mnist.PUBLISHED", 12)
    assert mnist(tmp_path).notes() == []


def test_the_stamp_changes_with_the_files(tmp_path):
    before = mnist(write(tmp_path)).stamp
    assert mnist(tmp_path).stamp == before
    os.utime(tmp_path / f"{IMAGES}.gz", (1, 1))
    assert mnist(tmp_path).stamp != before


def test_three_digits_are_drawn_picture_after_picture(tmp_path):
    images = check_source(mnist_rgb(write(tmp_path), num_images=50, random_seed=7), (32, 32, 3))
    random = np.random.RandomState(7)
    for image in images:
        chosen = random.randint(12, size=3)
        expected = [np.pad(DIGITS[index], 2) for index in chosen]
        np.testing.assert_array_equal(image, np.stack(expected, axis=-1))


def test_mnist_rgb_needs_no_labels_file(tmp_path):
    (write(tmp_path) / f"{LABELS}.gz").unlink()
    assert len(mnist_rgb(tmp_path, num_images=5)) == 5


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (idx(DIGITS, 2049), None, "begins with 2049, not with 2051"),
        (b"", None, "no header"),
        (idx(DIGITS, 2051)[:-1], None, "should hold 9408 bytes after its header, and holds 9407"),
        (idx(DIGITS, 2051) + b"x", None, "and holds more"),
        (idx(DIGITS[:, :20], 2051), None, "12 x 20 x 28 values, not pictures of 28x28"),
        (idx(DIGITS[:0], 2051), None, "0 x 28 x 28 values"),
        (struct.pack(">4I", 2051, 2**31, 28, 28), None, "announces 1683627180032 bytes"),
        (None, idx(CLASSES, 2051), "begins with 2051, not with 2049"),
        (None, idx(CLASSES[:5], 2049), "5 labels, but .* 12 pictures"),
        (None, idx(CLASSES + 1, 2049), "gives picture 4 the class 10, and classes go from 0 to 9"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, images, labels, message):
    name = IMAGES if images is not None else LABELS
    with pytest.raises(DatasetError, match=rf"{name}.*{message}"):
        mnist(write(tmp_path, images, labels))


def test_damaged_compression_is_named(tmp_path):
    path = write(tmp_path) / f"{LABELS}.gz"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DatasetError, match=f"{LABELS}.gz is damaged.*download"):
        mnist(tmp_path)


def test_a_missing_file_comes_with_the_page_that_has_it_and_its_mirrors(tmp_path):
    pages = r"http://yann\.lecun\.com/.*https://storage\.googleapis\.com/cvdf-datasets/mnist/ .*https://ossci-datasets"
    with pytest.raises(DatasetError, match=f"does not hold {IMAGES}.gz or {IMAGES}; download .* from {pages}"):
        mnist(tmp_path)


@pytest.mark.parametrize("options", [{"num_images": 0}, {"random_seed": -1}, {"random_seed": 2**32}])
def test_options_out_of_range_are_refused(tmp_path, options):
    with pytest.raises(ValueError, match="--" + next(iter(options)).replace("_", "-")):
        mnist_rgb(write(tmp_path), **options)
