"""Data sets made by an Apache Beam pipeline: those of a local run, whatever fails on the way.

Skipped without Beam (requirements-beam.txt). What a worker does to one shard is in test_shards.py.
"""

import json

import pytest
from picture_data import save
from record_data import left_in

import dataset_tool
from dataset_tools.commands import open_source
from dataset_tools.errors import DatasetError
from dataset_tools.making import make_dataset
from stylegan_tf.record_levels import RecordFormat
from stylegan_tf.record_writer import RecordWriter

apache_beam = pytest.importorskip("apache_beam")

from dataset_tools import beam  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # Beam's own
RAW, PNG = RecordFormat(shards=4), RecordFormat("png", levels="computed", shards=3)
RETRYING = "BundleBasedDirectRunner"  # tries four times, the default not at all


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures of 8x8, half of them in each of two folders."""
    for number in range(12):
        save(tmp_path / f"pictures/{number % 2}/{number:02d}.png", seed=number)
    return tmp_path / "pictures"


def damage(folder, *numbers):
    for number in numbers:
        path = folder / f"{number % 2}/{number:02d}.png"
        path.write_bytes(path.read_bytes()[:60])


def make(directory, folder, runner=None, format=RAW, on_error="fail", shown=None, **options):
    """Make a data set, by a pipeline if there is a `runner`; its workers read the folder `shown` instead."""
    pictures = "create_from_images", [str(folder)], {"labels": "folders", "on_error": on_error}
    write = runner and beam.Pipeline(runner, [], (pictures[0], [str(shown or folder)], pictures[2]))
    description = {"source": pictures[0], "options": {"labels": "folders"}}
    settings = {"format": format, "on_error": on_error, "description": description, "write": write} | options
    return make_dataset(open_source(*pictures), directory, **settings)


def content(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def check_as_local(tmp_path, folder, **options):
    """A pipeline's data set is the local one: every byte of every file, and what is said about it."""
    here = make(tmp_path / "here" / "set", folder, **options)
    there = make(tmp_path / "there" / "set", folder, "DirectRunner", **options)
    assert content(tmp_path / "there/set") == content(tmp_path / "here/set")
    assert there == here
    assert left_in(tmp_path / "there") == ["set"]


@pytest.mark.parametrize("format", [RecordFormat(), RAW, PNG], ids=str)
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_pipeline_makes_the_data_set_of_a_local_run(tmp_path, folder, format, shuffle):
    check_as_local(tmp_path, folder, format=format, shuffle=shuffle)


@pytest.mark.parametrize("damaged", [[0], [5, 10, 11], [0, 2, 4], [1, 3, 5, 7, 9]], ids=str)
@pytest.mark.parametrize("max_images", [None, 8])
@pytest.mark.parametrize("format", [RAW, PNG], ids=str)
def test_what_is_left_out_is_left_out_by_both(tmp_path, folder, damaged, max_images, format):
    damage(folder, *damaged)
    check_as_local(tmp_path, folder, on_error="skip", max_images=max_images, format=format, shuffle=False)


def test_no_usable_picture_is_the_same_error(tmp_path, folder):
    """All are damaged after the source was opened, which looks at the first one."""
    messages = []
    for runner in (None, "DirectRunner"):
        source = open_source("create_from_images", [str(folder)], {"on_error": "skip"})
        write = runner and beam.Pipeline(runner, [], ("create_from_images", [str(folder)], {"on_error": "skip"}))
        damage(folder, *range(12))
        with pytest.raises(DatasetError, match="none of the 12 pictures can be used") as caught:
            make_dataset(source, tmp_path / "set", on_error="skip", write=write)
        messages.append(str(caught.value))
        for number in range(12):
            save(folder / f"{number % 2}/{number:02d}.png", seed=number)
    assert messages[0] == messages[1]
    assert left_in(tmp_path) == ["pictures"]


def test_a_damaged_picture_stops_the_pipeline_and_the_rest_is_kept(tmp_path, folder):
    damage(folder, 5)
    make(tmp_path / "here" / "set", folder, on_error="skip", shuffle=False)
    with pytest.raises(DatasetError, match=r"1/05\.png is damaged"):
        make(tmp_path / "set", folder, "DirectRunner", shuffle=False)
    assert RecordWriter.resumable(tmp_path / "set").count == 6  # 0/00 ... 0/10 | 1/01 1/03 1/05 | not begun
    make(tmp_path / "set", folder, "DirectRunner", on_error="skip", shuffle=False, resume="continue")
    assert content(tmp_path / "set") == content(tmp_path / "here/set")


class Disk:
    """In place of `make_shard`: fails for some shards, after their files were begun."""

    def __init__(self, monkeypatch, numbers, times):
        self.numbers, self.left, self.calls = numbers, times, []
        self.make_shard, self.close = beam.make_shard, None
        monkeypatch.setattr(beam, "make_shard", self)

    def __call__(self, source, plan, shard):
        self.calls.append(shard.number)
        report = self.make_shard(source, plan, shard)
        if shard.number in self.numbers and self.left:
            self.left -= 1
            raise OSError(28, "No space left on device")
        return report


