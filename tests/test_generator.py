"""The generator: sizes of the published networks, growth, labels, truncation, seeds, mixing, precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf import ops
from stylegan_tf.generator import Generator, MappingNetwork, SynthesisNetwork

SMALL = {"resolution": 16, "fmap_max": 8, "latent_size": 10, "dlatent_size": 12, "mapping_fmaps": 8}
STORED = {"randomize_noise": False}
BASELINE = {  # configuration B of the paper, section 13.4 of the reference
    "use_styles": False,
    "use_pixel_norm": True,
    "use_instance_norm": False,
    "mapping_layers": 0,
    "truncation_psi": None,
    "const_input_layer": False,
    "style_mixing_prob": 0.0,
    "use_noise": False,
}


@pytest.fixture(scope="module")
def shared():
    """A small generator whose noise matters; for tests that leave its weights alone."""
    return small()


def small(**options):
    """A small generator with random weights, the same at each call."""
    generator = Generator(**{**SMALL, **options})
    rng = np.random.default_rng(3)
    for variable in generator.variables:
        scale = 100 if "mapping" in variable.path and len(variable.shape) == 2 else 1  # stored as 1 / lrmul
        variable.assign(scale * rng.normal(size=variable.shape))
    return generator


def latents(batch=3):
    return np.random.default_rng(4).normal(size=[batch, 10]).astype("f")


# ---------------------------------------------------------------------------------------------------------------------
# Sizes


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 26_219_627),
        (BASELINE, 23_079_115),
        ({"const_input_layer": False, "style_mixing_prob": 0.0, "use_noise": False}, 30_400_651),
        ({"style_mixing_prob": 0.0, "use_noise": False}, 26_214_539),
        (BASELINE | {"mapping_layers": 8}, 25_180_363),
        ({"mapping_layers": 0}, 24_118_379),
        ({"mapping_layers": 1}, 24_381_035),
        ({"mapping_layers": 2}, 24_643_691),
        ({"resolution": 512}, 26_179_768),
        ({"resolution": 256}, 26_086_229),
        ({"resolution": 128}, 25_843_858),
    ],
    ids=["F", "B", "C", "D", "traditional-8", "mapping-0", "mapping-1", "mapping-2", "512", "256", "128"],
)
def test_trainable_parameters_of_the_paper(options, expected, monkeypatch):
    """Section 7.4 of the reference."""
    monkeypatch.setattr(
        keras.initializers, "RandomNormal", lambda *args: keras.initializers.Zeros()
    )  # quick; values do not matter
    generator = Generator(**options)
    assert trainable(generator) == expected
    if not options:
        assert trainable(generator.mapping) == 2_101_248
        assert trainable(generator.synthesis) == 24_118_379
        assert generator.count_params() == 29_016_333 - 2  # the original counts the two lods


def trainable(network):
    return sum(variable.shape.num_elements() for variable in network.trainable_variables)


@pytest.mark.parametrize("resolution", [8, 16, 32, 64, 128, 256, 512, 1024])
def test_resolutions(resolution):
    generator = Generator(resolution=resolution, fmap_max=4, latent_size=4, dlatent_size=4, mapping_layers=1)
    stages = int(np.log2(resolution)) - 1
    assert generator.num_layers == 2 * stages
    for level in (0, stages - 1):
        symbolic = generator(keras.KerasTensor([2, 4]), level=level, randomize_noise=False)
        assert symbolic.shape == (2, resolution >> level, resolution >> level, 3)


@pytest.mark.parametrize("network", [Generator, SynthesisNetwork])
def test_resolution_4_is_an_error_that_says_why(network):
    with pytest.raises(ValueError, match="4x4 and need one block above"):
        network(resolution=4)


@pytest.mark.parametrize("resolution", [0, 12, 2048, 16.5])
def test_other_resolutions_are_an_error(resolution):
    with pytest.raises(ValueError, match=f"power of two from 8 to 1024, not {resolution}"):
        Generator(resolution=resolution)


@pytest.mark.parametrize("network", [Generator, MappingNetwork, SynthesisNetwork])
def test_unknown_option_is_an_error(network):
    with pytest.raises(TypeError, match="mapping_layrs"):
        network(mapping_layrs=3)


@pytest.mark.parametrize("option", ["dlatent_broadcast", "is_training", "components"])
def test_option_that_is_not_the_generators_is_an_error(option):
    with pytest.raises(TypeError, match=option):
        Generator(**{option: None})


def test_unknown_argument_of_a_call_is_an_error(shared):
    with pytest.raises(TypeError, match="trunc"):
        shared(latents(), trunc=0.5)


@pytest.mark.parametrize(
    "options", [{"structure": "round"}, {"fused_scale": "always"}, {"mapping_layers": 0, "dlatent_size": 9}]
)
def test_impossible_value_is_an_error(options):
    with pytest.raises(ValueError, match=next(iter(options)).split("_")[-1]):
        Generator(**SMALL | options)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("truncation_psi", "x"),
        ("truncation_psi", float("nan")),
        ("truncation_cutoff", "a"),
        ("truncation_psi_val", [0.7]),
        ("dlatent_avg_beta", "q"),
        ("style_mixing_prob", "x"),
        ("fmap_base", "x"),
        ("randomize_noise", "no"),
        ("use_noise", "False"),
        ("blur_filter", "x"),
        ("blur_filter", [0, 0]),
        ("blur_filter", [float("nan"), 1]),
        ("blur_filter", [1, "x"]),
        ("blur_filter", [[1], [1, 2]]),
        ("blur_filter", [[]]),
        ("blur_filter", 3),
        ("blur_filter", [10**400]),
        ("blur_filter", np.ones(3)),
    ],
)
def test_value_of_another_kind_is_named(option, value):
    with pytest.raises(ValueError, match=f"^{option} must be .*, not "):
        small(**{option: value})


@pytest.mark.parametrize(
    "options",
    [
        {"truncation_psi": 1, "truncation_cutoff": np.int64(3), "dlatent_avg_beta": np.float32(0.5)},
        {"truncation_psi": None, "truncation_cutoff": None, "style_mixing_prob": False, "blur_filter": None},
        {"randomize_noise": 0, "use_noise": np.bool_(True), "blur_filter": [[1, 2], [2, 4]]},
        {"blur_filter": (np.float32(1), 2), "fmap_decay": np.float64(1)},
        {"blur_filter": []},
    ],
)
def test_values_of_every_legal_kind_make_images(options):
    generator = small(**options)
    assert np.isfinite(generator(latents(), training=True)).all()
    assert np.isfinite(generator(latents())).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels(channels):
    assert small(num_channels=channels)(latents(), **STORED).shape == (3, 16, 16, channels)


# ---------------------------------------------------------------------------------------------------------------------
# Growth


@pytest.mark.parametrize("level", [0, 1])
def test_fade_one_equals_next_coarser_level(shared, level):
    faded = shared(latents(), level=level, fade=1.0, **STORED)
    coarser = shared(latents(), level=level + 1, **STORED)
    np.testing.assert_allclose(faded, ops.upscale2d(coarser), atol=1e-5)


def test_fade_blends_linearly(shared):
    zero, half, one = (np.asarray(shared(latents(), fade=fade, **STORED)) for fade in (0, 0.5, 1))
    np.testing.assert_allclose(half, (zero + one) / 2, atol=1e-5)
    assert not np.allclose(zero, one)


def test_fade_zero_as_a_tensor_is_no_fade(shared):
    np.testing.assert_array_equal(
        shared(latents(), fade=tf.constant(0.0), **STORED),
        shared(latents(), **STORED),
    )


def test_fade_at_the_coarsest_level_changes_nothing(shared):
    np.testing.assert_array_equal(shared(latents(), level=2, fade=0.5, **STORED), shared(latents(), level=2, **STORED))


@pytest.mark.parametrize("level", [-1, 3])
def test_level_out_of_range_is_an_error(shared, level):
    with pytest.raises(ValueError, match=f"from 0 .* to 2 .*not {level}"):
        shared(latents(), level=level)


def test_finer_stages_have_no_influence():
    generator = small()
    before = generator(latents(), level=1, fade=0.5, **STORED)
    for variable in generator.variables:
        if "16x16" in variable.path or "ToRGB_lod0" in variable.path:
            variable.assign(np.zeros(variable.shape))
    np.testing.assert_array_equal(generator(latents(), level=1, fade=0.5, **STORED), before)


def test_fixed_structure_ignores_growth():
    fixed = small(structure="fixed")
    np.testing.assert_array_equal(fixed(latents(), level=1, fade=0.5, **STORED), fixed(latents(), **STORED))
    assert not any("ToRGB_lod1" in variable.path for variable in fixed.variables)


# ---------------------------------------------------------------------------------------------------------------------
# Labels and forms of the call


@pytest.mark.parametrize("label_size", [0, 1, 5])
def test_labels(label_size):
    generator = small(label_size=label_size)
    labels = np.eye(3, label_size, dtype="f")
    images = generator(latents(), labels, **STORED)
    assert images.shape == (3, 16, 16, 3)
    zeros = generator(latents(), np.zeros_like(labels), **STORED)
    np.testing.assert_array_equal(generator(latents(), **STORED), zeros)  # None means zeros
    assert np.allclose(images, zeros) == (label_size == 0)


def test_forms_of_the_call(shared):
    z, labels = latents(), np.zeros([3, 0], "f")
    by_name = shared(z, labels=labels, level=1, fade=0.25, truncation_psi=1, **STORED)
    np.testing.assert_array_equal(shared(z, labels, 1, 0.25, 1, 8, False), by_name)
    dlatents = shared.mapping(z, labels)
    assert dlatents.shape == (3, 6, 12)
    np.testing.assert_array_equal(shared.synthesis(dlatents, 1, 0.25, False), by_name)
    np.testing.assert_array_equal(shared.synthesis(dlatents, level=1, fade=0.25, randomize_noise=False), by_name)


def test_surplus_arguments_are_an_error(shared):
    dlatents = shared.mapping(latents())
    with pytest.raises(TypeError, match="too many"):
        shared.synthesis(dlatents, 0, 0.0, False, None, None, None)
    with pytest.raises(TypeError, match="multiple values"):
        shared.synthesis(dlatents, 0, level=0)


def test_traced_with_any_batch_and_fade(shared):
    signature = [tf.TensorSpec([None, 10], tf.float32), tf.TensorSpec([], tf.float32)]
    traced = tf.function(lambda z, fade: shared(z, level=1, fade=fade, **STORED), input_signature=signature)
    for batch, fade in ((1, 0.25), (3, 0.75)):
        images = traced(latents(batch), fade)
        assert images.shape == (batch, 8, 8, 3)
        expected = shared(latents(batch), level=1, fade=fade, **STORED)
        np.testing.assert_allclose(images, expected, rtol=1e-4, atol=1e-5)


def test_traced_training_call_with_any_batch():
    generator, seed = small(), np.array([1, 2], np.int32)
    signature = [tf.TensorSpec([None, 10], tf.float32), tf.TensorSpec([2], tf.int32)]
    traced = tf.function(lambda z, seed: generator(z, seed=seed, training=True), input_signature=signature)
    images = traced(latents(), seed)
    assert images.shape == (3, 16, 16, 3)
    np.testing.assert_allclose(images, generator(latents(), seed=seed, training=True), rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------------------------------------------------------------
# Truncation (section 3.2 of the reference)


def test_truncation():
    """Layers below the cutoff move towards the mean of w, the others stay."""
    generator = small()
    w = generator.mapping(latents())
    mean = np.asarray(generator.dlatent_avg)
    expected = np.array(w)
    expected[:, :4] = mean + 0.5 * (expected[:, :4] - mean)
    np.testing.assert_allclose(generator.truncate(w, 0.5, 4), expected, atol=1e-5)
    np.testing.assert_allclose(
        generator(latents(), truncation_psi=0.5, truncation_cutoff=4, **STORED),
        generator.synthesis(expected, **STORED),
        atol=1e-3,
    )


@pytest.mark.parametrize(
    ("built", "call", "psi", "cutoff"),
    [
        ({}, {}, 0.7, 8),
        ({"truncation_psi": 0.3, "truncation_cutoff": 2}, {}, 0.3, 2),
        ({"truncation_psi": None}, {}, 1, 8),
        ({"truncation_cutoff": None}, {}, 1, 8),  # trap 32: off, not all layers
        ({"truncation_cutoff": 0}, {}, 1, 8),
        ({"truncation_psi": 1}, {}, 1, 8),
        ({}, {"truncation_psi": None}, 1, 8),
        ({}, {"truncation_cutoff": None}, 1, 8),
        ({}, {"truncation_psi": 0, "truncation_cutoff": 3}, 0, 3),
        ({}, {"truncation_psi": -0.5}, -0.5, 8),
        ({}, {"truncation_psi": np.float32(0.5)}, 0.5, 8),
        ({}, {"validation": True}, 1, 8),
        ({"truncation_psi_val": 0.6}, {"validation": True}, 1, 8),
        ({"truncation_psi_val": 0.6, "truncation_cutoff_val": 5}, {"validation": True}, 0.6, 5),
        ({}, {"validation": True, "truncation_psi": 0.6, "truncation_cutoff": 5}, 0.6, 5),
        ({"style_mixing_prob": None}, {"training": True, "truncation_psi": 0.5}, 1, 8),
    ],
)
def test_which_truncation_is_active(built, call, psi, cutoff):
    generator = small(**built)
    images = generator(latents(), **call, **STORED)
    generator = small(**built)  # training has moved the mean
    coefficients = np.where(np.arange(6) < cutoff, np.float32(psi), 1).reshape(1, 6, 1)
    w = ops.lerp(generator.dlatent_avg, generator.mapping(latents()), coefficients)
    np.testing.assert_allclose(images, generator.synthesis(w, **STORED), atol=1e-3)


def test_truncation_psi_may_be_a_tensor(shared):
    traced = tf.function(lambda psi: shared(latents(), truncation_psi=psi, **STORED))
    for psi in (0.5, 1.0):
        expected = shared(latents(), truncation_psi=psi, **STORED)
        np.testing.assert_allclose(traced(tf.constant(psi)), expected, atol=1e-3)


# ---------------------------------------------------------------------------------------------------------------------
# Noise and seeds


def test_same_seed_gives_same_images(shared):
    first, again, other = (shared(latents(), seed=seed) for seed in ([1, 2], np.array([1, 2]), (1, 3)))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_no_seed_gives_new_noise(shared):
    assert not np.allclose(shared(latents()), shared(latents()))


def test_samples_have_noise_of_their_own(shared):
    """Random noise differs within a batch; stored noise does not (section 2.13)."""
    z = latents(1).repeat(2, axis=0)
    first, second = shared(z, seed=(1, 2))
    assert not np.allclose(first, second)
    first, second = shared(z, **STORED)
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_stored_noise_is_deterministic(shared):
    stored = shared(latents(), **STORED)
    np.testing.assert_array_equal(stored, shared(latents(), **STORED))
    np.testing.assert_array_equal(stored, small(randomize_noise=False)(latents()))
    np.testing.assert_array_equal(stored, shared(latents(), noise=shared.synthesis.noise_images))


def test_constructor_and_call_agree_about_noise():
    generator = small(randomize_noise=False)
    assert not np.allclose(generator(latents(), randomize_noise=True), generator(latents()))


def test_noise_of_a_level_is_drawn_for_its_layers_only(shared):
    """The same seed gives the same noise in the layers that two levels share."""
    drawn = [shared.synthesis.layer_noise(2, layers, True, None, (1, 2)) for layers in (4, 6)]
    assert [image.shape[1] for image in drawn[1]] == [4, 4, 8, 8, 16, 16]
    for coarse, fine in zip(drawn[0], drawn[1], strict=False):
        np.testing.assert_array_equal(coarse, fine)


# ---------------------------------------------------------------------------------------------------------------------
# Training


@pytest.mark.parametrize(
    ("built", "call", "moves"),
    [
        ({}, {}, False),
        ({}, {"validation": True}, False),
        ({}, {"training": True}, True),
        ({"dlatent_avg_beta": None}, {"training": True}, False),
        ({"dlatent_avg_beta": 1}, {"training": True}, False),
    ],
)
def test_mean_of_w_moves_only_in_training(built, call, moves):
    generator = small(**built)
    before = generator.dlatent_avg.numpy()
    generator(latents(), **call)
    assert moves != np.array_equal(generator.dlatent_avg, before)


def test_mean_of_w_after_one_step_from_zero():
    generator = small()
    generator.dlatent_avg.assign(np.zeros(12))
    generator(latents(), training=True)
    mean = np.mean(generator.mapping(latents())[:, 0], axis=0)
    np.testing.assert_allclose(generator.dlatent_avg, 0.005 * mean, rtol=1e-4, atol=1e-6)


def test_training_and_validation_exclude_each_other(shared):
    with pytest.raises(ValueError, match="exclude"):
        shared(latents(), training=True, validation=True)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_mixing_takes_over_from_one_layer_on(level):
    """Over many draws every crossover from 1 to the last used layer occurs, and one in ten batches is not mixed."""
    generator = small(style_mixing_prob=0.5)
    first, others = np.zeros([2, 6, 12], "f"), np.ones([2, 6, 12], "f")
    generator.mapping = lambda latents, labels: others
    crossovers = []
    for seed in range(60):
        mixed = np.asarray(generator.mix_styles(tf.constant(first), None, level, ops.SeedStream([seed, 0])))
        assert mixed.shape == (2, 6, 12)
        switched = mixed[0, :, 0]
        assert np.all(mixed == switched[:, None])  # one decision for the whole batch
        assert np.all(np.diff(switched) >= 0)
        crossovers.append(int(np.sum(switched == 0)))
    layers = 6 - 2 * level
    assert set(crossovers) == set(range(1, layers + 1))
    assert 15 < crossovers.count(layers) < 45  # not mixed


@pytest.mark.parametrize(("probability", "mixes"), [(None, False), (0, False), (1.0, True)])
def test_mixing_probability(probability, mixes):
    generator = small(style_mixing_prob=probability)
    plain = generator.synthesis(generator.mapping(latents()), **STORED)
    images = generator(latents(), training=True, seed=(1, 2), **STORED)
    assert mixes != np.allclose(images, plain, atol=1e-4)


def test_every_weight_gets_a_gradient():
    generator = small()
    with tf.GradientTape() as tape:
        images = generator(latents(), fade=0.5, training=True, seed=(1, 2))
        loss = tf.reduce_sum(images**2)
    weights = generator.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    without = [weight.path for weight, gradient in zip(weights, gradients, strict=True) if gradient is None]
    assert without == ["generator/G_synthesis/ToRGB_lod2/weight", "generator/G_synthesis/ToRGB_lod2/bias"]
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients if gradient is not None)


# ---------------------------------------------------------------------------------------------------------------------
# Precision


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.05), ("float16", 0.01)])
@pytest.mark.parametrize("training", [False, True])
def test_half_precision(shared, dtype, tolerance, training):
    """Truncation and training included, which fail in the original (trap 44)."""
    options = {"training": training, "seed": (1, 2), "level": 1, "fade": 0.5, **STORED}
    half = small(dtype=dtype, style_mixing_prob=None)
    images = np.asarray(half(latents(), **options))
    assert images.dtype == np.float32
    assert {variable.dtype for variable in half.variables} == {"float32"}
    exact = np.asarray(small(style_mixing_prob=None)(latents(), **options))
    assert np.linalg.norm(images - exact) < tolerance * np.linalg.norm(exact)
    assert half.get_config()["dtype"] == f"mixed_{dtype}"
    assert Generator.from_config(half.get_config()).compute_dtype == dtype


def test_initial_images_are_finite():
    """At initialisation the constant has no variance at all, which instance norm must survive."""
    assert np.all(np.isfinite(Generator(**SMALL)(latents())))
