"""Losses: values and gradients of the original, values by hand, strength at every level, the compiled step."""

import inspect

import numpy as np
import pytest
import tensorflow as tf
from fidelity import assert_close
from golden_data import network_in, read, to_nhwc

from stylegan_tf import ops
from stylegan_tf.discriminator import Discriminator
from stylegan_tf.growth import split_lod
from training.config import D_LOSS_ARGS, G_LOSS_ARGS, TrainingConfig, with_values
from training.losses import D_LOSSES, G_LOSSES, gradient_penalty, scores_and_squared_norms, total
from training.optimizer import Adam
from training.schedule import schedule_at
from training.state import TrainState
from training.step import TrainingStep, draw_uniform, update

FILES = ["losses_lod0.npz", "losses_lod0.4_labels.npz"]
CASES = [key.removesuffix("/loss") for key in read(FILES[0]).group("out") if key.endswith("/loss")]
PENALIZED = {
    "D_wgan_gp": {"wgan_lambda": 10.0, "wgan_target": 2.0},
    "D_hinge_gp": {"wgan_lambda": 3.0, "wgan_target": 0.5},
    "D_logistic_simplegp": {"r1_gamma": 10.0, "r2_gamma": 3.0},
}
U = np.array([0.25, 0.5], "f").reshape(2, 1, 1, 1)


class Case:
    """Networks and inputs of a golden file, in our layout."""

    def __init__(self, name):
        self.file = read(name)
        self.generator, self.discriminator = network_in(self.file, "G"), network_in(self.file, "D")
        self.level, self.fade = split_lod(self.file.meta["lod"])
        inputs = {key: to_nhwc(array) for key, array in self.file.group("in").items()}
        self.latents, self.labels = inputs["latents"], inputs["labels"]
        self.reals, self.mixing_factors = (tf.constant(inputs[key]) for key in ("reals", "mixing_factors"))

    def fakes(self):
        return self.generator(self.latents, self.labels, self.level, self.fade, training=True)

    def score(self, images):
        return self.discriminator(images, self.labels, self.level, self.fade)

    def loss(self, name, options):
        """Losses [N, 1] and the network that they train."""
        if name in G_LOSSES:
            return G_LOSSES[name](self.score, self.fakes(), **options), self.generator
        inputs = self.reals, self.fakes(), self.level, self.mixing_factors
        return total(D_LOSSES[name](self.score, *inputs, **options))[0], self.discriminator


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_the_originals(name, case):
    setup = Case(name)
    loss, _, options = case.partition("/")
    options = {key: float(value) for key, value in (item.split("=") for item in filter(None, options.split(",")))}
    assert options == setup.file.meta["outputs"][f"{case}/loss"]["kwargs"]
    with tf.GradientTape() as tape:
        losses, network = setup.loss(loss, options)
        value = tf.reduce_mean(losses)
    variables = {key: variable.value for key, variable in network.named_variables().items() if variable.trainable}
    gradients = tape.gradient(value, variables, unconnected_gradients="zero")
    expected = setup.file.group(f"out/{case}")
    per_sample = np.diagonal(expected["loss"])[:, None] if expected["loss"].shape[1] > 1 else expected["loss"]
    assert_close("loss", name, losses, per_sample, case)
    assert_close("loss", name, value, expected["loss"].mean(dtype=np.float64), case)
    assert_close("loss", name, setup.generator.dlatent_avg, expected["after_dlatent_avg"], case)
    wanted = setup.file.group(f"out/{case}/grad")
    assert gradients.keys() == wanted.keys()
    for key, gradient in gradients.items():
        gradient = gradient.numpy().transpose(0, 3, 1, 2) if key.endswith("/const") else gradient
        assert_close("loss_gradients", name, gradient, wanted[key], f"{case}: {key}")


@pytest.mark.parametrize("name", FILES)
def test_images_scores_and_their_gradients_are_the_originals(name):
    setup = Case(name)
    fakes = setup.fakes()
    images = {"fake": fakes, "real": setup.reals, "mixed": ops.lerp(setup.reals, fakes, setup.mixing_factors)}
    for key, batch in images.items():
        with tf.GradientTape() as tape:
            tape.watch(batch)
            scores = setup.score(batch)
            total = tf.reduce_sum(scores)
        expected = {name: to_nhwc(array) for name, array in setup.file.group("out/inter").items()}
        if key != "real":
            assert_close("loss_images", name, batch, expected[f"{key}_images"], key)
        assert_close("loss", name, scores, expected[f"{key}_scores"], key)
        gradient = tape.gradient(total, batch)
        assert_close("loss_gradients", name, gradient, expected[f"grad_{key}_images"], f"{key} images")


