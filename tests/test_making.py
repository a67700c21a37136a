"""From a source to a data set: order, memory, what is left out, and that no interruption changes a byte."""

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from record_data import left_in, noise

from dataset_tools import encoding, making, progress, space
from dataset_tools.errors import DatasetError, Unsuitable
from dataset_tools.making import make_dataset
from dataset_tools.workers import map_in_order
from stylegan_tf import progress_line
from stylegan_tf.record_writer import RecordFormat, RecordWriter
from stylegan_tf.records import load_labels, open_levels

REPOSITORY = Path(__file__).parent.parent


class Source:
    """Noise, with labels that say which picture it is; some pictures cannot be used."""

    def __init__(self, count=20, size=8, bad=(), unsuitable=(), seed=0):
        self.images = noise(count, size, seed=seed)
        self.names = [f"{index}.png" for index in range(count)]
        self.labels = np.arange(count, dtype=np.float32)[:, np.newaxis]
        self.label_names = ["number"]
        self.bad, self.unsuitable = set(bad), set(unsuitable)
        self.read = []

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        self.read.append(index)
        if index in self.bad:
            raise DatasetError(f"cats: {self.names[index]} is damaged (no end); remove it or replace it")
        if index in self.unsuitable:
            raise Unsuitable(f"{self.names[index]} is too narrow; nothing to do")
        return self.images[index]

    def notes(self):
        return [f"{len(self.read)} pictures were read"]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def order_of(directory):
    """The numbers of the pictures in a data set made of `Source`, from its labels; the pictures are compared."""
    level = open_levels(directory)[0]
    numbers = load_labels(directory, len(level))[:, 0].astype(int)
    images = noise(100, level.resolution)
    np.testing.assert_array_equal(level.read(np.arange(len(level))), images[numbers])
    return numbers.tolist()


