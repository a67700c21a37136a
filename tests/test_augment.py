"""Augmentation: every transform against NumPy or by hand, its distributions, both derivatives, the controller of p."""

import math

import numpy as np
import pytest
import tensorflow as tf

from training.augment import PIPES, TRANSFORMS, adjusted, augment, choose, draw, transform

SEED = [3, 4]


def pictures(count=2, size=16, channels=3, shown=lambda x, y: (x, y)):
    """Waves between -0.7 and 0.7, unlike their mirror images: float32 [N, R, R, C].

    `shown` tells what place a pixel shows; x to the right and y down, in pixels from the middle.
    """
    random, middle = np.random.RandomState(0), (size - 1) / 2
    lengths, phases = (
        random.uniform(1, 4, [2, count, 1, 1, channels]) / size,
        random.uniform(0, 6, [count, 1, 1, channels]),
    )
    x, y = shown(*np.meshgrid(np.arange(size) - middle, np.arange(size) - middle))
    return (0.7 * np.sin(lengths[0] * x[..., None] + lengths[1] * y[..., None] + phases)).astype("f")


def draws(count=2, **values):
    """Rows as `draw` returns them that apply all transforms at p > 0: {name: (u, n)} for x, or pairs (x, y)."""
    rows = np.zeros([count, len(TRANSFORMS), 5], "f")
    for name, (uniform, normal) in values.items():
        rows[:, TRANSFORMS.index(name), 1:3] = uniform
        rows[:, TRANSFORMS.index(name), 3:] = normal
    return tf.constant(rows)


def only(images, name, uniform=0.0, normal=0.0):
    """The images after one transform that is certain, with a known draw."""
    return transform(images, 1.0, draws(len(images), **{name: (uniform, normal)}), (name,)).numpy()


def test_without_probability_nothing_changes_bit_for_bit():
    images = np.concatenate([pictures(4), np.full([1, 16, 16, 3], -0.0, "f")])
    for probability in (0, 0.0, tf.constant(0.0)):
        assert augment(images := tf.constant(images), probability, SEED).numpy().tobytes() == images.numpy().tobytes()


def test_an_x_flip_mirrors_and_half_the_coins_do_nothing():
    images = pictures()
    np.testing.assert_array_equal(only(images, "x_flip", 0.5), images[:, :, ::-1])
    np.testing.assert_array_equal(only(images, "x_flip", 0.49), images)


@pytest.mark.parametrize("turns", range(4))
def test_quarter_turns_are_exact(turns):
    images = pictures()
    np.testing.assert_array_equal(only(images, "quarter_turn", turns / 4), np.rot90(images, turns, (1, 2)))


def test_an_integer_translation_moves_right_and_down_and_reflects():
    images = pictures(size=16)
    moved = only(images, "integer_translation", (0.95, 0.2))  # (0.45, -0.3) of a quarter of 16 pixels: 1.8, -1.2
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)], "reflect")
    np.testing.assert_array_equal(moved, padded[:, 3:19, 0:16])


# transform, its draw (u, n), and what place (x, y), in pixels from the middle, a pixel of the result shows then
GEOMETRY = {
    "isotropic_scale": (0, 2.0, lambda x, y: (x / 2**0.4, y / 2**0.4)),
    "anisotropic_scale": (0, -1.0, lambda x, y: (x * 2**0.2, y / 2**0.2)),
    "pre_rotation": (0.75, 0, lambda x, y: (-y, x)),  # by a quarter
    "post_rotation": (7 / 12, 0, lambda x, y: (x * math.cos(math.pi / 6) - y / 2, x / 2 + y * math.cos(math.pi / 6))),
    "fractional_translation": (0, (0.3, -0.1), lambda x, y: (x - 0.3 * 0.125 * 32, y + 0.1 * 0.125 * 32)),
}


@pytest.mark.parametrize("name", GEOMETRY)
def test_geometry_shows_the_place_that_it_should(name):
    uniform, normal, shown = GEOMETRY[name]
    result, expected = only(pictures(size=32), name, uniform, normal), pictures(size=32, shown=shown)
    inside = np.s_[:, 7:-7, 7:-7]  # what lies outside is not a wave but its reflection
    np.testing.assert_allclose(result[inside], expected[inside], atol=5e-4)


