"""The discriminator: sizes of the published networks, growth, labels, minibatch statistics, precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf import ops
from stylegan_tf.discriminator import Discriminator

SMALL = {"resolution": 16, "fmap_max": 8}


@pytest.fixture(scope="module")
def shared():
    """A small discriminator; for tests that leave its weights alone."""
    return small()


def small(**options):
    """A small discriminator with random weights, the same at each call."""
    discriminator = Discriminator(**SMALL | options)
    rng = np.random.default_rng(3)
    for variable in discriminator.variables:
        variable.assign(rng.normal(size=variable.shape))
    return discriminator


def pictures(batch=4, size=16, channels=3):
    return np.random.default_rng(4).normal(size=[batch, size, size, channels]).astype("f")


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [(1024, 23_087_249), (512, 23_080_225), (256, 23_052_353), (128, 22_941_313)],
)
def test_trainable_parameters_of_the_paper(resolution, expected, monkeypatch):
    """Section 7.4 of the reference."""
    monkeypatch.setattr(
        keras.initializers, "RandomNormal", lambda *args: keras.initializers.Zeros()
    )  # quick; values do not matter
    assert Discriminator(resolution=resolution).count_params() == expected


@pytest.mark.parametrize("resolution", [8, 16, 32, 64, 128, 256, 512, 1024])
def test_resolutions(resolution):
    discriminator = Discriminator(resolution=resolution, fmap_max=4)
    for level in (0, int(np.log2(resolution)) - 2):
        size = resolution >> level
        assert discriminator(keras.KerasTensor([2, size, size, 3]), level=level).shape == (2, 1)


def test_resolution_4_is_an_error_that_says_why():
    with pytest.raises(ValueError, match="4x4 and need one block above"):
        Discriminator(resolution=4)


def test_unknown_option_is_an_error():
    with pytest.raises(TypeError, match="mbstd_groupsize"):
        Discriminator(mbstd_groupsize=4)


@pytest.mark.parametrize("options", [{"structure": "round"}, {"fused_scale": "always"}])
def test_impossible_value_is_an_error(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Discriminator(**SMALL | options)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels(channels):
    discriminator = small(num_channels=channels)
    assert discriminator(pictures(channels=channels)).shape == (4, 1)


@pytest.mark.parametrize("shape", [(4, 8, 8, 3), (4, 16, 16, 1), (4, 3, 16, 16), (4, 16, 8, 3)])
def test_images_of_another_shape_are_an_error(shared, shape):
    with pytest.raises(ValueError, match="expects images"):
        shared(np.zeros(shape, "f"))


# ---------------------------------------------------------------------------------------------------------------------
# Growth


@pytest.mark.parametrize("level", [0, 1])
def test_fade_one_equals_next_coarser_level(shared, level):
    images = pictures(size=16 >> level)
    coarser = shared(ops.downscale2d(images), level=level + 1)
    np.testing.assert_allclose(shared(images, level=level, fade=1.0), coarser, atol=1e-5)


def test_fade_zero_as_a_tensor_is_no_fade(shared):
    np.testing.assert_array_equal(shared(pictures(), fade=tf.constant(0.0)), shared(pictures()))


def test_fade_matters(shared):
    assert not np.allclose(shared(pictures(), fade=0.5), shared(pictures()))


@pytest.mark.parametrize("level", [-1, 3])
def test_level_out_of_range_is_an_error(shared, level):
    with pytest.raises(ValueError, match=f"from 0 .* to 2 .*not {level}"):
        shared(pictures(), level=level)


def test_finer_stages_have_no_influence():
    discriminator = small()
    before = discriminator(pictures(size=8), level=1, fade=0.5)
    for variable in discriminator.variables:
        if "16x16" in variable.path or "FromRGB_lod0" in variable.path:
            variable.assign(np.zeros(variable.shape))
    np.testing.assert_array_equal(discriminator(pictures(size=8), level=1, fade=0.5), before)


def test_fixed_structure_takes_full_size_images_at_any_level():
    fixed = small(structure="fixed")
    np.testing.assert_array_equal(fixed(pictures(), level=1, fade=0.5), fixed(pictures()))
    assert not any("FromRGB_lod1" in variable.path for variable in fixed.variables)


def test_forms_of_the_call(shared):
    images, labels = pictures(size=8), np.zeros([4, 0], "f")
    by_name = shared(images, labels=labels, level=1, fade=0.25)
    np.testing.assert_array_equal(shared(images, labels, 1, 0.25), by_name)
    np.testing.assert_array_equal(shared(images, None, 1, 0.25), by_name)
    traced = tf.function(lambda images, fade: shared(images, labels, 1, fade))
    np.testing.assert_allclose(traced(images, tf.constant(0.25)), by_name, rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------------------
# Labels and minibatch statistics


@pytest.mark.parametrize("label_size", [0, 1, 5])
def test_labels(label_size):
    """The score is the logit of the image's class; without labels it is zero (section 6.3)."""
    discriminator = small(label_size=label_size)
    classes, one_hot = np.arange(4) % max(label_size, 1), np.eye(label_size, dtype="f")
    scores = discriminator(pictures(), one_hot[classes] if label_size else None)
    assert scores.shape == (4, 1)
    assert not np.any(np.isclose(scores, 0))
    if label_size:
        logits = [discriminator(pictures(), one_hot[[index] * 4]) for index in range(label_size)]
        expected = np.concatenate(logits, axis=1)[np.arange(4), classes]
        np.testing.assert_allclose(np.ravel(scores), expected, rtol=1e-5)
        np.testing.assert_array_equal(discriminator(pictures()), 0)


