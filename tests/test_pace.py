"""Fitting a schedule to the time one has."""

import numpy as np
import pytest

from stylegan_tf.arrays import read_arrays
from training.config import TrainingConfig, with_values
from training.pace import fastest_dtype, fit_to_time, measure
from training.presets import PRESETS
from training.schedule import phases
from training.state import TrainState
from training.step import TrainingStep

CONFIG = with_values(TrainingConfig(), PRESETS["demo"])
RATES = {3: 0.005, 2: 0.007, 1: 0.01, 0: 0.02}  # seconds per image at 8, 16, 32, 64 pixels


def seconds_of(config):
    total, start = 0.0, 0.0
    for level, (_, transition, training) in zip((3, 2, 1, 0), phases(config.schedule, 64), strict=True):
        end = min(start + transition + training, config.total_kimg)
        total += (end - start) * 1000 * RATES[level]
        start = end
    return total


@pytest.mark.parametrize("minutes", [2, 15, 600])
def test_the_schedule_takes_the_time_it_was_given(minutes):
    config = fit_to_time(CONFIG, RATES, minutes * 60, 64, overhead=1.0)
    assert seconds_of(config) == pytest.approx(minutes * 60, rel=0.01)


def test_the_run_keeps_its_proportions():
    config = fit_to_time(CONFIG, RATES, 3600, 64)
    factor = config.total_kimg / CONFIG.total_kimg
    assert config.G_smoothing_kimg == pytest.approx(CONFIG.G_smoothing_kimg * factor, rel=0.01)
    for ours, before in zip(phases(config.schedule, 64), phases(CONFIG.schedule, 64), strict=True):
        assert ours == pytest.approx((before[0], before[1] * factor, before[2] * factor), rel=0.01)


class Pictures:
    """A data set of noise, 16x16."""

    resolution, num_channels, label_size, name = 16, 3, 0, "noise"
    labels = np.zeros([10, 0], np.float32)

    def batches(self, level, batch_size, start=0):
        size = 16 >> level
        while True:
            yield np.random.randint(0, 255, [batch_size, size, size, 3]).astype(np.uint8), self.labels[:batch_size]


def test_measuring_leaves_no_trace(tmp_path):
    small = {"fmap_max": 4, "latent_size": 8, "dlatent_size": 8, "mapping_layers": 1}
    config = {"generator": small, "discriminator": {"fmap_max": 4}, "schedule": {"minibatch_dict": {}}}
    state = TrainState.create(with_values(TrainingConfig(), config), 16, 3, 0)
    state.save(tmp_path / "before.safetensors")
    rates = measure(state, TrainingStep(state, Pictures.labels), Pictures())
    assert rates.keys() == {1, 0}
    assert min(rates.values()) > 0
    state.save(tmp_path / "after.safetensors")
    (before, counters), (after, same) = (read_arrays(tmp_path / f"{name}.safetensors") for name in ("before", "after"))
    assert counters == same
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_the_fastest_type_is_one_of_the_two():
    assert fastest_dtype() in ("float32", "bfloat16")
