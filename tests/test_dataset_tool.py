"""dataset_tool.py as its user meets it: what it makes, and that no mistake leaves half a data set behind."""

import errno
import inspect
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fidelity import assert_close
from PIL import Image
from record_data import GOLDEN, flip, left_in, noise, open_on_full_disk, pictures

import dataset_tool
from dataset_tools import encoding, making, options
from dataset_tools.commands import COMMANDS
from stylegan_tf import record_partial
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
        ours = (out / name / original.name).read_bytes()
        assert_close("dataset_tool", f"dataset_tool/{name}", ours, original.read_bytes(), original.name)
    facts = json.loads((out / name / "dataset.json").read_text())
    assert (facts["images"], facts["source"], facts["skipped"]) == (len(pictures(folder)), "create_from_images", 0)
    assert facts["options"] == {
        "image_dir": str(GOLDEN / folder),
        "resolution": None,
        "transform": "center-crop",
        "resize_filter": "lanczos",
        "background": "white",
        "channels": "auto",
        "labels": None,
        "mirror": False,
        "shuffle": shuffle,
        "max_images": None,
    }


def test_next_command_can_be_pasted(out, folder, capsys):
    dataset_tool.main(["create_from_images", str(out / "my cats"), str(folder)])
    assert f"--data '{out}/my cats' --config" in capsys.readouterr().out


def test_no_arguments_print_the_help():
    status, said, complained = call()
    assert (status, complained) == (2, "")
    assert "create_openmoji" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example(command, capsys):
    assert fail(command, "--help") == 0
    said = capsys.readouterr().out
    assert f"Examples:\n  python dataset_tool.py {command} {COMMANDS[command].example}\n" in said
    assert ("--shuffle {0,1}" in said) == command.startswith("create_")


@pytest.mark.parametrize("command", COMMANDS)
def test_example_of_a_command_can_be_parsed(command):
    assert dataset_tool.parse_arguments([command, *shlex.split(COMMANDS[command].example)]).command == command


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_calls_what_there_is_with_arguments_that_it_takes(command):
    for function in (COMMANDS[command].function, *COMMANDS[command].instead.values()):
        signature = inspect.signature(dataset_tool.load(function))
        positional = [name for name, _ in COMMANDS[command].arguments]
        if function == COMMANDS[command].function:
            names = dataset_tool.own_options(
                dataset_tool.parse_arguments([command, *shlex.split(COMMANDS[command].example)])
            )
            names = [name for name in names if name not in COMMANDS[command].instead] + [*COMMANDS[command].passes]
            signature.bind(*positional, **dict.fromkeys(names))
        else:
            signature.bind(*positional, "value of the option")


ORIGINAL = {  # section 15 of the reference: arguments in the original's order and spelling, and its defaults
    "create_mnist out in": {"mnist_dir": "in", "shuffle": 1},
    "create_mnistrgb out in": {"num_images": 1000000, "random_seed": 123, "shuffle": 0},
    "create_mnistrgb out in --num_images 9 --random_seed=5": {"num_images": 9, "random_seed": 5},
    "create_cifar10 out in": {"cifar10_dir": "in", "shuffle": 1},
    "create_cifar100 out in": {"cifar100_dir": "in", "shuffle": 1},
    "create_svhn out in": {"svhn_dir": "in", "shuffle": 1},
    "create_lsun out in": {"resolution": 256, "max_images": None, "shuffle": 0, "on_error": "skip"},
    "create_lsun out in --resolution 64 --max_images 100": {"resolution": 64, "max_images": 100},
    "create_lsun_wide out in": {"width": 512, "height": 384, "shuffle": 0, "on_error": "skip"},
    "create_celeba out in": {"cx": 89, "cy": 121, "shuffle": 1},
    "create_from_images out in": {"shuffle": 1, "on_error": "fail", "encoding": "raw", "levels": "stored", "shards": 1},
    "create_from_images out in --shuffle 0": {"tfrecord_dir": "out", "image_dir": "in", "shuffle": 0},
    "create_from_hdf5 out in --shuffle 0": {"hdf5_filename": "in", "shuffle": 0},
    "display out": {"tfrecord_dir": "out"},
    "extract out in": {"tfrecord_dir": "out", "output_dir": "in"},
    "compare a b": {"tfrecord_dir_a": "a", "tfrecord_dir_b": "b", "ignore_labels": 0},
    "compare a b --ignore_labels 1": {"ignore_labels": 1},
}


@pytest.mark.parametrize("line", ORIGINAL)
def test_command_lines_of_the_original_are_understood(line):
    options = vars(dataset_tool.parse_arguments(line.split()))
    assert {name: options[name] for name in ORIGINAL[line]} == ORIGINAL[line]