def content(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def original_order(count):
    order = np.arange(count)
    np.random.RandomState(123).shuffle(order)
    return order.tolist()


# ---------------------------------------------------------------------------------------------------------------------
# Threads


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(workers):
    def late(item):
        time.sleep(random.random() / 500)
        return item * item

    assert list(map_in_order(late, range(50), workers, 7)) == [item * item for item in range(50)]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_exception_comes_at_the_turn_of_its_item(workers):
    results = map_in_order(lambda item: 6 / item, [1, 2, 0, 3], workers, 4)
    assert [next(results), next(results)] == [6, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_no_more_than_the_window_is_in_memory():
    taken, used, most = 0, 0, 0

    def items():
        nonlocal taken, most
        for item in range(100):
            taken += 1
            most = max(most, taken - used)
            yield item

    for _ in map_in_order(lambda item: item, items(), 3, 6):
        used += 1
    assert (used, most) == (100, 6)


def test_threads_end_when_the_work_is_given_up():
    before = threading.active_count()
    results = map_in_order(lambda item: item, range(1000), 4, 8)
    assert next(results) == 0
    assert threading.active_count() == before + 4
    results.close()
    assert threading.active_count() == before


def test_a_thread_that_hangs_holds_up_nobody(monkeypatch):
    monkeypatch.setattr("dataset_tools.workers.GOODBYE", 0.05)
    never = threading.Event()
    results = map_in_order(lambda item: item and never.wait(), range(10), 2, 4)
    assert next(results) == 0
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 5
    never.set()


# ---------------------------------------------------------------------------------------------------------------------
# Which pictures, in what order


@pytest.mark.parametrize("format", [RecordFormat(), RecordFormat("png", levels="computed", shards=3)], ids=str)
def test_the_number_of_workers_does_not_change_a_byte(tmp_path, format):
    for workers in (1, 2, 5):
        source = Source(bad=[3, 17])
        make_dataset(source, tmp_path / f"{workers}" / "set", format=format, on_error="skip", workers=workers)
    first, second, third = (content(tmp_path / workers / "set") for workers in "125")
    assert first == second == third


@pytest.mark.parametrize(("shuffle", "order"), [(True, original_order(20)), (False, list(range(20)))])
def test_order(out, shuffle, order):
    made = make_dataset(Source(), out, shuffle=shuffle)
    assert order_of(out) == order
    assert (made.images, made.shape, made.label_size, made.skipped) == (20, (8, 8, 3), 1, [])
    assert made.notes == ["20 pictures were read"]


@pytest.mark.parametrize("workers", [1, 4])
def test_max_images_takes_the_first_of_the_order_that_can_be_used(out, workers):
    bad = original_order(20)[1]
    make_dataset(Source(bad=[bad]), out, max_images=5, on_error="skip", workers=workers)
    order = original_order(20)
    assert order_of(out) == [order[0], *order[2:6]]


def test_more_than_there_are_means_all(out):
    assert make_dataset(Source(), out, max_images=50).images == 20


def test_every_picture_is_read_once(out):
    source = Source()
    make_dataset(source, out, format=RecordFormat("png"))
    assert sorted(source.read) == list(range(20))


def test_manifest_says_how(out):
    description = {"source": "create_noise", "options": {"seed": 0}}
    make_dataset(Source(bad=[2]), out, max_images=7, on_error="skip", shuffle=False, description=description)
    facts = json.loads((out / "dataset.json").read_text())
    assert {name: facts[name] for name in ("source", "options", "label_names", "skipped", "images")} == {
        "source": "create_noise",
        "options": {"seed": 0, "shuffle": 0, "max_images": 7},
        "label_names": ["number"],
        "skipped": 1,
        "images": 7,
    }
    assert description == {"source": "create_noise", "options": {"seed": 0}}


# ---------------------------------------------------------------------------------------------------------------------
# What cannot be used


def test_left_out_pictures_are_counted_and_listed(out):
    made = make_dataset(Source(bad=[0, 3, 4], unsuitable=[7]), out, on_error="skip", shuffle=False)
    assert order_of(out) == [1, 2, 5, 6, *range(8, 20)]
    assert made.skipped == ["        3  is damaged (no end)", "        1  is too narrow"]
    lines = [json.loads(line) for line in (out / "skipped.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == ["0.png", "3.png", "4.png", "7.png"]
    assert lines[3] == {
        "index": 7,
        "name": "7.png",
        "reason": "is too narrow",
        "message": "7.png is too narrow; nothing to do",
    }
    assert "skipped.jsonl" in json.loads((out / "dataset.json").read_text())["files"]


def test_many_reasons_are_summed_up(out):
    class Odd(Source):
        def __getitem__(self, index):
            if index < 12:
                raise DatasetError(f"{self.names[index]} has the reason {index}; remedy")
            return super().__getitem__(index)

    made = make_dataset(Odd(), out, on_error="skip", shuffle=False)
    assert made.skipped[9:] == ["        1  has the reason 9", "        2  for other reasons"]


def test_nothing_left_out_leaves_no_report(out):
    make_dataset(Source(), out, on_error="skip")
    assert not (out / "skipped.jsonl").exists()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_picture_that_cannot_be_used_is_an_error_and_nothing_is_left(tmp_path, workers):
    with pytest.raises(DatasetError, match=r"cats: 3\.png is damaged"):
        make_dataset(Source(bad=[3]), tmp_path / "set", shuffle=False, workers=workers)
    assert left_in(tmp_path) == []


def test_unsuitable_pictures_are_no_error(out):
    make_dataset(Source(unsuitable=[0, 5]), out, shuffle=False)
    assert order_of(out) == [1, 2, 3, 4, *range(6, 20)]


def test_no_usable_picture_is_an_error_that_says_why(tmp_path):
    with pytest.raises(DatasetError, match=r"none of the 20 pictures can be used:\n +20  is damaged \(no end\)"):
        make_dataset(Source(bad=range(20)), tmp_path / "set", on_error="skip")
    assert left_in(tmp_path) == []


def test_no_pictures_are_an_error(tmp_path):
    with pytest.raises(DatasetError, match="there are no pictures"):
        make_dataset(Source(0), tmp_path / "set")


def test_a_picture_unlike_the_first_is_named(tmp_path):
    source = Source()
    source.images = [*source.images[:4], noise(1, 16)[0], *source.images[5:]]
    with pytest.raises(DatasetError, match=r"4\.png is 16x16x3 .* but the first picture was 8x8x3; .*--on-error skip"):
        make_dataset(source, tmp_path / "set", shuffle=False)
    made = make_dataset(source, tmp_path / "set", shuffle=False, on_error="skip")
    assert made.images == 19


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros([8, 16, 3], np.uint8), r"0\.png is 16x8 .*power of two"),
        (np.zeros([8, 8, 2], np.uint8), r"0\.png is uint8 \[8, 8, 2\]"),
        (PermissionError(13, "Permission denied"), r"0\.png cannot be read: Permission denied; check"),
    ],
)
def test_what_no_record_can_hold_is_named(tmp_path, image, says):
    class Wrong(Source):
        def __getitem__(self, index):
            if isinstance(image, Exception):
                raise image
            return image

    with pytest.raises(DatasetError, match=says):
        make_dataset(Wrong(), tmp_path / "set", shuffle=False)


def test_a_bug_in_a_source_is_not_taken_for_a_bad_picture(tmp_path):
    class Buggy(Source):
        def __getitem__(self, index):
            raise TypeError("bug")

    with pytest.raises(TypeError, match="bug"):
        make_dataset(Buggy(), tmp_path / "set", on_error="skip", workers=2)


# ---------------------------------------------------------------------------------------------------------------------
# Space on the disk


def disk(monkeypatch, free):
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 0, free))


