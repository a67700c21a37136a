"""The words and numbers of a run's reports."""

import json

import numpy as np
import PIL.Image
import pytest

from training.config import TrainingConfig, with_values
from training.reporting import RunReporter, clock, grid_size
from training.schedule import schedule_at
from training.state import TrainState


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.9, "59s"), (725, "12m 05s"), (11220, "3h 07m"), (187200, "2d 04h")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("size", "resolution", "cells"),
    [
        ("1080p", 8, (32, 32)),
        ("1080p", 64, (30, 16)),
        ("1080p", 1024, (3, 2)),
        ("4k", 1024, (7, 4)),
        ("6x2", 64, (6, 2)),
    ],
)
def test_grid_size_of_the_original(size, resolution, cells):
    assert grid_size(size, resolution) == cells


class Pictures:
    """A data set of noise, 16x16."""

    resolution, num_channels, label_size, name = 16, 3, 0, "noise"
    labels = np.zeros([10, 0], np.float32)

    def batches(self, level, batch_size, start=0):
        while True:
            yield np.zeros([batch_size, 16 >> level, 16 >> level, 3], np.uint8), self.labels[:batch_size]


@pytest.fixture
def state():
    small = {"fmap_max": 4, "latent_size": 8, "dlatent_size": 8, "mapping_layers": 1}
    config = {"generator": small, "discriminator": {"fmap_max": 4}, "image_grid": "3x2", "total_kimg": 2000}
    return TrainState.create(with_values(TrainingConfig(), config), 16, 3, 0)


def test_grids_show_the_current_level_at_full_size(state, tmp_path):
    reporter = RunReporter(tmp_path, state, Pictures())
    path = reporter.fake_grid(schedule_at(0, state.config.schedule, 16))
    pixels = np.asarray(PIL.Image.open(path))
    assert pixels.shape == (32, 48, 3)
    np.testing.assert_array_equal(pixels[::2], pixels[1::2])  # 8x8, shown at 16x16


def test_a_tick_reports_means_and_the_time_left(state, tmp_path, capsys):
    reporter = RunReporter(tmp_path, state, Pictures())
    point = schedule_at(0, state.config.schedule, 16)
    for loss in (1.0, 3.0):
        state.images_seen += point.minibatch
        logs = {"loss_g": loss, "loss_d": 0.5, "score_real": 1.0, "score_fake": -1.0, "r1_penalty": 0.1}
        reporter.add(logs, 0.5, point)
    reporter.rates = {1: 0.01, 0: 0.02}
    assert reporter.time_left() == pytest.approx((600_000 - 256) * 0.01 + 1_400_000 * 0.02)
    reporter.tick(point)
    assert "loss G  2.00 D  0.50" in capsys.readouterr().out
    row = json.loads((tmp_path / "stats.jsonl").read_text())
    assert (row["loss_g"], row["score_real"], row["kimg"], row["resolution"]) == (2.0, 1.0, 0.256, 8)


def test_a_restored_run_forgets_ticks_that_were_not_saved(state, tmp_path):
    path = tmp_path / "stats.jsonl"
    path.write_text('{"images_seen": 100}\n{"images_seen": 200}\n{"images_se')
    state.images_seen = 100
    RunReporter(tmp_path, state, Pictures())
    assert path.read_text() == '{"images_seen": 100}\n'
