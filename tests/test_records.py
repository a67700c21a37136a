"""Data sets as a whole: the original's bytes in both directions, levels, shards, encodings, manifest and labels."""

import json
import shutil

import numpy as np
import pytest
from fidelity import assert_close
from record_data import GOLDEN, expected, left_in, noise, pictures, write

from dataset_tools.making import order_of
from stylegan_tf.record_writer import RecordFormat, RecordWriter, encode_levels
from stylegan_tf.records import load_labels, open_levels

SETS = {"rgb_noshuffle": ("png_rgb", False), "rgb_shuffle": ("png_rgb", True), "gray_shuffle": ("png_gray", True)}


# ---------------------------------------------------------------------------------------------------------------------
# The original's files


@pytest.mark.parametrize(("name", "folder", "shuffle"), [(name, *source) for name, source in SETS.items()])
def test_files_are_the_originals_byte_for_byte(tmp_path, name, folder, shuffle):
    images = pictures(folder)
    with RecordWriter(tmp_path / name, len(images)) as writer:
        for index in order_of(len(images), shuffle):
            writer.add_image(images[index])
    originals = sorted((GOLDEN / name).iterdir())
    assert left_in(tmp_path / name) == ["dataset.json", *[path.name for path in originals]]
    for original in originals:
        ours = (tmp_path / name / original.name).read_bytes()
        assert_close("records", f"dataset_tool/{name}", ours, original.read_bytes(), original.name)


def test_labels_are_the_originals_byte_for_byte(tmp_path):
    images, original = pictures("png_rgb"), GOLDEN / "rgb_labels"
    labels = expected()["in/labels_onehot"]
    with RecordWriter(tmp_path / "rgb_labels", len(images)) as writer:
        order = order_of(len(images), shuffle=True)
        for index in order:
            writer.add_image(images[index])
        writer.add_labels(labels[order])
    for path in original.iterdir():
        ours = (tmp_path / "rgb_labels" / path.name).read_bytes()
        assert_close("records", "dataset_tool/rgb_labels", ours, path.read_bytes(), path.name)
    np.testing.assert_array_equal(load_labels(original, len(images)), labels[order])
    assert load_labels(original, 3).shape == (3, 4)
    assert load_labels(GOLDEN / "rgb_shuffle", 10).shape == (10, 0)


@pytest.mark.parametrize("count", [10, 100])
def test_shuffled_order_is_the_originals(count):
    order = order_of(count, shuffle=True)
    assert_close("records", "dataset_expected.npz", order, expected()[f"out/shuffled_order_{count}"])


@pytest.mark.parametrize("name", ["rgb_noshuffle", "rgb_shuffle", "gray_shuffle", "rgb_labels"])
def test_original_files_are_read_at_every_level(name):
    levels = open_levels(GOLDEN / name)
    assert [file.resolution for file in levels] == [32, 16, 8, 4]
    for lod in (0, 1, 3):
        images = expected()[f"out/{name}/max_label_size_0/lod{lod}/call0_images"].transpose(0, 2, 3, 1)
        indices = np.arange(len(images)) % len(levels[lod])  # the original repeats
        assert_close("records", "dataset_expected.npz", levels[lod].read(indices), images, f"{name}, lod {lod}")


