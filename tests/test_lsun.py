"""LSUN's databases are read in the order of their keys and cropped as in the original."""

import io
import random

import lmdb
import numpy as np
import pytest
from PIL import Image
from source_contract import check_source

from dataset_tools.errors import DatasetError, Unsuitable
from dataset_tools.lmdb_entries import LmdbEntries
from dataset_tools.lsun import lsun, lsun_wide

SIZES = [(40, 30), (31, 52), (64, 64), (33, 33)]  # width, height


def scene(width, height, seed=0):
    return np.random.RandomState(seed).randint(0, 256, [height, width, 3], np.uint8)


def encoded(pixels, kind="webp", **options):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind, **options)
    return data.getvalue()


def write(directory, entries):
    """A database of {key: value}; returns its folder."""
    with lmdb.open(str(directory), map_size=2**26) as environment, environment.begin(write=True) as transaction:
        for key, value in entries.items():
            transaction.put(key, value)
    return directory


def scenes(sizes=SIZES):
    """({key: picture} in the order of the keys, the pictures' pixels)."""
    pixels = [scene(*size, seed) for seed, size in enumerate(sizes)]
    return {b"%040x" % seed: encoded(image, lossless=True) for seed, image in enumerate(pixels)}, pixels


def resized(pixels, *size):
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


# ---------------------------------------------------------------------------------------------------------------------
# create_lsun


def test_the_middle_of_each_picture_is_resized(tmp_path):
    entries, pixels = scenes()
    images = check_source(lsun(write(tmp_path / "x", entries), resolution=16), (16, 16, 3))
    for image, original in zip(images, pixels, strict=True):
        height, width, _ = original.shape
        side = min(height, width)
        rows = slice((height - side) // 2, (height + side) // 2)
        columns = slice((width - side) // 2, (width + side) // 2)
        np.testing.assert_array_equal(image, resized(original[rows, columns], 16, 16))


def test_gray_pictures_become_rgb_and_jpeg_is_read(tmp_path):
    gray = scene(32, 32)[:, :, 0]
    entries = {b"a": encoded(gray, "png"), b"b": encoded(scene(32, 32), "jpeg")}
    images = check_source(lsun(write(tmp_path / "x", entries), resolution=32), (32, 32, 3))
    np.testing.assert_array_equal(images[0], np.stack([gray] * 3, axis=-1))
    np.testing.assert_array_equal(images[1], np.array(Image.open(io.BytesIO(entries[b"b"]))))


def test_order_and_names_are_those_of_the_keys(tmp_path):
    entries = {key: encoded(scene(16, 16, seed), "png") for seed, key in enumerate([b"c", b"a", b"b\xff\n"])}
    source = lsun(write(tmp_path / "x", entries), resolution=16)
    assert list(source.names) == ["a", r"b\xff\n", "c"]
    np.testing.assert_array_equal([source[i] for i in range(3)], [scene(16, 16, seed) for seed in (1, 2, 0)])


def test_an_entry_that_is_no_picture_is_named_and_the_others_are_read(tmp_path):
    entries, _ = scenes()
    entries[b"%040x" % 1] = b"no picture"
    entries[b"%040x" % 2] = entries[b"%040x" % 2][:100]
    source = lsun(write(tmp_path / "x", entries), resolution=16)
    for index in (1, 2):
        with pytest.raises(DatasetError, match="x: 0{39}" + str(index)):
            source[index]
    assert source[3].shape == (16, 16, 3)


def test_enlarged_pictures_are_noted(tmp_path):
    entries, _ = scenes()
    source = lsun(write(tmp_path / "x", entries), resolution=32)
    check_source(source, (32, 32, 3))
    assert source.notes() == ["2 pictures were smaller than 32x32 pixels and were enlarged"]


@pytest.mark.parametrize("resolution", [0, 4, 48, 2048])
def test_a_resolution_that_is_no_power_of_two_is_refused(tmp_path, resolution):
    with pytest.raises(ValueError, match=f"--resolution must be a power of two from 8 to 1024, not {resolution}"):
        lsun(tmp_path, resolution)


# ---------------------------------------------------------------------------------------------------------------------
# create_lsun_wide


@pytest.mark.parametrize(("width", "height"), [(32, 24), (32, 32), (64, 37)])
def test_middle_rows_are_resized_between_black_bars(tmp_path, width, height):
    entries, pixels = scenes([(64, 64), (100, 101), (65, 90)])
    images = check_source(lsun_wide(write(tmp_path / "x", entries), width, height), (width, width, 3))
    for image, original in zip(images, pixels, strict=True):
        rows = int(np.round(width * original.shape[0] / original.shape[1]))
        middle = original[(original.shape[0] - rows) // 2 : (original.shape[0] + rows) // 2]
        expected = np.zeros([width, width, 3], np.uint8)
        expected[(width - height) // 2 : (width + height) // 2] = resized(middle, width, height)
        np.testing.assert_array_equal(image, expected)


def test_narrow_and_low_pictures_are_unsuitable_for_one_reason(tmp_path):
    entries, _ = scenes([(31, 40), (100, 73), (32, 24)])
    source = lsun_wide(write(tmp_path / "x", entries), 32, 24)
    for index, found in ((0, "31x40"), (1, "100x73")):
        with pytest.raises(Unsuitable, match=f"is too narrow or too low for 32x24; it has {found} pixels"):
            source[index]
    assert source[2].shape == (32, 32, 3)


@pytest.mark.parametrize(("size", "option"), [((48, 24), "width"), ((32, 33), "height"), ((32, 0), "height")])
def test_sizes_out_of_range_are_refused(tmp_path, size, option):
    with pytest.raises(ValueError, match=f"--{option} must be"):
        lsun_wide(tmp_path, *size)


# ---------------------------------------------------------------------------------------------------------------------
# Databases


def test_entries_are_found_by_number_from_anywhere(tmp_path):
    keys = [b"%06d" % number for number in random.Random(0).sample(range(10**6), 2000)]
    entries = LmdbEntries(write(tmp_path / "x", {key: key[::-1] for key in keys}))
    expected = sorted(keys)
    for index in (1999, 0, 255, 256, 257, 1024, 1999, *range(0, 2000, 97)):
        assert entries[index] == (expected[index].decode(), expected[index][::-1])
    assert list(entries.names) == [key.decode() for key in expected]
    for index in (2000, -2001):
        with pytest.raises(IndexError):
            entries[index]


def test_a_cut_database_is_refused_before_it_is_read(tmp_path):
    path = write(tmp_path / "x", scenes()[0]) / "data.mdb"
    path.write_bytes(path.read_bytes()[:-4096])
    with pytest.raises(DatasetError, match=r"data.mdb has [\d,]+ of [\d,]+ bytes; unzip or copy it again"):
        lsun(tmp_path / "x")


def test_what_is_no_database_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"does not hold data.mdb; give the unzipped folder .*yf.io/p/lsun"):
        lsun(tmp_path)
    (tmp_path / "data.mdb").write_bytes(bytes(9000))
    with pytest.raises(DatasetError, match="is no LMDB database that can be read"):
        lsun(tmp_path)
    with pytest.raises(DatasetError, match="is an empty database"):
        lsun(write(tmp_path / "empty", {}))


def test_without_the_package_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("dataset_tools.lmdb_entries.lmdb", None)
    with pytest.raises(ValueError, match="pip install lmdb"):
        lsun(tmp_path)
