"""Configurations: JSON both ways, presets, complaints that name the field."""

import pytest

from training.config import PRESETS, TrainingConfig, from_json, to_json, with_values


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    config = with_values(TrainingConfig(), PRESETS[name])
    assert from_json(to_json(config)) == config


def test_a_field_deep_inside_is_replaced_and_the_rest_kept():
    config = with_values(TrainingConfig(), {"schedule": {"minibatch_dict": {"64": 8}}})
    assert config.schedule.minibatch_dict == {64: 8}
    assert config.schedule.lod_training_kimg == 600
    assert config.total_kimg == 25000


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"total_kimgs": 1}, "total_kimgs"),
        ({"schedule": {"minibatch": 1}}, "ScheduleConfig has no field 'minibatch'"),
        ({"schedule": 3}, "schedule"),
        ({"seed": "zero"}, "seed is 'zero'"),
        ({"mirror_augment": "yes"}, "mirror_augment"),
        ({"minibatch_repeats": 1.5}, "minibatch_repeats"),
        ({"G_loss": 3}, "G_loss"),
        ({"minibatch_repeats": True}, "minibatch_repeats"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        with_values(TrainingConfig(), values)


def test_the_published_configuration():
    config = with_values(TrainingConfig(), PRESETS["F"])
    assert (config.optimizer.beta1, config.optimizer.beta2, config.optimizer.epsilon) == (0.0, 0.99, 1e-8)
    assert (config.D_loss, config.D_loss_args) == ("D_logistic_simplegp", {"r1_gamma": 10.0})
    assert (config.G_smoothing_kimg, config.minibatch_repeats, config.total_kimg) == (10, 4, 25000)
    assert config.schedule.G_lrate_dict == {128: 0.0015, 256: 0.002, 512: 0.003, 1024: 0.003}
