"""A shard is a slice of the order, whoever makes it: the local writer, or a worker that knows nothing of the others."""

import json
from pathlib import Path

import numpy as np
import pytest
from picture_data import save
from record_data import left_in

from dataset_tools import shards
from dataset_tools.commands import open_source
from dataset_tools.errors import DatasetError
from dataset_tools.making import make_dataset, stamp_of
from dataset_tools.shards import Plan, Shard, make_shard, write_whole
from stylegan_tf.record_levels import RecordFormat
from stylegan_tf.records import load_labels, open_levels

FORMATS = [RecordFormat(shards=4), RecordFormat("png", levels="computed", shards=4)]


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures of 8x8; numbers 1, 3, 4 and 5 are damaged."""
    for number in range(12):
        path = save(tmp_path / "pictures" / f"{number % 2}/{number:02d}.png", seed=number)
        if number in (1, 3, 4, 5):
            path.write_bytes(path.read_bytes()[:60])
    return tmp_path / "pictures"


def recipe(folder, **options):
    return "create_from_images", [str(folder)], {"labels": "folders", "on_error": "skip", **options}


def local(directory, folder, format, **options):
    source = open_source(*recipe(folder))
    make_dataset(source, directory, **{"shuffle": False, "on_error": "skip", **options}, format=format)
    return directory


def plan(directory, folder, format, on_error="skip", shuffle=False, workers=1):
    pictures = recipe(folder)
    directory.mkdir(exist_ok=True)
    stamp = stamp_of(open_source(*pictures))
    return Plan(*pictures, stamp, str(directory), "set", "run", (8, 8, 3), format, shuffle, on_error, workers)


def made(plan, shard):
    """What a worker makes: its report, and {name without the attempt: bytes}."""
    report = make_shard(open_source(plan.command, plan.arguments, plan.options), plan, shard)
    ending = f".{report['attempt']}"
    files = {name: (Path(plan.directory) / f"{name}{ending}").read_bytes() for name in report["files"]}
    assert left_in(Path(plan.directory)) == sorted(name + ending for name in files)
    for name in files:
        (Path(plan.directory) / f"{name}{ending}").unlink()
    return report, files


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_worker_makes_the_files_of_the_local_run(tmp_path, folder, format, shuffle):
    directory = local(tmp_path / "set", folder, format, shuffle=shuffle)
    manifest = json.loads((directory / "dataset.json").read_text())
    skipped, images = [], 0
    for number in range(4):
        shard = Shard(number, 3 * number, 3 * number + 3, 3)
        report, files = made(plan(tmp_path / "work", folder, format, shuffle=shuffle), shard)
        for name in filter(lambda name: name.endswith(".tfrecords"), files):
            assert files[name] == (directory / name).read_bytes()
            assert dict(zip(("bytes", "crc32c"), report["files"][name], strict=True)) == manifest["files"][name]
        skipped += [index for index, _ in report["skipped"]]
        images += report["count"]
    assert images == manifest["images"] == 8
    listed = (directory / "skipped.jsonl").read_text().splitlines()
    assert skipped == [json.loads(line)["index"] for line in listed]


def test_a_picture_left_out_shortens_its_own_shard_only(tmp_path, folder):
    level = open_levels(local(tmp_path / "set", folder, RecordFormat(shards=4)))[0]
    # in the order of names: 0/00 0/02 0/04 | 0/06 0/08 0/10 | 1/01 1/03 1/05 | 1/07 1/09 1/11
    assert [len(file) for file in level.files] == [2, 3, 3]
    assert not (tmp_path / "set" / "set-r03-00002-of-00004.tfrecords").read_bytes()
    np.testing.assert_array_equal(load_labels(tmp_path / "set", 8).argmax(1), [0] * 5 + [1] * 3)


def test_what_is_missing_in_the_end_comes_behind_the_last_shard(tmp_path, folder):
    local(tmp_path / "set", folder, RecordFormat(shards=2), max_images=6)
    # 0/00 0/02 | 0/06 0/08 0/10 and 1/07 for 0/04
    sizes = [(tmp_path / "set" / f"set-r03-0000{number}-of-00002.tfrecords").stat().st_size for number in (0, 1)]
    assert sizes[1] == 2 * sizes[0] > 0


def test_a_shard_ends_when_it_has_its_images(tmp_path, folder):
    report, _ = made(plan(tmp_path / "work", folder, FORMATS[0]), Shard(3, 2, 12, 4))
    assert (report["count"], [index for index, _ in report["skipped"]]) == (4, [2, 6, 7, 8])


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_an_attempt_that_fails_leaves_nothing(tmp_path, folder, format):
    work = plan(tmp_path / "work", folder, format, on_error="fail")
    with pytest.raises(DatasetError, match=r"04\.png"):
        made(work, Shard(0, 0, 3, 3))
    assert left_in(tmp_path / "work") == []


def test_a_shard_without_usable_pictures_has_no_files(tmp_path, folder):
    report, files = made(plan(tmp_path / "work", folder, FORMATS[0]), Shard(2, 6, 9, 3))
    assert (report["count"], files) == (0, {})


def test_a_report_is_there_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    def replace(source, target):
        assert json.loads(source.read_text()) == {"a": 1}
        assert not target.exists()
        source.rename(target)

    monkeypatch.setattr(shards.os, "replace", replace)
    write_whole(tmp_path / "report.json", {"a": 1})
    assert left_in(tmp_path) == ["report.json"]