def test_scores_depend_on_the_batch_through_the_minibatch_stddev_only():
    images = pictures()
    for group_size, alone in ((4, False), (1, True), (0, True)):
        discriminator = small(mbstd_group_size=group_size)
        same = np.allclose(discriminator(images)[:1], discriminator(images[:1]), atol=1e-5)
        assert same == alone


def test_batch_that_does_not_divide_is_an_error(shared):
    with pytest.raises(ValueError, match="batch of 6"):
        shared(pictures(batch=6))


def test_batch_size_may_be_unknown_without_minibatch_stddev():
    discriminator = small(mbstd_group_size=0)
    signature = [tf.TensorSpec([None, 16, 16, 3], tf.float32)]
    traced = tf.function(lambda images: discriminator(images), input_signature=signature)
    for batch in (1, 6):
        expected = discriminator(pictures(batch))
        np.testing.assert_allclose(traced(pictures(batch)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fused_scale", [True, False])
def test_fused_and_unfused_are_the_same_function(shared, fused_scale):
    np.testing.assert_array_equal(small(fused_scale=fused_scale)(pictures()), shared(pictures()))


# ---------------------------------------------------------------------------------------------------------------------
# Gradients and precision


def test_gradient_penalty_has_gradients(shared):
    """The penalty of R1 is differentiated twice; eager and traced agree."""

    def penalty_gradients(images):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(images)
                total = tf.reduce_sum(shared(images, fade=0.5))
            penalty = tf.reduce_sum(inner.gradient(total, images) ** 2)
        weights = [weight.value for weight in shared.trainable_variables]
        return outer.gradient(penalty, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    eager = penalty_gradients(tf.constant(pictures()))
    traced = tf.function(penalty_gradients)(tf.constant(pictures()))
    for weight, ours, theirs in zip(shared.trainable_variables, eager, traced, strict=True):
        scale = np.abs(ours).max()
        assert np.isfinite(scale)
        assert weight.name == "bias" or (scale > 0) == ("FromRGB_lod2" not in weight.path), weight.path
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.05), ("float16", 0.01)])
def test_half_precision(shared, dtype, tolerance):
    half = small(dtype=dtype)
    scores = np.asarray(half(pictures(size=8), level=1, fade=0.5))
    assert scores.dtype == np.float32
    assert {variable.dtype for variable in half.variables} == {"float32"}
    exact = np.asarray(shared(pictures(size=8), level=1, fade=0.5))
    assert np.linalg.norm(scores - exact) < tolerance * np.linalg.norm(exact)
    assert Discriminator.from_config(half.get_config()).compute_dtype == dtype
