"""The record format: the original's bytes, both directions, and what happens to damaged files and failed writing."""

import json
import shutil
import struct

import numpy as np
import pytest
from record_data import GOLDEN, expected, flip, left_in, noise, open_on_full_disk, pictures, write

from stylegan_tf import records
from stylegan_tf.records import RecordError, RecordFile, RecordWriter, load_labels, open_levels

SETS = {"rgb_noshuffle": ("png_rgb", False), "rgb_shuffle": ("png_rgb", True), "gray_shuffle": ("png_gray", True)}


# ---------------------------------------------------------------------------------------------------------------------
# The original's files


@pytest.mark.parametrize(("name", "folder", "shuffle"), [(name, *source) for name, source in SETS.items()])
def test_files_are_the_originals_byte_for_byte(tmp_path, name, folder, shuffle):
    images = pictures(folder)
    with RecordWriter(tmp_path / name, len(images)) as writer:
        for index in writer.choose_shuffled_order() if shuffle else range(len(images)):
            writer.add_image(images[index])
    originals = sorted((GOLDEN / name).iterdir())
    assert left_in(tmp_path / name) == ["dataset.json", *[path.name for path in originals]]
    for original in originals:
        assert (tmp_path / name / original.name).read_bytes() == original.read_bytes(), original.name


def test_labels_are_the_originals_byte_for_byte(tmp_path):
    images, original = pictures("png_rgb"), GOLDEN / "rgb_labels"
    labels = expected()["in/labels_onehot"]
    with RecordWriter(tmp_path / "rgb_labels", len(images)) as writer:
        order = writer.choose_shuffled_order()
        for index in order:
            writer.add_image(images[index])
        writer.add_labels(labels[order])
    for path in original.iterdir():
        assert (tmp_path / "rgb_labels" / path.name).read_bytes() == path.read_bytes(), path.name
    np.testing.assert_array_equal(load_labels(original, len(images)), labels[order])
    assert load_labels(original, 3).shape == (3, 4)
    assert load_labels(GOLDEN / "rgb_shuffle", 10).shape == (10, 0)


@pytest.mark.parametrize("count", [10, 100])
def test_shuffled_order_is_the_originals(tmp_path, count):
    order = RecordWriter(tmp_path / "set", count).choose_shuffled_order()
    np.testing.assert_array_equal(order, expected()[f"out/shuffled_order_{count}"])


@pytest.mark.parametrize("name", ["rgb_noshuffle", "rgb_shuffle", "gray_shuffle", "rgb_labels"])
def test_original_files_are_read_at_every_level(name):
    levels = open_levels(GOLDEN / name)
    assert [file.resolution for file in levels] == [32, 16, 8, 4]
    for lod in (0, 1, 3):
        images = expected()[f"out/{name}/max_label_size_0/lod{lod}/call0_images"].transpose(0, 2, 3, 1)
        indices = np.arange(len(images)) % len(levels[lod])  # the original repeats
        np.testing.assert_array_equal(levels[lod].read(indices), images)


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
# Records of other writers


def framed(payload):
    length = struct.pack("<Q", len(payload))
    checksums = [struct.pack("<I", records.masked_crc(data)) for data in (length, payload)]
    return length + checksums[0] + payload + checksums[1]


def payload_of(image, swapped=False, packed=True):
    """What `encode` writes, or one of the other serialisations that mean the same."""
    field, varint = records._field, records._varint
    dimensions = [varint(size) for size in image.shape]
    values = field(1, b"".join(dimensions)) if packed else b"".join(b"\x08" + size for size in dimensions)
    shape = records._feature(b"shape", field(3, values))
    data = records._feature(b"data", field(1, field(1, image.tobytes())))
    return field(1, data + shape if swapped else shape + data)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_order_of_features_and_packing_do_not_matter(tmp_path, swapped, packed):
    images = noise(2).transpose(0, 3, 1, 2)
    path = tmp_path / "x.tfrecords"
    path.write_bytes(b"".join(framed(payload_of(image, swapped, packed)) for image in images))
    np.testing.assert_array_equal(RecordFile(path).read([1, 0]), images[::-1].transpose(0, 2, 3, 1))


