"""Writing: what is beside the records, and what a failure leaves behind (nothing)."""

import json

import google_crc32c
import numpy as np
import pytest
from record_data import left_in, noise, open_on_full_disk, write

from stylegan_tf import record_partial
from stylegan_tf.record_writer import RecordFormat, RecordWriter, encode_levels
from stylegan_tf.records import open_levels


def manifest(directory):
    return json.loads((directory / "dataset.json").read_text())


def test_manifest_tells_what_is_there(tmp_path):
    description = {"source": "test", "label_names": ["a", "b"]}
    directory = write(tmp_path / "set", noise(2), np.eye(2), description=description)
    sizes = {"set-r02.tfrecords": 2 * 98, "set-r03.tfrecords": 2 * 247, "set-rxx.labels": 144}
    facts = manifest(directory)
    files = facts.pop("files")
    assert facts == {
        "format": 1,
        "images": 2,
        "shape": [8, 8, 3],
        "label_size": 2,
        "encoding": "raw",
        "quality": None,
        "levels": "stored",
        "shards": 1,
        **description,
    }
    assert {name: entry["bytes"] for name, entry in files.items()} == sizes
    for name, entry in files.items():
        data = (directory / name).read_bytes()
        assert entry == {"bytes": len(data), "crc32c": google_crc32c.value(data)}


def test_description_may_change_until_the_end(tmp_path):
    with RecordWriter(tmp_path / "set", 2, {"skipped": 0}) as writer:
        writer.add_image(noise(1)[0])
        writer.description["skipped"] = 1
    assert manifest(tmp_path / "set")["skipped"] == 1


def test_other_files_are_listed_too(tmp_path):
    with RecordWriter(tmp_path / "set", 4, format=RecordFormat(shards=2)) as writer:
        for image in noise(4):
            writer.append("notes.txt", b"line\n")
            writer.add_image(image)
    assert (tmp_path / "set" / "notes.txt").read_bytes() == 4 * b"line\n"
    assert manifest(tmp_path / "set")["files"]["notes.txt"]["bytes"] == 20


# ---------------------------------------------------------------------------------------------------------------------
# Shards and indices


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize(("count", "shards"), [(7, 1), (7, 2), (7, 3), (7, 7), (12, 4)])
def test_shards_are_the_file_in_even_pieces(tmp_path, count, shards):
    images = noise(count)
    whole = contents(write(tmp_path / "whole" / "set", images))
    pieces = contents(write(tmp_path / "set", images, format=RecordFormat(shards=shards)))
    for name in ("set-r03", "set-r02"):
        names = [f"{name}-{shard:05d}-of-{shards:05d}.tfrecords" for shard in range(shards)]
        parts = [pieces[part] for part in (names if shards > 1 else [f"{name}.tfrecords"])]
        assert b"".join(parts) == whole[f"{name}.tfrecords"]
        stride = len(whole[f"{name}.tfrecords"]) // count
        assert {len(part) // stride for part in parts} <= {count // shards, -(-count // shards)}


def test_fewer_images_than_expected_leave_the_last_shards_empty(tmp_path):
    with RecordWriter(tmp_path / "set", 8, format=RecordFormat("png", shards=4)) as writer:
        for image in noise(3):
            writer.add_image(image)
    paths = sorted((tmp_path / "set").glob("set-r03-*.tfrecords"))
    assert [path.stat().st_size > 0 for path in paths] == [True, True, False, False]
    level = open_levels(tmp_path / "set")[0]
    np.testing.assert_array_equal(level.read([2, 0, 1]), noise(3)[[2, 0, 1]])


def test_more_shards_than_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="9 shards are too many for 8 images; choose fewer"):
        RecordWriter(tmp_path / "set", 8, format=RecordFormat(shards=9))


def test_an_index_tells_where_compressed_records_begin(tmp_path):
    directory = write(tmp_path / "set", noise(3, 16), format=RecordFormat("png", shards=2))
    for path in directory.glob("*.tfrecords"):
        offsets = np.load(path.with_name(path.name.replace(".tfrecords", ".index.npy")))
        data = path.read_bytes()
        lengths = [int.from_bytes(data[start : start + 8], "little") + 16 for start in offsets[:-1]]
        assert np.diff(offsets).tolist() == lengths
        assert offsets[-1] == len(data)


def test_records_that_were_made_elsewhere_give_the_same_files(tmp_path):
    images, format = noise(5, 16), RecordFormat("webp", 80, "computed", 2)
    with RecordWriter(tmp_path / "a" / "set", 5, format=format) as writer:
        for image in images:
            writer.add_records(image.shape, encode_levels(image, format))
    assert contents(tmp_path / "a" / "set") == contents(write(tmp_path / "set", images, format=format))


def test_records_of_the_wrong_number_of_levels_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cat\.png has 3 records, but its levels are 2"):  # noqa: SIM117
        with RecordWriter(tmp_path / "set", 1) as writer:
            writer.add_records((8, 8, 3), encode_levels(noise(1, 16)[0]), "cat.png")


# ---------------------------------------------------------------------------------------------------------------------
# Names, failures


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
    monkeypatch.setattr(record_partial, "open", open_on_full_disk, raising=False)
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
        (np.zeros([8, 8, 2], np.uint8), r"uint8 \[8, 8, 2\]; expected 8 bits and 1, 3 or 4 channels"),
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
        (np.zeros([8, 8], np.uint8), "expected 8 bits and 1, 3 or 4 channels"),
        (np.zeros([8, 8, 3]), "expected 8 bits and 1, 3 or 4 channels"),
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