def test_geometry_comes_in_the_papers_order():
    steps = ["pre_rotation", "anisotropic_scale", "post_rotation", "fractional_translation"]
    values = {name: GEOMETRY[name][:2] for name in steps}
    result = transform(pictures(size=32), 1.0, draws(**values), steps)

    def shown(x, y):  # from the result back to the image: the last transform first
        for name in reversed(steps):
            x, y = GEOMETRY[name][2](x, y)
        return x, y

    inside = np.s_[:, 11:-11, 11:-11]
    np.testing.assert_allclose(result[inside], pictures(size=32, shown=shown)[inside], atol=5e-4)


def test_blitting_comes_in_the_papers_order():
    images = pictures()
    values = {"x_flip": (0.5, 0), "quarter_turn": (0.25, 0), "integer_translation": ((1.0, 0.5), 0)}
    turned = np.rot90(images[:, :, ::-1], 1, (1, 2))
    padded = np.pad(turned, [(0, 0), (0, 0), (2, 0), (0, 0)], "reflect")
    np.testing.assert_array_equal(transform(images, 1.0, draws(**values), PIPES["blit"]), padded[:, :, :16])


COLOR = {  # transform: its draw (u, n), and what it makes of the colour (0.6, 0, -0.3), whose grey is 0.1
    "brightness": (0, 1.0, (0.8, 0.2, -0.1)),
    "contrast": (0, 2.0, (1.2, 0, -0.6)),
    "luma_flip": (0.5, 0, (0.4, -0.2, -0.5)),
    "hue": (0.5 + 1 / 3, 0, (-0.3, 0.6, 0)),  # by a third of the circle: the channels change places
    "saturation": (0, -1.0, (0.35, 0.05, -0.1)),
}


@pytest.mark.parametrize("name", COLOR)
def test_colours_by_hand(name):
    uniform, normal, expected = COLOR[name]
    images = np.tile(np.float32([0.6, 0, -0.3]), [2, 4, 4, 1])
    np.testing.assert_allclose(only(images, name, uniform, normal)[1, 2, 3], expected, atol=1e-6)


def test_colours_come_in_the_papers_order():
    images = np.tile(np.float32([0.6, 0, -0.3]), [1, 4, 4, 1])
    values = {name: (uniform, normal) for name, (uniform, normal, _) in COLOR.items()}
    result = transform(images, 1.0, draws(1, **values), PIPES["color"])[0, 0, 0]
    # + 0.2, times 2: (1.6, 0.4, -0.2), grey 0.6; luma to -0.6: (0.4, -0.8, -1.4); turned; halfway to grey
    np.testing.assert_allclose(result, [-1.0, -0.1, -0.7], atol=1e-6)


def test_grey_images_know_no_hue_and_no_saturation():
    grey = pictures(channels=1)
    for name in ("hue", "saturation"):
        np.testing.assert_array_equal(only(grey, name, 0.9, 1.3), grey)


@pytest.mark.parametrize("channels", [3, 4])
def test_equal_channels_stay_what_a_grey_image_becomes(channels):
    grey = pictures(4, channels=1)
    as_grey = augment(grey, 1.0, SEED).numpy()
    as_color = augment(np.repeat(grey, channels, axis=3), 1.0, SEED).numpy()
    np.testing.assert_allclose(as_color[..., :3], np.repeat(as_grey, 3, axis=3), atol=1e-5)