def test_records_of_different_lengths_are_found(tmp_path):
    images = noise(5).transpose(0, 3, 1, 2)
    path = tmp_path / "x.tfrecords"
    path.write_bytes(b"".join(framed(payload_of(image, packed=index % 2)) for index, image in enumerate(images)))
    file = RecordFile(path)
    assert len(file) == 5
    assert len(set(np.diff(file.offsets))) == 2
    np.testing.assert_array_equal(file.read([4, 1]), images[[4, 1]].transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"hello",
        b"\xff" * 40,
        records._field(1, records._feature(b"shape", records._field(3, records._field(1, b"\x03\x08\x08")))),
        records._field(1, records._feature(b"data", records._field(1, records._field(1, b"1234")))),
    ],
    ids=["empty", "text", "bits", "shape-only", "data-only"],
)
def test_another_kind_of_record_is_named(tmp_path, payload):
    path = tmp_path / "x.tfrecords"
    path.write_bytes(framed(payload))
    with pytest.raises(RecordError, match=r"x\.tfrecords: record 0 at byte 0 is not an image record"):
        RecordFile(path)


def test_shape_that_does_not_go_with_the_bytes_is_named(tmp_path):
    path = tmp_path / "x.tfrecords"
    good = payload_of(noise(1)[0].transpose(2, 0, 1))
    path.write_bytes(framed(good.replace(b"\x03\x08\x08", b"\x03\x08\x07")))
    with pytest.raises(RecordError, match=r"record 0 at byte 0 .*shape \[3, 8, 7\] does not go with its 192 bytes"):
        RecordFile(path)


# ---------------------------------------------------------------------------------------------------------------------
# Damage


@pytest.fixture
def file_of_five(tmp_path):
    return write(tmp_path / "set", noise(5)) / "set-r03.tfrecords"


@pytest.mark.parametrize("within", [0, 8, 12, 40, -5, -1], ids=["length", "crc", "head", "data", "end", "data-crc"])
@pytest.mark.parametrize("record", [0, 3])
def test_a_flipped_byte_is_found_and_named(file_of_five, record, within):
    stride = file_of_five.stat().st_size // 5
    flip(file_of_five, record * stride + within % stride)
    match = rf"set-r03\.tfrecords: record {record} at byte {record * stride} is damaged.*make the data set again"
    with pytest.raises(RecordError, match=match):
        RecordFile(file_of_five).read([record])


def test_the_other_records_of_a_damaged_file_can_be_read(file_of_five):
    stride = file_of_five.stat().st_size // 5
    flip(file_of_five, 3 * stride + 100)
    np.testing.assert_array_equal(RecordFile(file_of_five).read([0, 1, 2, 4]), noise(5)[[0, 1, 2, 4]])


@pytest.mark.parametrize("missing", [1, 100])
def test_a_file_that_is_cut_off_is_named(file_of_five, missing):
    stride = file_of_five.stat().st_size // 5
    file_of_five.write_bytes(file_of_five.read_bytes()[:-missing])
    with pytest.raises(RecordError, match=rf"set-r03\.tfrecords: record 4 at byte {4 * stride} is damaged or cut off"):
        RecordFile(file_of_five)


def test_an_empty_file_is_named(file_of_five):
    file_of_five.write_bytes(b"")
    with pytest.raises(RecordError, match=r"set-r03\.tfrecords is empty"):
        RecordFile(file_of_five)


