"""The two doors that use a trained generator: generate_images.py and generate_figures.py."""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import generate_figures
import generate_images
from stylegan_tf.choices import choose_label
from stylegan_tf.figures import images_from_seeds

REPOSITORY = Path(__file__).parent.parent


def pixels(path):
    with PIL.Image.open(path) as image:
        return np.asarray(image)


def generate(network, outdir, *options):
    arguments = ["--network", str(network), "--seeds", "0-2", "--outdir", str(outdir), *options]
    generate_images.main(arguments)


@pytest.fixture
def file(tiny_run):
    return tiny_run / "network-snapshot-000001.safetensors"


def test_pictures_are_those_of_the_seeds(tmp_path, file, tiny_generator, capsys):
    outdir = tmp_path / "deep" / "out"
    generate(file, outdir, "--trunc", "0.5", "--class", "1", "--grid", "--batch", "2")
    names = [path.name for path in sorted(outdir.iterdir())]
    assert names == ["grid.png", "seed0000.png", "seed0001.png", "seed0002.png"]
    expected = list(images_from_seeds(tiny_generator, range(3), labels=[0, 1, 0], psi=0.5))
    for seed in range(3):
        assert np.abs(pixels(outdir / f"seed{seed:04d}.png").astype(int) - expected[seed]).max() <= 1
    assert pixels(outdir / "grid.png").shape == (32, 32, 3)
    printed = capsys.readouterr().out
    assert f"{outdir}/seed0000.png" in printed
    assert f"{outdir}/grid.png" in printed


def test_another_type_gives_nearly_the_same_pictures(tmp_path, file):
    for dtype in ("float32", "bfloat16"):
        generate(file, tmp_path / dtype, "--dtype", dtype)
    for seed in range(3):
        one, other = (pixels(tmp_path / dtype / f"seed{seed:04d}.png") for dtype in ("float32", "bfloat16"))
        difference = np.abs(one.astype(int) - other)
        assert 0 < difference.max() < 32
        assert difference.mean() < 3


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_a_picture_that_cannot_be_written_is_an_error(tmp_path, file, jobs):
    (tmp_path / "seed0001.png").mkdir()
    with pytest.raises(SystemExit, match=r"Error: .*seed0001.png"):
        generate(file, tmp_path, "--jobs", jobs)


def test_a_seed_named_twice_is_one_picture(tmp_path, file):
    assert generate_images.parse_seeds("3,0-4,3") == [3, 0, 1, 2, 4]


def test_half_grown_network_gives_small_pictures(tmp_path, tiny_run):
    generate(tiny_run, tmp_path / "out")
    assert pixels(tmp_path / "out" / "seed0000.png").shape == (8, 8, 3)


def test_stored_noise_differs_from_noise_of_its_own(tmp_path, file):
    for mode in ("const", "random"):
        generate(file, tmp_path / mode, "--noise-mode", mode)
    assert (pixels(tmp_path / "const" / "seed0001.png") != pixels(tmp_path / "random" / "seed0001.png")).any()


def test_class_is_a_one_hot_label(tmp_path, file):
    generate(file, tmp_path / "class", "--class", "2")
    generate(file, tmp_path / "label", "--label", "0,0,1")
    np.testing.assert_array_equal(
        pixels(tmp_path / "class" / "seed0000.png"), pixels(tmp_path / "label" / "seed0000.png")
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--class", "3"], "Error: --class 3: this network has the classes 0 to 2"),
        (["--label", "1,2"], "Error: --label [1.0, 2.0]: this network's labels have 3 components, not 2"),
    ],
)
def test_wrong_label_is_an_error(tmp_path, file, options, message):
    with pytest.raises(SystemExit) as caught:
        generate(file, tmp_path / "out", *options)
    assert caught.value.code == message


def test_class_of_an_unconditional_network_is_an_error():
    with pytest.raises(ValueError, match="--class 0: this network was trained without labels"):
        choose_label(0, 0, None)


def test_missing_network_and_bad_directory_are_errors(tmp_path, file):
    with pytest.raises(SystemExit, match=r"Error: .*nowhere does not exist"):
        generate(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(SystemExit, match=r"Error: .*000001.safetensors"):
        generate(file, file / "out")


@pytest.mark.parametrize(("text", "seeds"), [("0-3", [0, 1, 2, 3]), ("7", [7]), ("3,8,20-21", [3, 8, 20, 21])])
def test_seeds(text, seeds):
    assert generate_images.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "-1", "3-1", "a", "1,,2", "4294967296", "1-", "1-2-3"])
def test_what_is_no_list_of_seeds(text):
    with pytest.raises(argparse.ArgumentTypeError, match="seeds"):
        generate_images.parse_seeds(text)


def test_figures_of_a_run(tmp_path, tiny_run, capsys):
    generate_figures.main(["--network", str(tiny_run), "--outdir", str(tmp_path / "out")])
    names = {"uncurated.png", "truncation.png", "style-mixing.png", "curves.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    printed = capsys.readouterr().out
    assert all(f"{tmp_path}/out/{name}\n" in printed for name in names)
    assert pixels(tmp_path / "out" / "uncurated.png").shape == (6 * 96, 8 * 96, 3)


def test_as_a_user_types_it(tmp_path, file):
    """A process of its own prints where the pictures are, and not one word of TensorFlow's."""
    command = [
        sys.executable,
        "generate_images.py",
        "--network",
        file,
        "--seeds",
        "5",
        "--outdir",
        tmp_path / "out",
    ]
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == f"Pictures: {tmp_path}/out/seed0005.png to seed0005.png"
    assert pixels(tmp_path / "out" / "seed0005.png").shape == (16, 16, 3)


def test_an_outdir_that_is_a_file_is_named(tiny_run, tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(SystemExit, match=r"Error: .*taken: File exists; .*choose a directory"):
        generate_images.main(["--network", str(tiny_run), "--seeds", "0", "--outdir", str(tmp_path / "taken")])
