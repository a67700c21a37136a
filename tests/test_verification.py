"""Every kind of damage is found, named, and mended as far as can be."""

import json

import numpy as np
import pytest
from record_data import GOLDEN, flip, left_in, noise, write

from dataset_tools.verification import repair, verify
from stylegan_tf.record_writer import RecordFormat
from stylegan_tf.records import load_labels, open_levels

IMAGES = noise(7, size=16)
LABELS = np.eye(7, dtype=np.float32)
FORMATS = {
    "raw": RecordFormat(),
    "shards": RecordFormat(shards=3),
    "png": RecordFormat(encoding="png"),
    "png, one level": RecordFormat(encoding="png", levels="computed", shards=2),
    "jpeg": RecordFormat(encoding="jpeg"),
}


@pytest.fixture(params=FORMATS, ids=str)
def any_set(request, tmp_path):
    return write(tmp_path / "set", IMAGES, LABELS, format=FORMATS[request.param])


@pytest.fixture
def raw_set(tmp_path):
    return write(tmp_path / "set", IMAGES, LABELS)


def record_size(path):
    return path.stat().st_size // len(IMAGES)


def test_whole_data_set(any_set, capsys):
    assert verify(any_set)
    assert capsys.readouterr().out == f"{any_set}: 7 images, all as they were written\n"


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir() if list(path.glob("*.tfrecords"))))
def test_data_sets_of_the_original_are_whole(name):
    assert verify(GOLDEN / name)


@pytest.mark.parametrize("position", [0, 9, 30, -1])
@pytest.mark.parametrize("record", [0, 3, 6])
def test_damaged_record_is_named_and_only_it_is_dropped(raw_set, tmp_path, capsys, record, position):
    path = raw_set / "set-r04.tfrecords"
    size = record_size(path)
    flip(path, (record * size + position) if position >= 0 else (record + 1) * size - 1)
    assert not verify(raw_set)
    out = capsys.readouterr().out
    assert f"Damaged: {path}: record {record} at byte {record * size} is damaged" in out
    assert "1 of 7 images are lost" in out
    repair(raw_set, tmp_path / "good")
    assert verify(tmp_path / "good")
    kept = [index for index in range(7) if index != record]
    np.testing.assert_array_equal(open_levels(tmp_path / "good")[0].read(range(6)), IMAGES[kept])
    np.testing.assert_array_equal(load_labels(tmp_path / "good", 6), LABELS[kept])


def test_damaged_lower_level_is_mended_without_a_loss(raw_set, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in raw_set.glob("*.tfrecords")}
    flip(raw_set / "set-r03.tfrecords", 40)
    assert not verify(raw_set)
    assert "0 of 7 images are lost" in capsys.readouterr().out
    repair(raw_set, tmp_path / "good")
    after = {path.name.replace("good", "set"): path.read_bytes() for path in (tmp_path / "good").glob("*.tfrecords")}
    assert after == before


@pytest.mark.parametrize("encoding", ["png", "png, one level", "jpeg"])
def test_good_records_of_a_compressed_set_are_copied(tmp_path, encoding):
    source = write(tmp_path / "set", IMAGES, LABELS, format=FORMATS[encoding])
    expected = open_levels(source)[0].read(range(1, 7))
    flip(min(source.glob("set-r04*.tfrecords")), 100)
    assert not verify(source)
    repair(source, tmp_path / "good")
    assert verify(tmp_path / "good")
    np.testing.assert_array_equal(open_levels(tmp_path / "good")[0].read(range(6)), expected)


def test_wrong_pyramid_is_found(tmp_path, raw_set, capsys):
    other = write(tmp_path / "other", 255 - IMAGES)
    (other / "other-r03.tfrecords").rename(raw_set / "set-r03.tfrecords")
    (raw_set / "dataset.json").unlink()
    assert not verify(raw_set)
    assert "set-r03.tfrecords: record 6 at byte" in capsys.readouterr().out


def test_exchanged_file_is_found_by_its_checksum(tmp_path, raw_set, capsys):
    other = write(tmp_path / "other", 255 - IMAGES)
    for size in ("r02", "r03", "r04"):
        (other / f"other-{size}.tfrecords").rename(raw_set / f"set-{size}.tfrecords")
    assert not verify(raw_set)
    assert "set-r04.tfrecords is not the file that was written" in capsys.readouterr().out


def test_missing_level_and_damaged_labels_are_named(raw_set, capsys):
    (raw_set / "set-r03.tfrecords").unlink()
    flip(raw_set / "set-rxx.labels", -2)
    assert not verify(raw_set)
    out = capsys.readouterr().out
    assert f"{raw_set} lacks the file for 8 pixels" in out
    assert "set-rxx.labels is damaged" in out


def test_a_file_that_is_cut_off(raw_set, tmp_path, capsys):
    path = raw_set / "set-r04.tfrecords"
    path.write_bytes(path.read_bytes()[:-100])
    assert not verify(raw_set)
    assert "record 6" in capsys.readouterr().out
    repair(raw_set, tmp_path / "good")
    assert len(open_levels(tmp_path / "good")[0]) == 6


def test_a_missing_level_is_made_again(raw_set, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in raw_set.glob("*.tfrecords")}
    (raw_set / "set-r03.tfrecords").unlink()
    assert not verify(raw_set)
    assert "2 damages; 0 of 7 images are lost" in capsys.readouterr().out  # no file, and not in the manifest's list
    repair(raw_set, tmp_path / "good")
    after = {path.name.replace("good", "set"): path.read_bytes() for path in (tmp_path / "good").glob("*.tfrecords")}
    assert after == before


def test_damaged_labels_are_not_passed_on(raw_set, tmp_path):
    flip(raw_set / "set-rxx.labels", -2)
    with pytest.raises(ValueError, match="has damaged labels, which cannot be mended"):
        repair(raw_set, tmp_path / "good")
    assert left_in(tmp_path) == ["set"]


def test_a_damaged_head_in_a_file_that_is_cut_off_costs_one_image_and_the_last(raw_set, tmp_path, capsys):
    path = raw_set / "set-r04.tfrecords"
    size = record_size(path)
    flip(path, size + 2)
    path.write_bytes(path.read_bytes()[:-100])
    assert not verify(raw_set)
    out = capsys.readouterr().out
    assert f"record 1 at byte {size} is damaged\n" in out
    assert f"record 6 at byte {6 * size} is cut off\n" in out
    assert "2 of 7 images are lost" in out
    repair(raw_set, tmp_path / "good")
    np.testing.assert_array_equal(open_levels(tmp_path / "good")[0].read(range(5)), IMAGES[[0, 2, 3, 4, 5]])


def test_no_data_set(tmp_path):
    with pytest.raises(ValueError, match=r"holds no NAME-rXX\.tfrecords file"):
        verify(tmp_path)


def test_nothing_good_leaves_nothing(tmp_path):
    source = write(tmp_path / "set", IMAGES[:1])
    flip(source / "set-r04.tfrecords", 50)
    with pytest.raises(ValueError, match="no images"):
        repair(source, tmp_path / "good")
    assert left_in(tmp_path) == ["set"]


def test_manifest_of_another_form_is_refused(raw_set):
    (raw_set / "dataset.json").write_text(json.dumps([1]))
    with pytest.raises(ValueError, match=r"dataset\.json"):
        verify(raw_set)