def raw_bytes(directory):
    return sum(path.stat().st_size for path in directory.glob("*.tfrecords"))


def test_space_for_raw_records_is_known_to_the_byte(tmp_path, monkeypatch):
    make_dataset(Source(), tmp_path / "a")
    need = raw_bytes(tmp_path / "a")
    disk(monkeypatch, need)
    with pytest.raises(ValueError, match=r"b needs about 6\.9 kB, but only 6\.9 kB are free in .*; free some"):
        make_dataset(Source(), tmp_path / "b")
    assert left_in(tmp_path) == ["a"]
    disk(monkeypatch, need + 1)
    make_dataset(Source(), tmp_path / "b")


def test_space_for_compressed_records_is_learned_from_some(tmp_path, monkeypatch):
    source = Source(64, 64)
    source.images[:] = 7  # compresses well
    disk(monkeypatch, 100_000)
    with pytest.raises(ValueError, match=r"needs about 1\.06 MB"):
        make_dataset(source, tmp_path / "raw")
    make_dataset(source, tmp_path / "png", format=RecordFormat("png", levels="computed"))
    assert raw_bytes(tmp_path / "png") < 100_000


def test_space_is_asked_for_where_the_directory_will_be(tmp_path, monkeypatch):
    asked = []
    usage = shutil.disk_usage
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: asked.append(path) or usage(path))
    make_dataset(Source(), tmp_path / "not" / "yet" / "there")
    assert asked == [tmp_path]


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (12_345_678, "12.3 MB"), (4e10, "40 GB"), (7e16, "7e+04 TB")],
)
def test_readable(size, text):
    assert space.readable(size) == text


# ---------------------------------------------------------------------------------------------------------------------
# Interruptions


class Stop(Source):
    """Interrupts when a picture is read for the first time."""

    def __init__(self, *arguments, at, **options):
        super().__init__(*arguments, **options)
        self.at = at

    def __getitem__(self, index):
        if index == self.at:
            raise KeyboardInterrupt
        return super().__getitem__(index)