def test_lower_levels_are_rounded_only_when_stored(tmp_path):
    images = noise(5, 32)
    levels = open_levels(write(tmp_path / "set", images))
    for level, file in enumerate(levels):
        size = 2**level
        means = images.reshape(5, 32 // size, size, 32 // size, size, 3).mean(axis=(2, 4), dtype=np.float64)
        np.testing.assert_array_equal(file.read(range(5)), np.rint(means))  # half to even; the sums are exact


@pytest.mark.parametrize("channels", [1, 3])
def test_images_survive_the_round_trip_in_any_order(tmp_path, channels):
    images = noise(7, 16, channels)
    file = open_levels(write(tmp_path / "set", images))[0]
    assert (file.shape, len(file)) == ((channels, 16, 16), 7)
    np.testing.assert_array_equal(file.read([6, 0, 3, 3]), images[[6, 0, 3, 3]])


def test_tensorflow_reads_the_files(tmp_path):
    import tensorflow as tf

    images = noise(3)
    path = write(tmp_path / "set", images) / "set-r03.tfrecords"
    for serialized, image in zip(tf.data.TFRecordDataset(str(path)), images, strict=True):
        features = tf.train.Example.FromString(serialized.numpy()).features.feature
        assert list(features["shape"].int64_list.value) == [3, 8, 8]
        assert features["data"].bytes_list.value[0] == image.transpose(2, 0, 1).tobytes()


# ---------------------------------------------------------------------------------------------------------------------
# Directories


def test_larger_files_are_ignored(tmp_path):
    directory = write(tmp_path / "set", noise(3, 32))
    assert [file.resolution for file in open_levels(directory, 8)] == [8, 4]


def test_directory_that_is_no_data_set_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"missing is no directory; .*dataset_tool"):
        open_levels(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"holds no \.tfrecords file; .*dataset_tool"):
        open_levels(tmp_path)


def test_resolution_that_is_not_there_is_named(tmp_path):
    directory = write(tmp_path / "set", noise(1))
    with pytest.raises(ValueError, match="has no images of 16 pixels, only 4, 8"):
        open_levels(directory, 16)
    (directory / "set-r02.tfrecords").unlink()
    with pytest.raises(ValueError, match="lacks the file for 4 pixels"):
        open_levels(directory)


def test_two_files_of_one_resolution_are_refused(tmp_path):
    directory = write(tmp_path / "set", noise(1))
    shutil.copy(directory / "set-r03.tfrecords", directory / "copy-r03.tfrecords")
    with pytest.raises(ValueError, match="have the same resolution; keep one"):
        open_levels(directory)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY"])
def test_damaged_labels_are_named(tmp_path, content):
    (tmp_path / "set-rxx.labels").write_bytes(content)
    with pytest.raises(ValueError, match=r"set-rxx\.labels is no file of labels"):
        load_labels(tmp_path, 3)


def test_too_few_labels_are_named(tmp_path):
    directory = write(tmp_path / "set", noise(3), np.eye(3))
    with pytest.raises(ValueError, match=r"set-rxx\.labels has labels of shape \[3, 3\] for 4 images"):
        load_labels(directory, 4)


# ---------------------------------------------------------------------------------------------------------------------
# What the original does not know: encodings, computed levels, shards, four channels


@pytest.mark.parametrize("encoding", ["raw", "png", "webp"])
@pytest.mark.parametrize("levels", ["stored", "computed"])
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_lossless_format_gives_the_same_images(tmp_path, encoding, levels, shards, channels):
    images = noise(7, 16, channels)
    expected_levels = open_levels(write(tmp_path / "expected", images))
    directory = write(tmp_path / "set", images, format=RecordFormat(encoding, None, levels, shards))
    for level, original in zip(open_levels(directory), expected_levels, strict=True):
        assert (level.shape, level.resolution, len(level)) == (original.shape, original.resolution, 7)
        np.testing.assert_array_equal(level.read([6, 0, 3, 3, 5]), original.read([6, 0, 3, 3, 5]))


@pytest.mark.parametrize("encoding", ["webp", "jpeg"])
@pytest.mark.parametrize("levels", ["stored", "computed"])
def test_lossy_formats_give_similar_images(tmp_path, encoding, levels):
    ramp = np.add.outer(np.arange(32), 2 * np.arange(32))[..., None] + 20 * np.arange(3)
    images = np.stack([ramp, ramp[::-1]]).astype(np.uint8)
    expected_levels = open_levels(write(tmp_path / "expected", images))
    directory = write(tmp_path / "set", images, format=RecordFormat(encoding, 90, levels))
    for level, original in zip(open_levels(directory), expected_levels, strict=True):
        assert np.abs(level.read([1, 0]).astype(int) - original.read([1, 0])).mean() < 6