def test_a_file_cut_between_two_records_does_not_go_with_the_others(file_of_five):
    data = file_of_five.read_bytes()
    file_of_five.write_bytes(data[: len(data) // 5 * 4])
    with pytest.raises(ValueError, match=r"set-r02\.tfrecords has 5 images of 3 channels, but .*set-r03.* has 4 of 3"):
        open_levels(file_of_five.parent)


def test_a_record_of_another_shape_is_named(tmp_path):
    path = tmp_path / "x.tfrecords"
    images = [noise(1)[0], noise(1, channels=1)[0]]
    path.write_bytes(b"".join(records.encode(image.transpose(2, 0, 1)) for image in images))
    with pytest.raises(RecordError, match=r"record 1 at byte \d+ has shape \[1, 8, 8\], but the first one \[3, 8, 8\]"):
        RecordFile(path).read([1])


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
# Writing


def test_description_is_kept_beside_the_records(tmp_path):
    directory = write(tmp_path / "set", noise(2), np.eye(2), description={"source": "test", "label_names": ["a", "b"]})
    assert json.loads((directory / "dataset.json").read_text()) == {
        "images": 2,
        "shape": [8, 8, 3],
        "label_size": 2,
        "source": "test",
        "label_names": ["a", "b"],
    }


def test_trailing_slash_does_not_change_the_names(tmp_path):
    write(f"{tmp_path}/deep/set/", noise(1))
    assert left_in(tmp_path / "deep" / "set") == ["dataset.json", "set-r02.tfrecords", "set-r03.tfrecords"]


def test_nothing_has_the_final_name_before_the_end(tmp_path):
    with RecordWriter(tmp_path / "set", 1) as writer:
        writer.add_image(noise(1)[0])
        assert not (tmp_path / "set").exists()
    assert left_in(tmp_path) == ["set"]


def test_existing_directory_is_refused_and_untouched(tmp_path):
    before = (write(tmp_path / "set", noise(1)) / "set-r03.tfrecords").read_bytes()
    with pytest.raises(ValueError, match="set exists already; remove it or choose another name"):
        write(tmp_path / "set", noise(1, seed=1))
    assert (tmp_path / "set" / "set-r03.tfrecords").read_bytes() == before
    assert left_in(tmp_path) == ["set"]


def test_existing_file_is_refused(tmp_path):
    (tmp_path / "set").write_text("mine")
    with pytest.raises(ValueError, match="set exists already"):
        write(tmp_path / "set", noise(1))
    assert (tmp_path / "set").read_text() == "mine"


def test_empty_directory_is_filled(tmp_path):
    (tmp_path / "set").mkdir()
    assert len(open_levels(write(tmp_path / "set", noise(2)))[0]) == 2
    assert left_in(tmp_path) == ["set"]


class Sized:
    """An iterator with a length."""

    def __init__(self, items, length):
        self.items, self.length = items, length

    def __iter__(self):
        return self.items

    def __len__(self):
        return self.length


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_nothing(tmp_path, error):
    def images():
        yield noise(1)[0]
        raise error

    with pytest.raises(error):
        write(tmp_path / "set", Sized(images(), 2))
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("count", [2, 2000], ids=["while-closing", "while-writing"])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, count):
    monkeypatch.setattr(records, "open", open_on_full_disk, raising=False)
    with pytest.raises(OSError, match="No space left on device"):
        write(tmp_path / "set", noise(count))
    assert left_in(tmp_path) == []


def test_no_images_make_no_data_set(tmp_path):
    with pytest.raises(ValueError, match="set: no images, no data set"):
        write(tmp_path / "set", [])
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros([8, 8, 4], np.uint8), r"uint8 \[8, 8, 4\]; expected 8 bits and 1 or 3 channels"),
        (np.zeros([8, 8], np.uint8), r"uint8 \[8, 8\]; expected 8 bits"),
        (np.zeros([8, 8, 3], np.float32), r"float32 \[8, 8, 3\]; expected 8 bits"),
        (np.zeros([8, 16, 3], np.uint8), "16x8 with 3 channels; expected a square"),
        (np.zeros([12, 12, 3], np.uint8), "12x12 .* power of two"),
        (np.zeros([2, 2, 3], np.uint8), "2x2 .* power of two"),
    ],
)
def test_unusable_image_is_called_by_its_name(tmp_path, image, message):
    with pytest.raises(ValueError, match=rf"cat\.png is {message}"), RecordWriter(tmp_path / "set", 1) as writer:
        writer.add_image(image, "cat.png")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros([16, 16, 3], np.uint8), "16x16 with 3 channels, but the first image was 8x8 with 3 channels"),
        (np.zeros([8, 8, 1], np.uint8), "8x8 with 1 channel, but the first image was 8x8 with 3 channels"),
        (np.zeros([8, 8], np.uint8), "expected 8 bits and 1 or 3 channels"),
        (np.zeros([8, 8, 3]), "expected 8 bits and 1 or 3 channels"),
    ],
)
def test_image_unlike_the_first_is_called_by_its_name(tmp_path, image, message):
    with RecordWriter(tmp_path / "set", 2) as writer:
        writer.add_image(noise(1)[0])
        with pytest.raises(ValueError, match=rf"cat\.png is .*{message}"):
            writer.add_image(image, "cat.png")


def test_labels_must_go_with_the_images(tmp_path):
    with pytest.raises(ValueError, match=r"labels of shape \[3, 3\] do not go with 2 images"):
        write(tmp_path / "set", noise(2), np.eye(3))
    assert left_in(tmp_path) == []