def test_names_and_defaults_in_the_configuration_are_those_of_the_functions():
    for losses, table in ((G_LOSSES, G_LOSS_ARGS), (D_LOSSES, D_LOSS_ARGS)):
        assert losses.keys() == table.keys()
        for name, loss in losses.items():
            parameters = inspect.signature(loss).parameters.values()
            assert {item.name: item.default for item in parameters if item.default is not item.empty} == table[name]


def softplus(x):
    return np.log1p(np.exp(x))


def toy_score(images):
    """3 times the first pixel plus 4 times the second: gradients have the norm 5."""
    return (3 * images[:, 0, 0] + 4 * images[:, 0, 1])[:, :1]


REALS = tf.constant([[0.5, 0.0], [0.0, -0.5]])[:, None, :, None]  # scores 1.5, -2
FAKES = tf.constant([[0.0, 0.25], [1.0, 0.0]])[:, None, :, None]  # scores 1, 3


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("G_wgan", [-1, -3]),
        ("G_logistic_saturating", [-softplus(1), -softplus(3)]),
        ("G_logistic_nonsaturating", [softplus(-1), softplus(-3)]),
    ],
)
def test_generator_losses_by_hand(name, by_hand):
    np.testing.assert_allclose(G_LOSSES[name](toy_score, FAKES)[:, 0], by_hand, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "by_hand", "logs"),
    [
        ("D_wgan", {}, [1 - 1.5 + 0.00225, 3 + 2 + 0.004], {"epsilon_penalty": 3.125}),
        ("D_wgan", {"wgan_epsilon": 0.0}, [-0.5, 5], {"epsilon_penalty": 3.125}),
        (
            "D_wgan_gp",
            {},
            [1 - 1.5 + 0.00225 + 160, 3 + 2 + 0.004 + 160],  # 10 (5 - 1)^2
            {"epsilon_penalty": 3.125, "score_mixed": (1.375 + 0.5) / 2, "mixed_norms": 5},
        ),
        (
            "D_wgan_gp",
            {"wgan_lambda": 5.0, "wgan_target": 2.0, "wgan_epsilon": 1.0},
            [1 - 1.5 + 2.25 + 11.25, 3 + 2 + 4 + 11.25],  # 5 / 4 (5 - 2)^2
            {"epsilon_penalty": 3.125, "score_mixed": (1.375 + 0.5) / 2, "mixed_norms": 5},
        ),
        ("D_hinge", {}, [2 + 0, 4 + 3], {}),
        ("D_hinge_gp", {}, [2 + 160, 7 + 160], {"score_mixed": (1.375 + 0.5) / 2, "mixed_norms": 5}),
        ("D_logistic", {}, [softplus(1) + softplus(-1.5), softplus(3) + softplus(2)], {}),
        (
            "D_logistic_simplegp",
            {},
            [softplus(1) + softplus(-1.5) + 125, softplus(3) + softplus(2) + 125],  # 10 / 2 * 25
            {"r1_penalty": 25},
        ),
        (
            "D_logistic_simplegp",
            {"r1_gamma": 0.0, "r2_gamma": 2.0},
            [softplus(1) + softplus(-1.5) + 25, softplus(3) + softplus(2) + 25],
            {"r2_penalty": 25},
        ),
    ],
)
def test_discriminator_losses_by_hand(name, options, by_hand, logs):
    losses, logged = total(D_LOSSES[name](toy_score, REALS, FAKES, 0, U, **options))
    assert losses.shape == [2, 1]
    np.testing.assert_allclose(losses[:, 0], by_hand, rtol=1e-6)
    expected = {"score_real": -0.25, "score_fake": 2.0, "r_t": 0.0, **logs}
    assert {key: pytest.approx(float(value), rel=1e-6) for key, value in logged.items()} == expected


def test_norms_are_those_of_images_of_the_full_size():
    _, norms = scores_and_squared_norms(toy_score, REALS, level=2)
    np.testing.assert_allclose(norms, [[25 / 16], [25 / 16]])
    _, logs = gradient_penalty(toy_score, REALS, FAKES, 2, U, 10.0, 1.0)
    np.testing.assert_allclose(logs["mixed_norms"], 5 / 4)