def test_a_worker_that_fails_once_is_tried_again(tmp_path, folder, monkeypatch):
    make(tmp_path / "here" / "set", folder)
    disk = Disk(monkeypatch, numbers=[1], times=2)
    make(tmp_path / "there" / "set", folder, RETRYING)
    assert disk.calls.count(1) == 3
    assert content(tmp_path / "there/set") == content(tmp_path / "here/set")
    assert left_in(tmp_path / "there") == ["set"]


def test_a_pipeline_that_fails_keeps_whole_shards_and_goes_on_with_the_others(tmp_path, folder, monkeypatch):
    make(tmp_path / "here" / "set", folder, format=PNG)
    disk = Disk(monkeypatch, numbers=[2], times=99)
    with pytest.raises(OSError, match=r"the pipeline failed on DirectRunner: .*No space left on device"):
        make(tmp_path / "set", folder, "DirectRunner", format=PNG)
    journal = RecordWriter.resumable(tmp_path / "set")
    assert (journal.count, sorted(journal.state["shards"])) == (8, ["0", "1"])
    partial = tmp_path / ".set.partial"
    assert {name: (partial / name).stat().st_size for name in journal.files} == {
        name: size for name, (size, _) in journal.files.items()
    }
    disk.left, disk.calls = 0, []
    made = make(tmp_path / "set", folder, "DirectRunner", format=PNG, resume="continue")
    assert disk.calls == [2]
    assert made.images == 12
    assert content(tmp_path / "set") == content(tmp_path / "here/set")
    assert left_in(tmp_path) == ["here", "pictures", "set"]


def test_a_pipeline_that_fails_at_once_leaves_nothing(tmp_path, folder, monkeypatch):
    Disk(monkeypatch, numbers=range(4), times=99)
    with pytest.raises(OSError, match="No space left"):
        make(tmp_path / "set", folder, "DirectRunner")
    assert left_in(tmp_path) == ["pictures"]


def test_a_worker_that_sees_other_pictures_makes_nothing(tmp_path, folder):
    save(tmp_path / "others/0/00.png")
    save(tmp_path / "others/1/01.png")
    with pytest.raises(DatasetError, match="a worker sees other pictures than the launcher"):
        make(tmp_path / "set", folder, "DirectRunner", shown=tmp_path / "others")
    assert left_in(tmp_path) == ["others", "pictures"]


def test_a_shard_that_nobody_made_is_an_error(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(beam.MakeShard, "process", lambda self, element: None)
    with pytest.raises(OSError, match="shard 0 was not made; do all workers see"):
        make(tmp_path / "set", folder, "DirectRunner")


def test_a_report_that_comes_late_is_not_heard(tmp_path, folder, monkeypatch):
    """The last shard is made a second time, with more images; a slow twin of the first attempt reports after it."""
    damage(folder, 0)
    late = []

    def make_shard(source, plan, shard, make=beam.make_shard):
        report = make(source, plan, shard)
        if shard.number == 3:
            late.append(report)
            for old in late[:-1]:
                beam.write_whole(plan.report(3).with_name(f"shard-00003.{plan.run}.json"), old)
        return report

    monkeypatch.setattr(beam, "make_shard", make_shard)
    check_as_local(tmp_path, folder, on_error="skip", max_images=8, shuffle=False)
    assert [report["shard"][3] for report in late] == [2, 3]


def test_a_local_run_does_not_go_on_with_what_a_pipeline_began(tmp_path, folder, monkeypatch):
    Disk(monkeypatch, numbers=[1], times=99)
    with pytest.raises(OSError, match="pipeline"):
        make(tmp_path / "set", folder, "DirectRunner")
    with pytest.raises(ValueError, match="made by was Apache Beam, now None"):
        make(tmp_path / "set", folder, resume="continue")


def test_the_command_line_takes_the_runner_and_its_own_options(tmp_path, folder):
    command = ["create_from_images", str(tmp_path / "set"), str(folder), "--shards", "3", "--runner", "DirectRunner"]
    dataset_tool.main([*command, "--", "--direct_num_workers", "1"])
    manifest = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert (manifest["images"], manifest["shards"]) == (12, 3)


def test_an_unknown_runner_is_refused_and_those_known_are_named(tmp_path, folder):
    with pytest.raises(SystemExit, match=r"Unexpected pipeline runner: CloudRunner\. Valid values are .*DirectRunner"):
        dataset_tool.main(["create_from_images", str(tmp_path / "set"), str(folder), "--runner", "CloudRunner"])
    assert left_in(tmp_path) == ["pictures"]


def test_a_process_opens_the_pictures_once(tmp_path, folder, monkeypatch):
    opened = []
    monkeypatch.setattr(beam, "open_source", lambda *recipe: opened.append(recipe) or open_source(*recipe))
    make(tmp_path / "set", folder, "DirectRunner")
    assert len(opened) == 1