def test_only_the_name_of_an_option_gets_hyphens():
    options = dataset_tool.parse_arguments(["create_from_images", "my_cats", "my_pictures", "--labels=my_labels.csv"])
    assert (options.tfrecord_dir, options.image_dir, options.labels) == ("my_cats", "my_pictures", "my_labels.csv")


@pytest.mark.parametrize("command", ["create_from_images out in", "info out"])
def test_flags_of_a_runner_without_one_are_an_error_that_says_so(command, capsys):
    with pytest.raises(SystemExit, match="2"):
        dataset_tool.parse_arguments([*command.split(), "--", "--x"])
    assert "--x; what follows -- belongs to --runner, which is not given" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        dataset_tool.parse_arguments([*command.split(), "--x"])
    assert capsys.readouterr().err.endswith("unrecognized arguments: --x\n")


def test_names_may_begin_with_a_hyphen_after_two():
    options = dataset_tool.parse_arguments(["create_from_images", "--shuffle", "0", "--", "out", "-in"])
    assert (options.tfrecord_dir, options.image_dir, options.shuffle) == ("out", "-in", 0)


def test_choices_are_those_of_the_functions():
    from dataset_tools.openmoji import SUBSETS
    from dataset_tools.transforms import FILTERS, TRANSFORMS
    from stylegan_tf.record_format import ENCODINGS

    assert tuple(SUBSETS) == options.SUBSETS
    assert (tuple(TRANSFORMS), tuple(FILTERS)) == (options.TRANSFORMS, options.FILTERS)
    assert options.ENCODINGS == ENCODINGS


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
# Commands for data sets that are there


@pytest.fixture
def made(out, folder, capsys, monkeypatch):
    """A data set of three pictures; it is also the current directory's neighbour."""
    monkeypatch.chdir(out)
    dataset_tool.main(["create_from_images", "set", str(folder)])
    capsys.readouterr()
    return out / "set"


def test_info_and_verify(made, capsys):
    dataset_tool.main(["info", "set"])
    dataset_tool.main(["verify", "set"])
    assert "3 RGB pictures of 8x8" in capsys.readouterr().out


def test_damage_is_exit_status_1_and_can_be_repaired(made, capsys):
    flip(made / "set-r03.tfrecords", 100)
    assert fail("verify", "set") == 1
    assert "set-r03.tfrecords" in capsys.readouterr().out
    dataset_tool.main(["verify", "set", "--repair", "sound"])
    assert len(open_levels("sound")[0]) == 2
    dataset_tool.main(["verify", "sound"])


def test_extract_and_make_again_gives_the_same(made, capsys):
    dataset_tool.main(["extract", "set", "pictures"])
    dataset_tool.main(["create_from_images", "again", "pictures", "--shuffle", "0", "--encoding", "png"])
    dataset_tool.main(["compare", "set", "again"])
    dataset_tool.main(["create_from_images", "other", "pictures", "--shuffle", "0", "--max-images", "2"])
    assert fail("compare", "set", "other", "--ignore_labels", 1) == 1


def test_stats_and_display_draw_pictures(made, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    dataset_tool.main(["stats", "set"])
    dataset_tool.main(["display", "set", "--out", "sheet.png"])
    for name in ("set-stats.png", "sheet.png"):
        with Image.open(made.parent / name) as image:
            assert image.format == "PNG"


# ---------------------------------------------------------------------------------------------------------------------
# What can go wrong with pictures


def damage(path):
    path.write_bytes(path.read_bytes()[:60])


def test_damaged_picture_is_one_line_and_leaves_nothing(out, folder, capsys):
    damage(folder / "1.png")
    message = fail("create_from_images", out / "set", folder)
    assert message.startswith(f"Error: {folder}/1.png is damaged")
    assert "\n" not in message
    assert left_in(out) == []
    assert capsys.readouterr().out == ""


def test_left_out_pictures_are_reported(out, folder, capsys):
    damage(folder / "1.png")
    (folder / "2.png").write_bytes(b"")
    dataset_tool.main(["create_from_images", str(out / "set"), str(folder), "--on-error", "skip"])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Left out, one by one in skipped.jsonl:"
    assert sorted(line[:9] for line in said[1:3]) == ["        1"] * 2
    assert said[3] == f"Complete: {out}/set, 1 RGB pictures of 8x8"


def test_pictures_of_any_size_and_their_labels(out, tmp_path, capsys):
    for name, size in (("cats/a.png", (40, 30)), ("cats/b.png", (16, 16)), ("dogs/c d.jpg", (9, 70))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", size).save(tmp_path / name)
    options = "--resolution 16 --labels folders --transform letterbox --encoding png --levels computed --shards 2"
    dataset_tool.main(["create_from_images", str(out / "set"), str(tmp_path), *options.split()])
    assert "3 RGB pictures of 16x16, 2 label components each" in capsys.readouterr().out
    assert len([name for name in left_in(out / "set") if name.endswith(".tfrecords")]) == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--quality", "90"], "quality 90 does not go with encoding raw"),
        (["--shards", "4"], "4 shards are too many for 3 images"),
        (["--background", "no colour"], "--background"),
    ],
)
def test_options_that_do_not_go_together_are_an_error(out, folder, options, says):
    assert says in fail("create_from_images", out / "set", folder, *options)
    assert left_in(out) == []


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
    monkeypatch.setattr(record_partial, "open", open_on_full_disk, raising=False)
    message = fail("create_from_images", out / "set", folder)
    assert message.startswith(f"Error: {out}/set: no space left for the data set; free some")
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


