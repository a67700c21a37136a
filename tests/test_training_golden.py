"""Losses, gradients, optimizer and whole training steps against values of the original."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf import official, ops
from stylegan_tf.discriminator import Discriminator
from stylegan_tf.generator import Generator
from stylegan_tf.growth import split_lod
from training import step as step_module
from training.config import TrainingConfig
from training.losses import D_logistic_simplegp, G_logistic_nonsaturating
from training.optimizer import Adam
from training.reals import prepare_reals
from training.state import TrainState
from training.step import TrainingStep, average_decay, update

GOLDEN = Path(__file__).parent / "golden"


class Golden:
    """One golden file, images in NHWC."""

    def __init__(self, name):
        self.data = np.load(GOLDEN / f"{name}.npz")
        self.meta = json.loads(str(self.data["meta"]))

    def __getitem__(self, key):
        array = self.data[key]
        return np.moveaxis(array, -3, -1) if array.ndim in (4, 5) else array

    def network(self, key, network_class, name=None):
        options = dict(self.meta["networks"][key]["static_kwargs"])
        network = network_class(**options, name=name or key)
        prefix = f"var/{key}/"
        variables = {name.removeprefix(prefix): self.data[name] for name in self.data.files if name.startswith(prefix)}
        official.load_variables(network, variables)
        return network


def downscaled(images, level):
    return ops.downscale2d(tf.constant(images), 2**level)


@pytest.mark.parametrize("name", ["lod0", "lod0.3", "lod1", "lod1.7", "lod2"])
def test_prepare_reals(name):
    golden = Golden("process_reals")
    level, fade = split_lod(golden.meta["outputs"][name]["lod"])
    result = prepare_reals(golden[f"in/{name}"], fade)
    np.testing.assert_allclose(ops.upscale2d(result, 2**level), golden[f"out/{name}"], atol=2e-6)


def test_prepare_reals_mirrors_where_the_coin_says_so(monkeypatch):
    golden = Golden("process_reals")
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda *_: tf.constant(golden["in/mirror_mask"]))
    result = prepare_reals(golden["in/mirror"], golden.meta["outputs"]["mirror"]["lod"], mirror=True)
    np.testing.assert_allclose(result, golden["out/mirror"], atol=2e-6)


def test_adam_skips_non_finite_gradients_and_resets():
    golden = Golden("adam_unit")
    (name,) = [key for key in golden.data.files if key.startswith("var/")]
    variable = tf.keras.Variable(golden[name], name="x")
    adam = Adam([variable])
    for gradient, rate, expected in zip(
        golden["in/grads"], golden["in/lrates"], golden["out/v_after_each"], strict=True
    ):
        skipped = adam.apply([tf.constant(gradient)], tf.constant(rate))
        assert float(skipped) == float(not np.isfinite(gradient).all())
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6, atol=1e-9)
    adam.reset()
    adam.apply([tf.constant(golden["in/grads"][4])], tf.constant(0.001))
    np.testing.assert_allclose(variable.numpy(), golden["out/v_after_reset_and_step"], rtol=1e-6, atol=1e-9)


LOSS_CASES = [
    ("G_logistic_nonsaturating", {}),
    ("D_logistic_simplegp/r1_gamma=10", {"r1_gamma": 10.0}),
    ("D_logistic_simplegp/r1_gamma=0,r2_gamma=10", {"r1_gamma": 0.0, "r2_gamma": 10.0}),
    ("D_logistic_simplegp/r1_gamma=10,r2_gamma=5", {"r1_gamma": 10.0, "r2_gamma": 5.0}),
]


@pytest.mark.parametrize("name", ["losses_lod0", "losses_lod0.4_labels"])
@pytest.mark.parametrize(("case", "options"), LOSS_CASES)
def test_loss_and_gradients(name, case, options):
    golden = Golden(name)
    generator, discriminator = golden.network("G", Generator), golden.network("D", Discriminator)
    level, fade = split_lod(golden.meta["lod"])
    labels, reals = golden["in/labels"], tf.constant(golden["in/reals"])
    network, loss = (generator, "G") if case.startswith("G") else (discriminator, "D")
    variables = [variable.value for variable in network.trainable_variables]
    with tf.GradientTape() as tape:
        fakes = generator(golden["in/latents"], labels, level, fade, training=True)

        def score(images):
            return discriminator(images, labels, level, fade)

        if loss == "G":
            losses = G_logistic_nonsaturating(score, fakes)
        else:
            losses, _ = D_logistic_simplegp(score, reals, tf.stop_gradient(fakes), level, **options)
        value = tf.reduce_mean(losses)
    gradients = tape.gradient(value, variables, unconnected_gradients="zero")
    expected = golden.data[f"out/{case}/loss"]
    per_sample = np.diagonal(expected) if expected.shape[1] > 1 else expected[:, 0]
    np.testing.assert_allclose(losses[:, 0], per_sample, rtol=1e-4, atol=2e-5)
    for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
        short = variable.path.removeprefix(f"{network.name}/")
        wanted = golden.data[f"out/{case}/grad/{short}"]
        ours = gradient.numpy().transpose(0, 3, 1, 2) if short.endswith("/const") else gradient
        np.testing.assert_allclose(ours, wanted, atol=1e-4 * np.abs(wanted).max() + 1e-6, rtol=0, err_msg=short)


@pytest.mark.parametrize("lod", [0.0, 0.4, 1.0, 1.25, 2.0])
def test_penalties_keep_their_published_strength_at_every_level(lod):
    """Loss and gradient at the current size equal those of images of the full size, as the original feeds (trap 24)."""
    level, fade = split_lod(lod)
    tf.keras.utils.set_random_seed(3)
    discriminator = Discriminator(resolution=32, fmap_max=8)
    small = tf.random.stateless_uniform([4, 32 >> level, 32 >> level, 3], [1, 2], -1, 1)
    fakes = tf.random.stateless_uniform(small.shape, [3, 4], -1, 1)
    variables = [variable.value for variable in discriminator.trainable_variables]

    def at_current_size(images):
        return discriminator(images, None, level, fade)

    def at_full_size(images):
        return at_current_size(ops.downscale2d(images, 2**level))

    results = []
    for score, size, used_level in ((at_current_size, 1, level), (at_full_size, 2**level, 0)):
        with tf.GradientTape() as tape:
            images = [ops.upscale2d(batch, size) for batch in (small, fakes)]
            losses, _ = D_logistic_simplegp(score, *images, used_level, r1_gamma=10.0, r2_gamma=3.0)
            value = tf.reduce_mean(losses)
        results.append([losses, *tape.gradient(value, variables, unconnected_gradients="zero")])
    for ours, original in zip(*results, strict=True):
        np.testing.assert_allclose(ours, original, rtol=1e-4, atol=1e-6 * float(tf.reduce_max(tf.abs(original))))


@pytest.mark.parametrize("name", ["steps_lod0_lr0.001", "steps_lod0.5_lr0.0015_labels"])
def test_three_whole_steps(name, monkeypatch):
    golden = Golden(name)
    state = TrainState(
        TrainingConfig(),
        generator := golden.network("G", Generator),
        discriminator := golden.network("D", Discriminator),
        golden.network("Gs", Generator),
        Adam(generator.trainable_variables),
        Adam(discriminator.trainable_variables),
    )
    level, fade = split_lod(golden.meta["lod"])
    labels = golden["in/labels"]
    step = TrainingStep(state, labels[0])
    rate, seed = tf.constant(golden.meta["lrate"], tf.float32), tf.constant([0, 0])
    for index in range(3):
        latents = iter([golden["in/D_latents"][index], golden["in/G_latents"][index]])
        monkeypatch.setattr(step_module, "draw_latents", lambda *_, source=latents: tf.constant(next(source)))
        monkeypatch.setattr(step_module, "prepare_reals", lambda images, *_: images)
        rows = golden["in/G_labels"][index]
        monkeypatch.setattr(step_module, "draw_labels", lambda *_, given=rows: tf.constant(given))
        reals = tf.constant(golden["in/reals"][index])
        beta = average_decay(len(reals), state.config.G_smoothing_kimg)
        np.testing.assert_allclose(beta, golden.data["out/Gs_beta"])
        logs = step._discriminator_step(reals, tf.constant(labels[index]), fade, rate, beta, seed, level)
        if index == 0:
            np.testing.assert_allclose(logs["loss_d"], golden.data["out/step1/D_loss"].mean(), rtol=1e-5)
            np.testing.assert_allclose(generator.dlatent_avg, golden["out/step1/after_D/G_dlatent_avg"], atol=1e-6)
        logs = step._generator_step(fade, rate, seed, level, len(reals))
        if index == 0:
            np.testing.assert_allclose(logs["loss_g"], golden.data["out/step1/G_loss"].mean(), rtol=1e-5)
        if index in (0, 2):
            for key, network in zip(("G", "D", "Gs"), state.networks(), strict=True):
                compare_variables(golden, f"out/after{index + 1}/{key}/", network)


def compare_variables(golden, prefix, network):
    """Adam moves by the sign of a gradient at first, so an element whose gradient is rounding noise may go astray."""
    differences = []
    for name, ours in official.variables_of(network).items():
        if prefix + name in golden.data.files:
            differences.append(np.abs(ours - golden.data[prefix + name]).ravel())
    assert len(differences) > 10
    differences = np.concatenate(differences)
    assert (differences <= 1e-5).mean() >= 0.999
    assert differences.max() < 2e-3


@pytest.mark.parametrize("compiled", [False, True])
def test_an_update_with_a_non_finite_loss_changes_nothing(compiled):
    discriminator = Discriminator(resolution=8, fmap_max=4)
    adam = Adam(discriminator.trainable_variables)
    before = discriminator.get_weights()
    images = np.full([2, 8, 8, 3], np.nan, np.float32)

    def run():
        return update(discriminator, adam, lambda: (tf.reduce_mean(discriminator(images)), {}), tf.constant(0.1))

    value, _, skipped = (tf.function(run) if compiled else run)()
    assert np.isnan(value)
    assert float(skipped) == 1.0
    for old, new in zip(before, discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
