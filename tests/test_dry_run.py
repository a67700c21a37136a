"""What --dry-run shows: the configuration, the layers, the schedule of the original, and an estimate that adds up."""

import json

import pytest
from PIL import Image
from record_data import noise, write

import run_training
from stylegan_tf.initial import to_be_loaded
from training import dry_run, estimate
from training.config import TrainingConfig, from_json, with_values
from training.presets import GPUS
from training.state import TrainState

SMALL = {
    "generator": {"fmap_max": 8, "latent_size": 8, "dlatent_size": 8, "mapping_fmaps": 8, "mapping_layers": 2},
    "discriminator": {"fmap_max": 8},
}
RATES = dict.fromkeys([4 << stage for stage in range(9)], 1e9)


def small_state(resolution=16, **fields):
    return TrainState.create(with_values(TrainingConfig(), {**SMALL, **fields}), resolution, 3, 0)


def test_the_table_is_that_of_section_12_2():
    table = dry_run.schedule_table(with_values(TrainingConfig(), GPUS[8]), 1024)
    rows = [line.split("  ") for line in table.splitlines()]
    rows = [[entry.strip() for entry in row if entry.strip()] for row in rows]
    assert rows[0] == ["kimg", "lod", "resolution", "minibatch (per GPU)", "G rate", "D rate", "tick kimg"]
    assert rows[1] == ["0 - 600", "7", "8", "256 (32)", "0.001", "0.001", "140"]
    assert rows[2] == ["600 - 1200", "7->6", "16", "128 (16)", "0.001", "0.001", "120"]
    assert rows[8] == ["4200 - 4800", "4->3", "128", "32 (4)", "0.0015", "0.0015", "60"]
    assert rows[15] == ["8400 - 25000", "0", "1024", "32 (4)", "0.003", "0.003", "20"]
    assert len(rows) == 16


def test_the_table_begins_where_the_run_does():
    config = with_values(TrainingConfig(), {"resume_kimg": 7000.0, "total_kimg": 9000.0})
    lines = dry_run.schedule_table(config, 1024).splitlines()
    assert [line.split("  ")[0].strip() or line.split("  ")[1].strip() for line in lines[1:]] == [
        "7000 - 7200",
        "7200 - 7800",
        "7800 - 8400",
        "8400 - 9000",
    ]


def test_work_of_a_layer_counts_multiplications():
    costs = estimate.layer_costs(small_state(8).discriminator)
    eight = 64 * 3 * 8 + 64 * 9 * 8 * 8 + 16 * 16 * 8 * 8  # FromRGB, Conv0, Conv1_down with 4x4 taps at 16 places
    four = 16 * 3 * 8 + 16 * 9 * 9 * 8 + 128 * 8 + 8 * 1  # FromRGB, Conv with the stddev's map, the two dense layers
    assert {size: work for size, (work, _) in costs.items()} == {8: eight, 4: four}
    assert costs[8][1] == 64 * 8 + 64 * 8 + 16 * 8


def test_work_of_the_generator_counts_the_fused_convolution():
    costs = estimate.layer_costs(small_state(8).generator)
    up, conv, rgb = 64 * 4 * 8 * 8, 64 * 9 * 8 * 8, 64 * 8 * 3
    styles = 2 * 8 * 16  # counted with the dense layers
    assert costs[8] == (up + conv + rgb, 64 * 8 * 2 + 64 * 3)
    assert costs[4][0] == 16 * 9 * 8 * 8 + 16 * 8 * 3 + 2 * styles + 2 * 8 * 8


@pytest.mark.parametrize(
    ("fields", "generator", "discriminator"),
    [
        ({}, 4, 6 + 3 + 2),
        ({"D_loss": "D_logistic"}, 4, 6 + 2),
        ({"D_loss": "D_wgan_gp"}, 4, 6 + 4 + 2),
        ({"D_repeats": 2}, 2.5, 6 + 3 + 1),
    ],
)
def test_a_step_runs_each_network_so_many_times(fields, generator, discriminator):
    state = small_state(8, **fields)
    (G_work, G_outputs), (D_work, D_outputs) = (estimate.layer_costs(network)[8] for network in state.networks()[:2])
    work, size = estimate.step_costs(state)[8]
    assert work == round(generator * G_work + discriminator * D_work)
    assert size == estimate.KEPT * 4 * (G_outputs + D_outputs)


def test_memory_is_the_state_and_a_share_of_the_minibatch():
    schedule = {"minibatch_base": 32, "minibatch_dict": {4: 64}}
    one, two = (estimate.memory_by_size(small_state(8, schedule=schedule, num_gpus=gpus)) for gpus in (1, 2))
    outputs = {size: count for size, (_, count) in estimate.step_costs(small_state(8)).items()}
    assert {size: one[size] - two[size] for size in one} == {4: 32 * outputs[4], 8: 16 * (outputs[4] + outputs[8])}
    assert 2 * two[8] - one[8] == estimate.state_bytes(small_state(8))