def test_a_smaller_resolution_is_computed_too(tmp_path):
    images = noise(3, 32)
    stored = open_levels(write(tmp_path / "a", images), 8)
    computed = open_levels(write(tmp_path / "b", images, format=RecordFormat(levels="computed")), 8)
    assert [level.resolution for level in computed] == [8, 4]
    for one, other in zip(stored, computed, strict=True):
        np.testing.assert_array_equal(one.read([0, 1, 2]), other.read([0, 1, 2]))
    with pytest.raises(ValueError, match="has no images of 64 pixels, only 32"):
        open_levels(tmp_path / "b", 64)


def test_a_shard_that_is_missing_is_named(tmp_path):
    directory = write(tmp_path / "set", noise(6), format=RecordFormat(shards=3))
    (directory / "set-r03-00001-of-00003.tfrecords").unlink()
    with pytest.raises(ValueError, match=r"set lacks set-r03-00001-of-00003\.tfrecords; copy the data set again"):
        open_levels(directory)


def test_shards_of_any_sizes_are_read(tmp_path):
    images = noise(6)
    directory = write(tmp_path / "set", images, format=RecordFormat(shards=3))
    for size in (3, 2):
        parts = [directory / f"set-r0{size}-0000{shard}-of-00003.tfrecords" for shard in range(3)]
        parts[0].write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
        parts[1].write_bytes(b"")
    (directory / "dataset.json").unlink()
    np.testing.assert_array_equal(open_levels(directory)[0].read(range(6)), images)


def test_where_an_image_is_can_be_asked(tmp_path):
    directory = write(tmp_path / "set", noise(7), format=RecordFormat(shards=3))
    level = open_levels(directory)[0]
    places = [level.locate(index) for index in range(7)]
    assert [(file.path.name[8:13], record) for file, record in places] == [
        ("00000", 0),
        ("00000", 1),
        ("00001", 0),
        ("00001", 1),
        ("00002", 0),
        ("00002", 1),
        ("00002", 2),
    ]
    file, record = places[3]
    assert file.record(record) == encode_levels(noise(7)[3])[0]


# ---------------------------------------------------------------------------------------------------------------------
# The manifest


def test_a_data_set_is_read_without_its_manifest(tmp_path):
    directory = write(tmp_path / "set", noise(3), format=RecordFormat("png", shards=2))
    (directory / "dataset.json").unlink()
    np.testing.assert_array_equal(open_levels(directory)[0].read(range(3)), noise(3))


def test_a_manifest_of_the_version_before_is_read(tmp_path):
    directory = write(tmp_path / "set", noise(3))
    (directory / "dataset.json").write_text(json.dumps({"images": 3, "shape": [8, 8, 3], "label_size": 0}))
    assert len(open_levels(directory)[0]) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is damaged.*; move it away, then run: python dataset_tool\.py verify .*set$"),
        ("{", "is damaged"),
        ("[" * 100_000, "is damaged"),
        ("[]", r"is no manifest; move it away, then run: python dataset_tool\.py verify .*set$"),
        ('{"files": []}', "is no manifest"),
        ('{"files": {"a": 3}}', "is no manifest"),
        ('{"files": {"a": {"bytes": "x", "crc32c": 1}}}', "is no manifest"),
        ('{"format": 2}', "has format 2, but this version reads 1"),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path, text, message):
    directory = write(tmp_path / "set", noise(3))
    (directory / "dataset.json").write_text(text)
    with pytest.raises(ValueError, match=rf"set/dataset\.json {message}"):
        open_levels(directory)


def test_another_number_of_images_than_the_manifest_says_is_named(tmp_path):
    directory = write(tmp_path / "set", noise(3))
    path = directory / "dataset.json"
    path.write_text(path.read_text().replace('"images": 3', '"images": 4'))
    with pytest.raises(ValueError, match=r"set has 3 images, but 4 by its dataset\.json; make it again"):
        open_levels(directory)