def test_alpha_moves_but_keeps_its_values():
    images = pictures(3, channels=4)
    moved_and_colored = augment(images, 1.0, SEED).numpy()
    only_moved = augment(images, 1.0, SEED, PIPES["bg"]).numpy()
    np.testing.assert_array_equal(moved_and_colored[..., 3], only_moved[..., 3])
    assert np.abs(moved_and_colored[..., :3] - only_moved[..., :3]).max() > 0.1


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [4, 32])
def test_the_shape_stays(channels, size):
    assert augment(pictures(3, size, channels), 0.8, SEED).shape == [3, size, size, channels]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_type_stays_and_the_computation_is_in_float32(dtype):
    images = tf.cast(pictures(), dtype)
    exact = augment(tf.cast(images, "float32"), 0.8, SEED)
    result = augment(images, 0.8, SEED)
    assert result.dtype == dtype
    np.testing.assert_array_equal(tf.cast(result, "float32"), tf.cast(tf.cast(exact, dtype), "float32"))


def test_draws_follow_the_papers_distributions():
    count = 20000
    amounts = {name: amount.numpy() for name, amount in choose(draw(count, SEED), 1.0, TRANSFORMS).items()}
    deviations = {"isotropic_scale": 0.2, "anisotropic_scale": 0.2, "fractional_translation": 0.125}
    deviations |= {"brightness": 0.2, "contrast": 0.5, "saturation": 1.0}
    uniform = {"integer_translation": 0.125, "pre_rotation": math.pi, "post_rotation": math.pi, "hue": math.pi}
    for name, deviation in deviations.items():
        assert amounts[name].mean() == pytest.approx(0, abs=0.03 * deviation)
        assert amounts[name].std() == pytest.approx(deviation, rel=0.03)
    for name, limit in uniform.items():
        assert np.abs(amounts[name]).max() <= limit
        assert amounts[name].mean() == pytest.approx(0, abs=0.03 * limit)
        assert amounts[name].std() == pytest.approx(limit / math.sqrt(3), rel=0.03)
    for name, choices in {"x_flip": 2, "luma_flip": 2, "quarter_turn": 4}.items():
        np.testing.assert_allclose(np.bincount(amounts[name][:, 0].astype(int)) / count, 1 / choices, atol=0.015)
    everything = np.concatenate(list(amounts.values()), axis=1)
    assert np.abs(np.corrcoef(everything.T) - np.eye(everything.shape[1])).max() < 0.03


def test_each_transform_is_applied_with_probability_p_and_rotations_together():
    amounts = choose(draw(20000, SEED), 0.3, TRANSFORMS)
    applied = {name: (amount.numpy() != 0).any(axis=1) for name, amount in amounts.items()}
    coins = {"x_flip": 0.15, "luma_flip": 0.15, "quarter_turn": 0.225}  # some outcomes change nothing
    applied["a rotation"] = applied.pop("pre_rotation") | applied.pop("post_rotation")
    for name, changed in applied.items():
        assert changed.mean() == pytest.approx(coins.get(name, 0.3), abs=0.015), name


def test_a_pipe_leaves_the_other_transforms_out():
    images = pictures(8)
    assert (augment(images, 1.0, SEED, ()).numpy() == images).all()
    for pipe in PIPES.values():
        amounts = choose(draw(50, SEED), 1.0, pipe)
        assert {name for name, amount in amounts.items() if amount.numpy().any()} == set(pipe)


def test_a_batch_in_two_parts_is_transformed_alike():
    images, rows = tf.constant(pictures(6)), draw(6, SEED)
    whole = augment(images, 0.7, SEED)
    parts = [transform(images[part], 0.7, rows[part]) for part in (slice(0, 2), slice(2, 6))]
    np.testing.assert_allclose(tf.concat(parts, 0), whole, atol=1e-6)


def test_probability_and_seed_are_tensors_and_trace_once():
    traced = tf.function(augment, reduce_retracing=False)
    images = tf.constant(pictures())
    results = [traced(images, tf.constant(p), tf.constant([seed, 7])) for p, seed in ((0.0, 1), (1.0, 2), (1.0, 3))]
    assert traced.experimental_get_tracing_count() == 1
    np.testing.assert_array_equal(results[0], images)
    np.testing.assert_allclose(results[1], augment(images, 1.0, [2, 7]), atol=1e-5)
    assert np.abs(results[1] - results[2]).max() > 0.1