def test_the_published_configuration_fits_the_memory_that_nvidia_asked_for():
    with to_be_loaded(10**9):
        state = TrainState.create(with_values(TrainingConfig(), GPUS[8]), 1024, 3, 0)
    assert 5e9 < estimate.memory_by_size(state)[1024] < 11e9  # section 20.1: at least 11 GB


def test_time_adds_up_over_the_levels():
    state = small_state(8, schedule={"lod_initial_resolution": 4, "lod_training_kimg": 2, "lod_transition_kimg": 1})
    state.config = with_values(state.config, {"total_kimg": 5.0})
    seconds = estimate.seconds_by_level(state, RATES)
    work = {size: work for size, (work, _) in estimate.step_costs(state).items()}
    assert seconds == pytest.approx({1: work[4] / 1e9, 0: (work[4] + work[8]) / 1e9})
    assert estimate.run_seconds(state, seconds, 8) == pytest.approx(2000 * seconds[1] + 3000 * seconds[0])
    state.config = with_values(state.config, {"resume_kimg": 4.0, "num_gpus": 2})
    assert estimate.seconds_by_level(state, RATES)[0] == pytest.approx(seconds[0] / 2)
    assert estimate.run_seconds(state, seconds, 8) == pytest.approx(1000 * seconds[0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_rate_is_measured(dtype):
    assert 1e6 < estimate.measured_rate(8, 8, dtype) < 1e15


@pytest.fixture
def quick(monkeypatch):
    """No time is spent on measuring."""
    monkeypatch.setattr(estimate, "measured_rate", lambda size, features, dtype: 1e9)


def show(*arguments):
    return run_training.main(["--dry-run", *arguments])


NETWORK = [f"--set={field}={json.dumps(values)}" for field, values in SMALL.items()]


def test_a_dry_run_shows_everything_and_makes_nothing(quick, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "set", noise(3, 16, 1))
    before = sorted(tmp_path.rglob("*"))
    assert show("--data", "set", "--gamma", "5", "--seed", "3", *NETWORK) == 0
    text = capsys.readouterr().out
    shown = from_json(text[text.index("{") : text.index("\n}") + 2])
    assert (shown.seed, shown.D_loss_args, shown.generator) == (3, {"r1_gamma": 5.0}, SMALL["generator"])
    assert "Schedule for 16x16 pixels, 1 channels, 0 labels (3 images in set)" in text
    assert "G_synthesis/16x16/Conv1" in text
    assert "16x16/Conv1_down" in text
    assert "Estimate" in text
    assert "for 25000 kimg on 1 device(s)" in text
    assert sorted(tmp_path.rglob("*")) == before


def test_a_plot_is_drawn_where_it_is_asked_for(quick, tmp_path):
    assert show("--resolution", "16", "--plot", str(tmp_path / "a.png"), *NETWORK) == 0
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (960, 960)
    with pytest.raises(SystemExit, match=r"a\.svg must end in \.png"):
        show("--resolution", "16", "--plot", str(tmp_path / "a.svg"), *NETWORK)


def test_data_that_is_not_there_yet_is_assumed_where_it_is_known(quick, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert show("--dataset", "mnist", *NETWORK) == 0
    assert "Schedule for 32x32 pixels, 1 channels, 0 labels (assumed" in capsys.readouterr().out
    for arguments, complaint in (([], "--dry-run needs to know the data"), (["--data", "set"], "set does not exist")):
        with pytest.raises(SystemExit, match=f"Error: {complaint}; name a directory by --data"):
            show(*arguments)


def test_a_run_that_exists_is_shown_as_it_is(quick, tmp_path, capsys):
    write(tmp_path / "set", noise(3, 8))
    run = tmp_path / "00000-set-F"
    run.mkdir()
    request = {"data": str(tmp_path / "set"), "resolution": None, "minutes": None, "config": {}}
    config = {**SMALL, "total_kimg": 12.5}
    record = {"request": request, "config": config, "dataset": {"images": 3}}
    (run / "run.json").write_text(json.dumps(record))
    assert show("--resume", str(run)) == 0
    assert "for 12.5 kimg" in capsys.readouterr().out


def test_wrong_options_of_a_network_are_named(quick):
    with pytest.raises(SystemExit, match=r"Error: the options of a network do not fit: .*fmap_mux"):
        show("--resolution", "16", "--set", "generator.fmap_mux=8")