@pytest.mark.parametrize("lod", [0.0, 0.4, 1.0, 1.25, 2.0])
@pytest.mark.parametrize("name", PENALIZED)
def test_penalties_keep_their_published_strength_at_every_level(name, lod):
    """Loss and gradient at the current size equal those of images of the full size, as the original feeds (trap 24)."""
    level, fade = split_lod(lod)
    tf.keras.utils.set_random_seed(3)
    discriminator = Discriminator(resolution=32, fmap_max=8)
    small = tf.random.stateless_uniform([4, 32 >> level, 32 >> level, 3], [1, 2], -1, 1)
    fakes = tf.random.stateless_uniform(small.shape, [3, 4], -1, 1)
    mixing_factors = draw_uniform(4, [5, 6])
    variables = [variable.value for variable in discriminator.trainable_variables]

    def at_current_size(images):
        return discriminator(images, None, level, fade)

    def at_full_size(images):
        return at_current_size(ops.downscale2d(images, 2**level))

    results = []
    for score, size, used_level in ((at_current_size, 1, level), (at_full_size, 2**level, 0)):
        with tf.GradientTape() as tape:
            images = [ops.upscale2d(batch, size) for batch in (small, fakes)]
            losses, _ = total(D_LOSSES[name](score, *images, used_level, mixing_factors, **PENALIZED[name]))
            value = tf.reduce_mean(losses)
        results.append([losses, *tape.gradient(value, variables, unconnected_gradients="zero")])
    for ours, original in zip(*results, strict=True):
        assert_close("penalties", f"computed at lod {lod:g}", ours, original, name)


@pytest.mark.parametrize("name", ["D_wgan_gp", "D_hinge_gp"])
def test_where_a_gradient_vanishes_the_loss_is_finite_but_the_update_is_skipped(name):
    """The original has no epsilon under the root either, whose slope at zero is infinite."""
    weight = tf.keras.Variable(tf.zeros([2]), name="weight")
    network = tf.keras.Model()
    network.weight = weight
    adam = Adam([weight])

    def score(images):
        return tf.reduce_sum(images[:, 0, :, 0] * weight, axis=1, keepdims=True)

    value, _, skipped = update(network, adam, D_LOSSES[name](score, REALS, FAKES, 0, U), tf.constant(0.1))
    assert float(value) == 10.0 + (2.0 if name == "D_hinge_gp" else 0.0)
    assert float(skipped) == 1.0
    np.testing.assert_array_equal(weight, [0, 0])


def test_mixing_factors_reach_from_the_real_to_the_generated_image():
    factors = draw_uniform(1000, [1, 2])
    assert factors.shape == [1000, 1, 1, 1]
    assert 0 <= tf.reduce_min(factors) < 0.01
    assert 0.99 < tf.reduce_max(factors) < 1
    np.testing.assert_array_equal(factors, draw_uniform(1000, [1, 2]))


@pytest.mark.parametrize(
    ("networks", "D_loss"), [(("G_style", "D_basic"), "D_hinge_gp"), (("G_paper", "D_paper"), "D_wgan_gp")]
)
def test_the_compiled_step_trains(networks, D_loss):
    small = {"fmap_max": 4, "latent_size": 8}
    if "G_style" in networks:
        small |= {"dlatent_size": 8, "mapping_layers": 1}
    values = {"G_func": networks[0], "D_func": networks[1], "G_loss": "G_wgan", "D_loss": D_loss}
    values |= {"generator": small, "discriminator": {"fmap_max": 4}}
    config = with_values(TrainingConfig(), {**values, "schedule": {"minibatch_dict": {}}})
    state = TrainState.create(config, 16, 3, 0)
    step, point = TrainingStep(state, np.zeros([1, 0], "f")), schedule_at(0, config.schedule, 16)
    before = [network.get_weights() for network in state.networks()]
    pictures = np.random.RandomState(0).randint(0, 256, [4, 8, 8, 3], np.uint8)
    for _ in range(3):
        logs = step.run(lambda: (pictures, np.zeros([4, 0], "f")), point)
        assert all(np.isfinite(value) for value in logs.values())
        assert float(logs["skipped_d"]) == float(logs["skipped_g"]) == 0.0
    assert {"score_real", "score_fake", "score_mixed", "mixed_norms"} <= logs.keys()
    for old, network in zip(before, state.networks(), strict=True):
        assert any(not np.array_equal(was, now) for was, now in zip(old, network.get_weights(), strict=True))