def test_an_unknown_number_of_images_traces():
    traced = tf.function(
        augment, input_signature=[tf.TensorSpec([None, 16, 16, 3]), tf.TensorSpec([]), tf.TensorSpec([2], tf.int32)]
    )
    for count in (1, 3):
        assert traced(pictures(count), 1.0, SEED).shape == [count, 16, 16, 3]


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_equal_numeric_differences(channels):
    """In float32, so with steps large enough; the transform is affine in the images, which makes them exact."""
    images = tf.constant(pictures(2, 8, channels))
    towards = tf.constant(np.random.RandomState(1).randn(*images.shape).astype("f"))
    weights = tf.constant(np.random.RandomState(2).randn(*images.shape).astype("f"))

    def loss(t):
        return tf.reduce_sum(weights * augment(images + t * towards, 1.0, SEED))

    with tf.GradientTape() as tape:
        tape.watch(images)
        value = tf.reduce_sum(weights * augment(images, 1.0, SEED))
    slope = tf.reduce_sum(tape.gradient(value, images) * towards)
    assert float(slope) == pytest.approx(float(loss(1.0) - loss(-1.0)) / 2, rel=1e-4)


def test_second_derivatives_equal_numeric_differences():
    """What R1 needs: the change of a squared gradient with a weight after the augmentation."""
    images = tf.constant(pictures(2, 8))

    def penalty(weight):
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.reduce_sum(tf.tanh(weight * augment(images, 1.0, SEED)))
        return tf.reduce_sum(tf.square(tape.gradient(score, images)))

    weight = tf.constant(0.8)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([weight, images])
        value = penalty(weight)
    slope = float(tape.gradient(value, weight))
    assert slope == pytest.approx(float(penalty(0.81) - penalty(0.79)) / 0.02, rel=1e-3)
    by_image = tape.gradient(value, images)
    assert np.isfinite(by_image).all()
    assert np.abs(by_image).max() > 0


def test_an_image_has_no_influence_on_its_neighbours():
    images = tf.constant(pictures(3))
    with tf.GradientTape() as tape:
        tape.watch(images)
        value = tf.reduce_sum(augment(images, 1.0, SEED)[1])
    changed = np.abs(tape.gradient(value, images)).max(axis=(1, 2, 3))
    assert (changed > 0).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("before", "r_t", "images", "after"),
    [
        (0.0, 0.7, 5000, 0.01),  # 5 of 500 kimg
        (0.5, 0.5, 5000, 0.49),
        (0.5, 0.6, 5000, 0.5),
        (0.005, -1.0, 5000, 0.0),
        (0.995, 1.0, 5000, 1.0),
    ],
)
def test_probability_is_adjusted_as_by_hand(before, r_t, images, after):
    assert adjusted(before, r_t, images) == pytest.approx(after, abs=1e-12)


def test_an_overfitting_discriminator_takes_500_kimg_from_0_to_1():
    probability, shown = 0.0, 0
    while probability < 1:
        probability, shown = adjusted(probability, 0.9, 4 * 32), shown + 4 * 32
    assert shown == pytest.approx(500_000, abs=256)
    assert adjusted(0.0, 0.9, 1000, target=0.95, kimg=10) == 0.0
    assert adjusted(0.0, 0.9, 1000, target=0.8, kimg=10) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("images", "transforms", "message"),
    [
        (np.zeros([2, 8, 4, 3], "f"), TRANSFORMS, r"\[2, 8, 4, 3\]"),
        (np.zeros([2, 2, 2, 3], "f"), TRANSFORMS, r"\[2, 2, 2, 3\]"),
        (np.zeros([2, 8, 8, 2], "f"), TRANSFORMS, r"\[2, 8, 8, 2\]"),
        (np.zeros([2, 8, 8, 3], "uint8"), TRANSFORMS, "uint8"),
        (np.zeros([2, 8, 8, 3], "f"), ("flip",), "'flip'; there are x_flip"),
    ],
)
def test_what_cannot_be_augmented_is_refused(images, transforms, message):
    with pytest.raises(ValueError, match=message):
        augment(tf.constant(images), 0.5, SEED, transforms)
