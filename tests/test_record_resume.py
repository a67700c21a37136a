"""Interrupted writing: killed at any moment, a data set is resumed, and its bytes are those of one that was not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from record_data import FORMATS, IMAGES, left_in, make, open_on_full_disk

from stylegan_tf import record_partial, record_writer
from stylegan_tf.record_writer import RecordFormat, RecordWriter


@pytest.fixture(autouse=True)
def every_checkpoint(monkeypatch):
    """No checkpoint is too early to be remembered."""
    monkeypatch.setattr(record_writer, "REMEMBER_SECONDS", 0)


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture(scope="module", params=FORMATS)
def format(request):
    return FORMATS[request.param]


@pytest.fixture(scope="module")
def complete(tmp_path_factory, format):
    """What a writer makes that nobody interrupts."""
    return contents(make(tmp_path_factory.mktemp("complete") / "set", format))


@pytest.mark.parametrize(
    ("stop", "error"), [(1, ZeroDivisionError), (4, KeyboardInterrupt), (5, SystemExit), (11, ZeroDivisionError)]
)
def test_an_interrupted_writer_goes_on(tmp_path, format, complete, stop, error):
    with pytest.raises(error):
        make(tmp_path / "set", format, stop=stop, error=error)
    assert left_in(tmp_path) == [".set.partial"]
    journal = RecordWriter.resumable(tmp_path / "set")
    assert (journal.count, journal.state, journal.shape) == (stop, {"next": stop}, (16, 16, 3))
    assert (journal.expected_images, journal.format) == (12, format)
    assert contents(make(tmp_path / "set", format, journal)) == complete
    assert left_in(tmp_path) == ["set"]
    assert RecordWriter.resumable(tmp_path / "set") is None


def test_a_writer_may_be_interrupted_many_times(tmp_path, format, complete):
    journal = None
    for stop in (2, 3, 3, 9):
        with pytest.raises(ZeroDivisionError):
            make(tmp_path / "set", format, journal, stop)
        journal = RecordWriter.resumable(tmp_path / "set")
        assert journal.count == stop
    assert contents(make(tmp_path / "set", format, journal)) == complete


def test_what_was_written_after_the_last_checkpoint_is_written_again(tmp_path, format, complete, monkeypatch):
    monkeypatch.setattr(record_writer, "REMEMBER_SECONDS", 3600)  # the first checkpoint is the only one
    with pytest.raises(ZeroDivisionError):
        make(tmp_path / "set", format, stop=11)
    journal = RecordWriter.resumable(tmp_path / "set")
    assert journal.count == 1
    assert contents(make(tmp_path / "set", format, journal)) == complete


def test_a_failure_at_the_very_end_can_be_resumed(tmp_path, format, complete, monkeypatch):
    def fail(self, obsolete):
        raise OSError("no more")

    with monkeypatch.context() as patch:
        patch.setattr(record_partial.PartialDirectory, "publish", fail)
        with pytest.raises(OSError, match="no more"):
            make(tmp_path / "set", format)
    journal = RecordWriter.resumable(tmp_path / "set")
    assert journal.count == 12
    assert contents(make(tmp_path / "set", format, journal)) == complete


# ---------------------------------------------------------------------------------------------------------------------
# Killed

KILLED = """
import sys
sys.path[:0] = {path!r}
from stylegan_tf import record_writer
from record_data import FORMATS, make
record_writer.REMEMBER_SECONDS = record_writer.JOURNAL_SECONDS = 0
print("ready", flush=True)
directory = sys.argv[1]
make(directory, FORMATS[sys.argv[2]], record_writer.RecordWriter.resumable(directory))
"""


def kill_after(seconds, directory, name):
    """Write in another process, killed after a while; returns whether it was quick enough to end."""
    tests = Path(__file__).parent
    program = KILLED.format(path=[str(tests.parent), str(tests)])
    with subprocess.Popen([sys.executable, "-c", program, directory, name], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        return process.wait() == 0


@pytest.mark.parametrize("name", FORMATS)
def test_a_writer_killed_at_random_moments_makes_the_same_files(tmp_path, name):
    expected = contents(make(tmp_path / "expected" / "set", FORMATS[name]))
    directory, chance = tmp_path / "killed" / "set", random.Random(name)
    counts = []
    for _ in range(4):
        if kill_after(chance.uniform(0, 0.06), directory, name) or directory.exists():
            break
        journal = RecordWriter.resumable(directory)
        counts.append(journal.count if journal else 0)
    assert counts == sorted(counts)
    if not directory.exists():
        make(directory, FORMATS[name], RecordWriter.resumable(directory))
    found = contents(directory)
    for stray in (".lock", "journal.json"):  # killed between the new name and the last touch: complete all the same
        found.pop(stray, None)
    assert {name: data for name, data in found.items() if not name.endswith(".lengths")} == expected


# ---------------------------------------------------------------------------------------------------------------------
# What cannot be resumed, and what must not be touched


@pytest.fixture
def interrupted(tmp_path):
    """A data set of 12 images of which 5 were written."""
    with pytest.raises(ZeroDivisionError):
        make(tmp_path / "set", FORMATS["original"], stop=5)
    return tmp_path / "set"


def test_without_checkpoints_nothing_is_left(tmp_path):
    def write():
        with RecordWriter(tmp_path / "set", 3) as writer:
            writer.add_image(IMAGES[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert left_in(tmp_path) == []


def test_a_checkpoint_before_the_first_image_keeps_nothing(tmp_path):
    def write():
        with RecordWriter(tmp_path / "set", 3) as writer:
            writer.checkpoint({"next": 0})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert left_in(tmp_path) == []


def test_starting_anew_removes_what_was_left(interrupted):
    make(interrupted, FORMATS["png"])
    assert "set-r04-00001-of-00002.tfrecords" in left_in(interrupted)
    assert left_in(interrupted.parent) == ["set"]


@pytest.mark.parametrize(("expected", "format"), [(11, RecordFormat()), (12, RecordFormat("png"))])
def test_other_options_are_refused(interrupted, expected, format):
    message = "set was begun as 12 images in .* cannot go on as .*; use the same options, or start again"
    with pytest.raises(ValueError, match=message):
        RecordWriter(interrupted, expected, format=format, resume=RecordWriter.resumable(interrupted))
    assert RecordWriter.resumable(interrupted).count == 5


@pytest.mark.parametrize("damage", ["shorter", "missing"])
def test_files_that_are_not_as_the_journal_says_are_named(interrupted, damage):
    journal = RecordWriter.resumable(interrupted)
    path = interrupted.parent / ".set.partial" / "set-r03.tfrecords"
    if damage == "shorter":
        os.truncate(path, 100)
    else:
        path.unlink()
    with pytest.raises(ValueError, match=r"set-r03\.tfrecords is not as its journal says; remove .* and start again"):
        make(interrupted, FORMATS["original"], journal)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"files": 3}', '{"files": {"a": ["b", 1]}}', '{"files": {}, "shape": 3, "format": {"a": 1}}'],
)
def test_a_damaged_journal_is_named(interrupted, text):
    (interrupted.parent / ".set.partial" / "journal.json").write_text(text)
    with pytest.raises(ValueError, match=r"journal\.json is damaged .*; remove .*\.set\.partial and start again"):
        RecordWriter.resumable(interrupted)


def test_a_journal_cannot_name_files_elsewhere(interrupted):
    path = interrupted.parent / ".set.partial" / "journal.json"
    victim = interrupted.parent / "victim"
    victim.write_bytes(b"mine")
    facts = json.loads(path.read_text())
    facts["files"]["../victim"] = [0, 0]
    path.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=r"journal\.json is damaged"):
        make(interrupted, FORMATS["original"], RecordWriter.resumable(interrupted))
    assert victim.read_bytes() == b"mine"


def test_a_full_disk_keeps_the_last_checkpoint_that_fitted(tmp_path, monkeypatch, complete, format):
    with pytest.raises(ZeroDivisionError):
        make(tmp_path / "set", format, stop=6)
    with monkeypatch.context() as patch:
        patch.setattr(record_partial, "open", open_on_full_disk, raising=False)
        with pytest.raises(OSError, match="No space left on device"):
            make(tmp_path / "set", format, RecordWriter.resumable(tmp_path / "set"))
    journal = RecordWriter.resumable(tmp_path / "set")
    assert 6 <= journal.count < 12
    assert contents(make(tmp_path / "set", format, journal)) == complete


def test_state_is_what_it_was_at_the_checkpoint(tmp_path):
    state = {"skipped": []}

    def write():
        with RecordWriter(tmp_path / "set", 3) as writer:
            writer.add_image(IMAGES[0])
            writer.checkpoint(state)
            state["skipped"].append("later")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert RecordWriter.resumable(tmp_path / "set").state == {"skipped": []}


def test_a_second_writer_is_refused_and_changes_nothing(tmp_path):
    with RecordWriter(tmp_path / "set", 2) as writer:
        writer.add_image(IMAGES[0])
        writer.checkpoint()
        for resume in (None, RecordWriter.resumable(tmp_path / "set")):
            with pytest.raises(ValueError, match="set is being written by another process; wait, or stop that one"):
                RecordWriter(tmp_path / "set", 2, resume=resume).__enter__()
        writer.add_image(IMAGES[1])
    assert left_in(tmp_path) == ["set"]
    assert left_in(tmp_path / "set") == ["dataset.json", *(f"set-r0{size}.tfrecords" for size in (2, 3, 4))]