@pytest.fixture
def interrupted(out, folder, monkeypatch, capsys):
    """A call that was interrupted by Ctrl-C at its last picture: its arguments, and what it said."""
    from dataset_tools.sources import PictureSource

    def interrupt(self, index):
        if index == 2:
            raise KeyboardInterrupt
        return read(self, index)

    read = PictureSource.__getitem__
    monkeypatch.setattr(encoding, "TASK_PIXELS", 1)
    monkeypatch.setattr(making, "WORTH_KEEPING", 0)
    monkeypatch.setattr("stylegan_tf.record_writer.REMEMBER_SECONDS", 0)
    arguments = ["create_from_images", str(out / "my set"), str(folder), "--shuffle", "0", "--workers", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(PictureSource, "__getitem__", interrupt)
        assert fail(*arguments) == 130
    return arguments, capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on_and_that_works(interrupted, out, folder):
    _, said = interrupted
    again = f"create_from_images '{out}/my set' {folder} --shuffle 0 --workers 1 --continue"
    assert said == f"Interrupted; 2 of 3 pictures are kept; to go on: python dataset_tool.py {again}\n"
    assert left_in(out) == [".my set.partial"]
    dataset_tool.main(shlex.split(again))
    dataset_tool.main(["create_from_images", str(out / "my other"), str(folder), "--shuffle", "0"])
    assert left_in(out) == ["my other", "my set"]
    for level, expected in zip(open_levels(out / "my set"), open_levels(out / "my other"), strict=True):
        np.testing.assert_array_equal(level.read(range(3)), expected.read(range(3)))


def test_after_an_interruption_nothing_is_guessed(interrupted, out):
    arguments, _ = interrupted
    says = f"Error: {out}/my set was begun and not finished: 2 of 3 pictures are there; add --continue to go on, or"
    assert fail(*arguments).startswith(says)
    assert fail(*arguments, "--continue", "--restart") == 2
    says = (
        f"Error: {out}/my set cannot be continued: encoding was raw, now png. Use what it was begun with, or add --rest"
    )
    message = fail(*arguments, "--encoding", "png", "--continue")
    assert message.startswith(says)
    assert "kept" not in message
    dataset_tool.main([*arguments, "--encoding", "png", "--restart"])
    assert "my set-r03.index.npy" in left_in(out / "my set")


def test_after_a_bad_picture_the_error_says_how_to_go_on(out, folder, monkeypatch, capsys):
    monkeypatch.setattr(making, "WORTH_KEEPING", 0)
    monkeypatch.setattr(encoding, "TASK_PIXELS", 1)
    damage(folder / "2.png")
    message = fail("create_from_images", out / "set", folder, "--shuffle", 0, "--workers", 1)
    error, _, again = message.partition("to go on: python dataset_tool.py ")
    assert "2.png is damaged" in error
    assert error.endswith(" of 3 pictures are kept; ")
    dataset_tool.main(shlex.split(again))
    assert "2 RGB pictures" in capsys.readouterr().out


def test_an_early_ctrl_c_leaves_nothing(out, folder, monkeypatch, capsys):
    def interrupt(progress, count):
        assert left_in(out) == [".set.partial"]
        raise KeyboardInterrupt

    monkeypatch.setattr("dataset_tools.progress.Progress.show", interrupt)
    assert fail("create_from_images", out / "set", folder) == 130
    assert capsys.readouterr().err == "Interrupted; nothing is kept\n"
    assert left_in(out) == []


def test_termination_is_an_interruption(out):
    with start("create_openmoji", out / "set", "--subset", "all", "--resolution", 64) as process:
        try:
            deadline = time.monotonic() + 30
            while not list(out.glob(".set.partial/*.tfrecords")) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert left_in(out) == [".set.partial"]
            process.terminate()
            _, complained = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, complained) == (143, "Interrupted; nothing is kept\n")
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


@pytest.mark.parametrize(("subset", "shuffle"), [("portraits", 1), ("faces", 0)])
def test_openmoji_pictures_and_labels_go_together(out, subset, shuffle):
    openmoji = pytest.importorskip("dataset_tools.openmoji")
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
    assert facts["options"] == {"subset": subset, "resolution": 16, "shuffle": shuffle, "max_images": None}
    assert (facts["label_size"], facts["label_names"]) == (source.labels.shape[1], source.label_names)