@pytest.fixture
def begun(out, monkeypatch):
    """Directory of a data set that was interrupted after 11 pictures, of which 2 were left out."""
    monkeypatch.setattr(making, "WORTH_KEEPING", 0)
    monkeypatch.setattr(encoding, "TASK_PIXELS", 1)
    monkeypatch.setattr("stylegan_tf.record_writer.REMEMBER_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        make_dataset(Stop(at=11, bad=[2, 4]), out, shuffle=False, on_error="skip", workers=1)
    assert (RecordWriter.resumable(out).count, out.exists()) == (9, False)
    return out


def test_continued_work_gives_the_same_bytes(begun, tmp_path):
    source = Source(bad=[2, 4, 15])
    made = make_dataset(source, begun, shuffle=False, on_error="skip", resume="continue", workers=1)
    assert made.skipped == ["        3  is damaged (no end)"]
    assert made.notes == ["10 pictures were read (in this call, which went on after 9 pictures)"]
    make_dataset(Source(bad=[2, 4, 15]), tmp_path / "b" / "out", shuffle=False, on_error="skip")
    assert content(begun) == content(tmp_path / "b" / "out")
    assert order_of(begun) == [0, 1, 3, *range(5, 15), 16, 17, 18, 19]
    assert not set(source.read) & {3, 5, 6, 7}  # the first two were looked at for their size
    assert left_in(tmp_path) == ["b", "out"]


def test_without_a_word_an_interrupted_call_is_an_error(begun):
    says = r"out was begun and not finished: 9 of 20 pictures are there; add --continue to go on, or --restart"
    with pytest.raises(ValueError, match=says):
        make_dataset(Source(bad=[2, 4]), begun, shuffle=False, on_error="skip")
    assert RecordWriter.resumable(begun).count == 9


def test_restart_begins_anew(begun):
    make_dataset(Source(), begun, shuffle=False, resume="restart")
    assert order_of(begun) == list(range(20))


def test_restart_needs_no_readable_journal(begun):
    (begun.parent / f".{begun.name}.partial" / "journal.json").write_text("{")
    make_dataset(Source(), begun, resume="restart")
    assert begun.is_dir()


def test_continue_without_a_beginning_begins(out):
    make_dataset(Source(), out, shuffle=False, resume="continue")
    assert order_of(out) == list(range(20))


@pytest.mark.parametrize("resume", [None, "continue", "restart"])
def test_a_complete_data_set_is_never_touched(out, resume):
    make_dataset(Source(), out)
    before = content(out)
    with pytest.raises(ValueError, match="out exists already; remove it or choose another name"):
        make_dataset(Source(), out, resume=resume)
    assert content(out) == before


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"shuffle": True}, "shuffle was 0, now 1"),
        ({"max_images": 15}, "max_images was None, now 15"),
        ({"format": RecordFormat("png")}, "encoding was raw, now png"),
        ({"description": {"source": "create_noise"}}, "command was None, now create_noise"),
        ({"description": {"options": {"seed": [1, 2]}}}, r"seed was None, now \[1, 2\]"),
        ({"source": Source(21)}, "number of pictures was 20, now 21"),
    ],
)
def test_continuing_something_else_is_refused_and_the_difference_named(begun, changed, says):
    arguments = {"source": Source(), "shuffle": False, "on_error": "skip", "resume": "continue"} | changed
    with pytest.raises(ValueError, match=rf"out cannot be continued: {says}\. Use what it was begun with, or .*--rest"):
        make_dataset(arguments.pop("source"), begun, **arguments)
    assert RecordWriter.resumable(begun).count == 9


@pytest.mark.parametrize("change", ["name", "label", "stamp"])
def test_continuing_with_other_pictures_is_refused(begun, change):
    source = Source(bad=[2, 4])
    if change == "name":
        source.names[12] = "new.png"
    elif change == "label":
        source.labels = source.labels + 1
    else:
        source.stamp = "other"
    with pytest.raises(ValueError, match="out cannot be continued: the pictures have changed"):
        make_dataset(source, begun, shuffle=False, on_error="skip", resume="continue")


def test_after_an_error_the_work_can_go_on_without_the_bad_picture(out, monkeypatch):
    monkeypatch.setattr(making, "WORTH_KEEPING", 0)
    monkeypatch.setattr(encoding, "TASK_PIXELS", 1)
    with pytest.raises(DatasetError, match=r"12\.png is damaged"):
        make_dataset(Source(bad=[12]), out, shuffle=False, workers=1)
    make_dataset(Source(bad=[12]), out, shuffle=False, on_error="skip", resume="continue")
    assert order_of(out) == [*range(12), *range(13, 20)]


