"""What there is to wait for is measured, and nothing is traced twice."""

import json
import math
from collections import Counter

import numpy as np
import pytest

from benchmarks import startup
from training.config import ScheduleConfig, TrainingConfig
from training.replicas import Replicas
from training.schedule import schedule_at
from training.state import TrainState
from training.step import TrainingStep

NETWORKS = {"generator": {"fmap_max": 4, "mapping_layers": 1}, "discriminator": {"fmap_max": 4}}
SCHEDULE = ScheduleConfig(  # 4 pixels, a fade and 8 pixels, each four steps long; everything varies that can
    lod_initial_resolution=4,
    lod_training_kimg=0.016,
    lod_transition_kimg=0.016,
    minibatch_dict={},
    G_lrate_dict={8: 0.002},
    D_lrate_dict={8: 0.003},
    lrate_rampup_kimg=1.0,
)


def traces_of_a_run(**options):
    """What was traced in twelve steps with two levels, counted: {(level, "_discriminator_step"): times, ...}."""
    config = TrainingConfig(schedule=SCHEDULE, **NETWORKS, **options)
    state = TrainState.create(config, 8, 3, 0)
    replicas, traces, counts, fades = Replicas(), [], Counter(), set()
    startup.note_traces(replicas, traces)
    step = TrainingStep(state, np.zeros([4, 0], np.float32), replicas)
    for number in range(12):
        point = schedule_at(state.images_seen, SCHEDULE, 8)
        images = np.zeros([point.minibatch, point.resolution, point.resolution, 3], np.uint8)
        state.augment_p = number / 20
        step.run(lambda images=images: (images, np.zeros([len(images), 0], np.float32)), point)
        counts.update((point.level, name) for name, _ in traces)
        traces.clear()
        fades.add(point.fade)
    assert point.level == 0
    assert len(fades) == 4
    return counts


def test_a_level_is_traced_once_a_network_and_penalty():
    """The discriminator twice: every second update is without the penalty."""
    expected = {(level, "_discriminator_step"): 2 for level in (0, 1)}
    expected |= {(level, "_generator_step"): 1 for level in (0, 1)}
    assert traces_of_a_run(r1_interval=2) == expected


def test_all_that_there_is_to_wait_for_is_measured(tmp_path, capsys):
    startup.main(["--quick", "--out", str(tmp_path / "startup.json")])
    help_, training, pictures = json.loads((tmp_path / "startup.json").read_text())["results"].values()
    assert {"Python itself", "run_training.py", "generate_images.py", "run_metrics.py"} <= help_[0]["seconds"].keys()
    assert {"import tensorflow", "first step", "second step"} <= training[0]["seconds"].keys()
    assert sorted(training[0]["traces"]) == ["_discriminator_step", "_generator_step"]
    seconds = [value for task in (help_, training, pictures) for result in task for value in result["seconds"].values()]
    assert all(math.isfinite(value) and value > 0 for value in seconds)
    captured = capsys.readouterr()
    assert "second 8 pictures" in captured.out
    assert [path.name for path in tmp_path.iterdir()] == ["startup.json"]


@pytest.mark.parametrize(
    "arguments", [["--repeats", "0"], ["--resolution", "24"], ["--out", "nowhere/startup.json"], ["--fast"]]
)
def test_a_wrong_option_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        startup.parse_arguments(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err
