"""dataset_tool.py as its user meets it: what it makes, and that no mistake leaves half a data set behind."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from record_data import GOLDEN, left_in, noise, open_on_full_disk, pictures

import dataset_tool
from stylegan_tf import records
from stylegan_tf.records import load_labels, open_levels

REPOSITORY = Path(__file__).parent.parent


def start(*arguments):
    command = [sys.executable, "dataset_tool.py", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=pipe, stderr=pipe, text=True)


def call(*arguments):
    """Run the tool as a user does: (status, stdout, stderr)."""
    with start(*arguments) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


def fail(*arguments):
    """Run the tool in this process; returns its status or message."""
    with pytest.raises(SystemExit) as caught:
        dataset_tool.main([str(argument) for argument in arguments])
    return caught.value.code


@pytest.fixture
def folder(tmp_path):
    """Three pictures of 8x8, in a folder beside which nothing else lies."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, image in enumerate(noise(3)):
        Image.fromarray(image).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def out(tmp_path):
    """An empty directory."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


# ---------------------------------------------------------------------------------------------------------------------
# What it makes


@pytest.mark.parametrize(("folder", "shuffle"), [("png_rgb", 1), ("png_rgb", 0), ("png_gray", 1)])
def test_folder_gives_the_originals_files(out, folder, shuffle):
    name = f"{folder.removeprefix('png_')}_{'shuffle' if shuffle else 'noshuffle'}"
    options = [] if shuffle else ["--shuffle", 0]
    status, said, complained = call("create_from_images", out / name, GOLDEN / folder, *options)
    assert (status, complained) == (0, "")
    assert said.splitlines() == [
        f"Complete: {out / name}, {'10 RGB' if 'rgb' in folder else '3 grayscale'} pictures of 32x32",
        f"Next: python run_training.py --data {out / name} --config demo",
    ]
    for original in (GOLDEN / name).iterdir():
        assert (out / name / original.name).read_bytes() == original.read_bytes()
    assert json.loads((out / name / "dataset.json").read_text()) == {
        "images": len(pictures(folder)),
        "shape": list(pictures(folder).shape[1:]),
        "label_size": 0,
        "source": "create_from_images",
        "options": {"image_dir": str(GOLDEN / folder), "shuffle": shuffle},
        "label_names": [],
    }


def test_next_command_can_be_pasted(out, folder, capsys):
    dataset_tool.main(["create_from_images", str(out / "my cats"), str(folder)])
    assert f"--data '{out}/my cats' --config" in capsys.readouterr().out


def test_no_arguments_print_the_help():
    status, said, complained = call()
    assert (status, complained) == (2, "")
    assert "create_openmoji" in said


@pytest.mark.parametrize("command", ["create_from_images", "create_openmoji"])
def test_help_of_a_command(command):
    status, said, _ = call(command, "--help")
    assert status == 0
    assert "--shuffle {0,1}" in said


def test_nothing_heavy_is_imported(out, folder):
    code = (
        "import sys, dataset_tool\n"
        "assert not {'numpy', 'PIL'} & set(sys.modules)\n"
        f"dataset_tool.main(['create_from_images', {str(out / 'set')!r}, {str(folder)!r}])\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# ---------------------------------------------------------------------------------------------------------------------
# Progress


class Clock:
    """A time that passes by a step at each look."""

    def __init__(self, step):
        self.now, self.step = 0, step

    def monotonic(self):
        self.now += self.step
        return self.now


def progress(monkeypatch, capsys, step, terminal):
    monkeypatch.setattr(dataset_tool, "time", Clock(step))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    shown = dataset_tool.Progress(1000)
    for count in range(1, 4):
        shown.show(count)
    shown.clear()
    return capsys.readouterr().out


def test_progress_is_a_live_line_on_a_terminal(monkeypatch, capsys):
    said = progress(monkeypatch, capsys, 0.25, terminal=True)
    assert said.split("\r\033[K") == [
        "",
        "1 of 1000 pictures, 4 a second, 4:10 left",
        "2 of 1000 pictures, 4 a second, 4:10 left",
        "3 of 1000 pictures, 4 a second, 4:09 left",
        "",
    ]


def test_progress_is_a_line_now_and_then_elsewhere(monkeypatch, capsys):
    said = progress(monkeypatch, capsys, 5, terminal=False)
    assert said == "2 of 1000 pictures, 0 a second, 83:10 left\n"


def test_fast_work_is_silent(monkeypatch, capsys):
    assert progress(monkeypatch, capsys, 0.01, terminal=False) == ""


# ---------------------------------------------------------------------------------------------------------------------
# What can go wrong with pictures


def other(folder, image, name="9.png"):
    image.save(folder / name)


def cut_off(folder):
    other(folder, Image.fromarray(noise(1, 64)[0]))
    data = (folder / "9.png").read_bytes()
    (folder / "9.png").write_bytes(data[: len(data) // 2])


MISTAKES = {
    "no picture": (lambda folder: (folder / "notes.txt").write_text("milk"), r"notes\.txt is no picture.*remove it"),
    "damaged": (cut_off, r"9\.png is damaged.*replace it"),
    "empty file": (lambda folder: (folder / "9.png").touch(), r"9\.png is no picture.*replace it"),
    "nested": (lambda folder: (folder / "cats").mkdir(), r"cats is a folder; nested folders are not read"),
    "not square": (lambda folder: other(folder, Image.new("RGB", (16, 8)), "0.png"), r"0\.png is 16x8.*crop"),
    "no power of two": (lambda folder: other(folder, Image.new("RGB", (12, 12)), "0.png"), r"0\.png is 12x12.*scale"),
    "mixed sizes": (lambda folder: other(folder, Image.new("RGB", (16, 16))), r"9\.png is 16x16 RGB, but .*0\.png"),
    "mixed channels": (lambda folder: other(folder, Image.new("L", (8, 8))), r"9\.png is 8x8 grayscale, but .*0\.png"),
    "transparency": (lambda folder: other(folder, Image.new("RGBA", (8, 8))), r"9\.png has transparency.*-alpha off"),
    "16 bits": (lambda folder: other(folder, Image.new("I;16", (8, 8))), r"9\.png has more than 8 bits.*-depth 8"),
    "CMYK": (lambda folder: other(folder, Image.new("CMYK", (8, 8)), "9.jpg"), r"9\.jpg has CMYK.*-colorspace sRGB"),
    "bomb": (lambda folder: other(folder, Image.new("1", (20000, 20000))), r"9\.png claims .* pixels; .*scale it down"),
    "link to nowhere": (lambda folder: (folder / "9.png").symlink_to("gone"), r"9\.png cannot be read: No such file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_in_the_folder_is_one_line_and_leaves_nothing(out, folder, mistake, capsys):
    make, match = MISTAKES[mistake]
    make(folder)
    message = fail("create_from_images", out / "set", folder)
    assert message.startswith(f"Error: {folder}/")
    with pytest.raises(ValueError, match=match):
        raise ValueError(message)
    assert left_in(out) == []
    assert capsys.readouterr().out == ""


def test_missing_and_empty_folder(out, tmp_path):
    assert fail("create_from_images", out / "set", tmp_path / "no").startswith(f"Error: {tmp_path}/no: No such file")
    (tmp_path / "empty").mkdir()
    message = fail("create_from_images", out / "set", tmp_path / "empty")
    assert message.startswith(f"Error: {tmp_path}/empty holds no pictures; put")
    assert left_in(out) == []


def test_error_is_one_line_and_status_1(out):
    status, said, complained = call("create_from_images", out / "set", out / "missing")
    assert (status, said) == (1, "")
    assert complained.startswith("Error: ")
    assert complained.count("\n") == 1


# ---------------------------------------------------------------------------------------------------------------------
# What can go wrong with the place to write to


def test_existing_directory_is_refused(out, folder):
    (out / "mine.txt").write_text("mine")
    message = fail("create_from_images", out, folder)
    assert message == f"Error: {out} exists already; remove it or choose another name"
    assert left_in(out) == ["mine.txt"]


def test_path_below_a_file_is_refused(out, folder):
    (out / "file").write_text("mine")
    message = fail("create_from_images", out / "file" / "set", folder)
    assert message.startswith(f"Error: {out}/file/set cannot be written (Not a directory); choose a directory")
    assert left_in(out) == ["file"]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.EACCES, "cannot be written (Permission denied); choose a directory in which you may write"),
        (errno.EROFS, "cannot be written (Read-only file system); choose a directory"),
        (errno.EIO, "could not be made: [Errno 5] Input/output error"),
    ],
)
def test_directory_that_cannot_be_made(out, folder, monkeypatch, code, says):
    def refuse(path, *_, **__):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert fail("create_from_images", out / "set", folder).startswith(f"Error: {out}/set {says}")
    assert left_in(out) == []


@pytest.mark.parametrize("resolution", [8, 256], ids=["while-closing", "while-writing"])
def test_full_disk(out, folder, monkeypatch, resolution):
    for path in folder.iterdir():
        Image.fromarray(noise(1, resolution)[0]).save(path)
    monkeypatch.setattr(records, "open", open_on_full_disk, raising=False)
    message = fail("create_from_images", out / "set", folder)
    assert message.startswith(f"Error: {out}/set: no space left for the data set, nothing was kept; free some")
    assert left_in(out) == []


def test_file_size_limit(out, folder):
    code = (
        "import resource, dataset_tool\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        f"dataset_tool.main(['create_from_images', {str(out / 'set')!r}, {str(folder)!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {out}/set: no space left")
    assert left_in(out) == []


# ---------------------------------------------------------------------------------------------------------------------
# Interruptions


def test_ctrl_c_leaves_nothing(out, folder, monkeypatch, capsys):
    def interrupt(progress, count):
        assert [name for name in left_in(out) if name.startswith(".set.partial")]
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset_tool.Progress, "show", interrupt)
    assert fail("create_from_images", out / "set", folder) == 130
    assert capsys.readouterr().err == "Interrupted.\n"
    assert left_in(out) == []


def test_termination_leaves_nothing(out, folder):
    os.mkfifo(folder / "9.png")  # the tool waits here for a writer that never comes
    with start("create_from_images", out / "set", folder, "--shuffle", 0) as process:
        try:
            deadline = time.monotonic() + 20
            while not left_in(out) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert left_in(out)
            process.terminate()
            _, complained = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, complained) == (143, "")
    assert left_in(out) == []


# ---------------------------------------------------------------------------------------------------------------------
# OpenMoji


@pytest.mark.parametrize("resolution", ["7", "4", "48", "2048", "-8", "big"])
def test_resolution_must_be_a_power_of_two(out, capsys, resolution):
    assert fail("create_openmoji", out / "set", "--subset", "faces", f"--resolution={resolution}") == 2
    said = capsys.readouterr().err
    assert f"argument --resolution: '{resolution}' is no power of two from 8 to 1024" in said
    assert left_in(out) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--subset", "cats"], "argument --subset: invalid choice: 'cats'"),
        ([], "arguments are required: --subset"),
        (["--subset", "faces", "--shuffle", "2"], "argument --shuffle: invalid choice: 2"),
        (["--subset", "faces", "--res", "64"], "unrecognized arguments: --res"),
        (["--subset", "faces", "--mirror"], "unrecognized arguments: --mirror"),
    ],
)
def test_wrong_option_is_named(out, capsys, options, says):
    assert fail("create_openmoji", out / "set", *options) == 2
    assert says in capsys.readouterr().err


def test_subsets_are_those_of_the_source():
    openmoji = pytest.importorskip("stylegan_tf.openmoji")
    assert tuple(openmoji.SUBSETS) == dataset_tool.SUBSETS


@pytest.mark.parametrize(("subset", "shuffle"), [("portraits", 1), ("faces", 0)])
def test_openmoji_pictures_and_labels_go_together(out, subset, shuffle):
    openmoji = pytest.importorskip("stylegan_tf.openmoji")
    arguments = ["create_openmoji", out / subset, "--subset", subset, "--resolution", 16, "--shuffle", shuffle]
    dataset_tool.main([str(argument) for argument in arguments])
    source = openmoji.openmoji_pictures(subset, 16)
    order = np.arange(len(source))
    if shuffle:
        np.random.RandomState(123).shuffle(order)
    levels = open_levels(out / subset)
    assert [file.resolution for file in levels] == [16, 8, 4]
    for row in (0, 1, len(order) - 1):
        np.testing.assert_array_equal(levels[0].read([row])[0], source[int(order[row])])
    np.testing.assert_array_equal(load_labels(out / subset, len(order)), source.labels[order])
    facts = json.loads((out / subset / "dataset.json").read_text())
    assert facts["options"] == {"subset": subset, "resolution": 16, "shuffle": shuffle}
    assert (facts["label_size"], facts["label_names"]) == (source.labels.shape[1], source.label_names)