def test_continuing_needs_only_the_space_that_is_missing(begun, monkeypatch):
    disk(monkeypatch, 5000)  # of 6900
    make_dataset(Source(bad=[2, 4]), begun, shuffle=False, on_error="skip", resume="continue")


WORK = """
import sys, time
import numpy as np
sys.path[:0] = ["tests"]
from test_making import Source
from dataset_tools import encoding, making
from stylegan_tf import record_writer
making.WORTH_KEEPING, encoding.TASK_PIXELS = 0, 1
record_writer.REMEMBER_SECONDS = record_writer.JOURNAL_SECONDS = 0.02

class Slow(Source):
    def __getitem__(self, index):
        print(flush=True)
        time.sleep(0.03)
        return super().__getitem__(index)

making.make_dataset(
    Slow(60, 16, bad=range(0, 60, 7)), sys.argv[1], resume="continue", on_error="skip",
    format=record_writer.RecordFormat(sys.argv[2], levels="computed", shards=2), workers=int(sys.argv[3]),
)
"""


@pytest.mark.parametrize(("compression", "how"), [("png", signal.SIGKILL), ("raw", signal.SIGINT)])
def test_interrupted_at_any_moment_and_continued_gives_the_same_bytes(tmp_path, compression, how):
    expected, out = tmp_path / "a" / "set", tmp_path / "b" / "set"
    format = RecordFormat(compression, levels="computed", shards=2)
    make_dataset(Source(60, 16, bad=range(0, 60, 7)), expected, on_error="skip", format=format)
    chance, kept = random.Random(0), []
    for attempt in range(100):
        command = [sys.executable, "-c", WORK, out, compression, str(1 + attempt % 3)]
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            for _ in range(chance.randint(1, 15)):  # a line for each picture
                process.stdout.readline()
            process.send_signal(how)
            _, complained = process.communicate(timeout=30)
        if out.exists():
            break
        assert process.returncode == -how, complained.decode()
        journal = RecordWriter.resumable(out)
        kept.append(journal.count if journal else 0)
    found = content(out)
    assert {name: found[name] for name in left_in(expected)} == content(expected)
    assert left_in(out.parent) == ["set"]
    assert kept == sorted(kept)
    assert any(kept)


# ---------------------------------------------------------------------------------------------------------------------
# Progress


class Clock:
    """A time that passes by a step at each look."""

    def __init__(self, step):
        self.now, self.step = 0, step

    def monotonic(self):
        self.now += self.step
        return self.now


def shown(monkeypatch, capsys, step, terminal, done=0):
    monkeypatch.setattr(progress_line, "time", Clock(step))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    line = progress.Progress(1000, done)
    for count in range(done + 1, done + 4):
        line.show(count)
    line.clear()
    return capsys.readouterr().out


def test_progress_is_a_live_line_on_a_terminal(monkeypatch, capsys):
    said = shown(monkeypatch, capsys, 0.25, terminal=True)
    assert said.split("\r\033[K") == [
        "",
        "1 of 1000 pictures, 4.0 a second, 4:10 left",
        "2 of 1000 pictures, 4.0 a second, 4:10 left",
        "3 of 1000 pictures, 4.0 a second, 4:09 left",
        "",
    ]


def test_progress_is_a_line_now_and_then_elsewhere(monkeypatch, capsys):
    said = shown(monkeypatch, capsys, 5, terminal=False)
    assert said == "2 of 1000 pictures, 0.2 a second, 1:23:10 left\n"


def test_what_an_earlier_call_made_does_not_count_for_the_rate(monkeypatch, capsys):
    said = shown(monkeypatch, capsys, 5, terminal=False, done=500)
    assert said == "502 of 1000 pictures, 0.2 a second, 41:30 left\n"


def test_nothing_done_yet_is_no_error(monkeypatch, capsys):
    monkeypatch.setattr(progress_line, "time", Clock(20))
    progress.Progress(10).show(0)
    assert capsys.readouterr().out == "0 of 10 pictures, 0.0 a second, unknown time left\n"


def test_fast_work_is_silent(monkeypatch, capsys):
    assert shown(monkeypatch, capsys, 0.01, terminal=False) == ""
