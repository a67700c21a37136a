"""Real images, optimizer and whole training steps against values of the original."""

import numpy as np
import pytest
import tensorflow as tf
from fidelity import assert_close
from golden_data import network_in, read, to_nhwc

from stylegan_tf import official, ops
from stylegan_tf.discriminator import Discriminator
from stylegan_tf.growth import split_lod
from training import step as step_module
from training.config import TrainingConfig
from training.optimizer import Adam
from training.reals import prepare_reals
from training.replicas import Share
from training.state import TrainState
from training.step import TrainingStep, average_decay, update

REALS = read("process_reals.npz")


@pytest.mark.parametrize("name", ["lod0", "lod0.3", "lod1", "lod1.7", "lod2"])
def test_prepare_reals(name):
    level, fade = REALS.growth(name)
    result = prepare_reals(to_nhwc(REALS.group("in")[name]), fade)
    assert_close("reals", REALS.name, ops.upscale2d(result, 2**level), to_nhwc(REALS.group("out")[name]), name)


def test_prepare_reals_mirrors_where_the_coin_says_so():
    inputs, fade = REALS.group("in"), REALS.growth("mirror")[1]
    result = prepare_reals(to_nhwc(inputs["mirror"]), fade, inputs["mirror_mask"])
    assert_close("reals", REALS.name, result, to_nhwc(REALS.group("out")["mirror"]), "mirror")


def test_adam_skips_non_finite_gradients_and_resets():
    file = read("adam_unit.npz")
    inputs, expected = file.group("in"), file.group("out")
    (start,) = file.group("var").values()
    variable = tf.keras.Variable(start, name="x")
    adam = Adam([variable])
    for gradient, rate, after in zip(inputs["grads"], inputs["lrates"], expected["v_after_each"], strict=True):
        skipped = adam.apply([tf.constant(gradient)], tf.constant(rate))
        assert float(skipped) == float(not np.isfinite(gradient).all())
        assert_close("adam", file.name, variable, after)
    adam.reset()
    adam.apply([tf.constant(inputs["grads"][4])], tf.constant(0.001))
    assert_close("adam", file.name, variable, expected["v_after_reset_and_step"], "after a reset")


@pytest.mark.parametrize("name", ["steps_lod0_lr0.001.npz", "steps_lod0.5_lr0.0015_labels.npz"])
def test_three_whole_steps(name, monkeypatch):
    file = read(name)
    generator, discriminator, generator_ema = (network_in(file, key) for key in ("G", "D", "Gs"))
    adams = Adam(generator.trainable_variables), Adam(discriminator.trainable_variables)
    state = TrainState(TrainingConfig(), generator, discriminator, generator_ema, *adams)
    level, fade = split_lod(file.meta["lod"])
    inputs, expected = file.group("in"), file.group("out")
    step = TrainingStep(state, inputs["labels"][0])
    rate, seed = tf.constant(file.meta["lrate"], tf.float32), tf.constant([0, 0])
    for index in range(3):
        given = {key: array[index] for key, array in inputs.items()}
        latents = iter([given["D_latents"], given["G_latents"]])
        monkeypatch.setattr(step_module, "draw_latents", lambda *_, source=latents: tf.constant(next(source)))
        monkeypatch.setattr(step_module, "prepare_reals", lambda images, *_: images)
        monkeypatch.setattr(step_module, "draw_labels", lambda *_, rows=given["G_labels"]: tf.constant(rows))
        reals, labels = tf.constant(to_nhwc(given["reals"])), tf.constant(given["labels"])
        beta = average_decay(len(reals), state.config.G_smoothing_kimg)
        minibatch = len(reals)
        logs = step._discriminator_step(Share(), reals, labels, fade, rate, seed, 0.0, beta, level, minibatch)
        if index == 0:
            assert_close("step_losses", name, beta, expected["Gs_beta"], "decay")
            assert_close("step_losses", name, logs["loss_d"], expected["step1/D_loss"].mean(), "loss of D")
            assert_close("step_average", name, generator.dlatent_avg, expected["step1/after_D/G_dlatent_avg"])
        logs = step._generator_step(Share(), fade, rate, seed, 0.0, level, minibatch)
        if index == 0:
            assert_close("step_losses", name, logs["loss_g"], expected["step1/G_loss"].mean(), "loss of G")
        if index in (0, 2):
            for key, network in zip(("G", "D", "Gs"), state.networks(), strict=True):
                compare_variables(file, f"after{index + 1}/{key}", network)


def compare_variables(file, key, network):
    """Adam moves by the sign of a gradient at first, so an element whose gradient is rounding noise may go astray."""
    ours, expected = official.variables_of(network), file.group(f"out/{key}")
    names = sorted(ours.keys() & expected.keys())
    assert len(names) > 10
    ours, expected = (np.concatenate([np.ravel(arrays[name]) for name in names]) for arrays in (ours, expected))
    assert_close("step_variables", file.name, ours, expected, key)
    assert_close("step_strays", file.name, ours, expected, key)


@pytest.mark.parametrize("compiled", [False, True])
def test_an_update_with_a_non_finite_loss_changes_nothing(compiled):
    discriminator = Discriminator(resolution=8, fmap_max=4)
    adam = Adam(discriminator.trainable_variables)
    before = discriminator.get_weights()
    images = np.full([2, 8, 8, 3], np.nan, np.float32)

    def run():
        return update(discriminator, adam, [lambda: (discriminator(images), {})], tf.constant(0.1))

    value, _, skipped = (tf.function(run) if compiled else run)()
    assert np.isnan(value)
    assert float(skipped) == 1.0
    for old, new in zip(before, discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
