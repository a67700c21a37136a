"""Winograd's convolutions are convolutions: the same numbers, rounding as small, chosen only where they pay."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import TINY

from benchmarks.training import training_step
from metrics.devices import on_devices
from stylegan_tf import convolution, winograd, xla
from stylegan_tf.convolution import convolve, fewer_multiplications, kernel_gradient, spread
from stylegan_tf.winograd import Winograd, best_tile
from training.losses import D_logistic_simplegp, G_logistic_nonsaturating, total
from training.replicas import Replicas

SHAPES = [(3, 1), (4, 2), (6, 2)]  # kernel width, stride


@pytest.fixture
def everywhere(monkeypatch):
    """Winograd's convolutions wherever they are possible, and the list of those that are made."""
    made = []
    monkeypatch.setattr(winograd, "OPERATIONS_PER_NUMBER", 0)
    monkeypatch.setattr(convolution, "Winograd", lambda *arguments: made.append(arguments) or Winograd(*arguments))
    with fewer_multiplications():
        yield made


def random(*shape, seed, dtype="float32"):
    return tf.cast(tf.random.stateless_normal(shape, [seed, 0]), dtype)


def sides(width, stride, channels=(3, 5), pixels=(8, 12), dtype="float64"):
    """x, dy and kernel of a convolution, and TensorFlow's result and gradients in float64."""
    x = random(2, *(stride * size for size in pixels), channels[0], seed=1, dtype=dtype)
    dy, kernel = (
        random(2, *pixels, channels[1], seed=2, dtype=dtype),
        random(width, width, *channels, seed=3, dtype=dtype),
    )
    exact = [tf.cast(value, "float64") for value in (x, kernel)]
    with tf.GradientTape() as tape:
        tape.watch(exact)
        y = tf.nn.conv2d(*exact, stride, "SAME")
    return (x, dy, kernel), [y, *tape.gradient(y, exact, output_gradients=tf.cast(dy, "float64"))]


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize(("width", "stride"), SHAPES)
def test_its_three_sides_are_tensorflows(width, stride, tile):
    (x, dy, kernel), expected = sides(width, stride)
    quick = Winograd(8, 12, width, stride, tile)
    results = quick.convolve(x, kernel), quick.spread(dy, kernel), quick.kernel_gradient(x, dy)
    for result, right in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, right, rtol=0, atol=1e-12 * np.abs(right).max())


@pytest.mark.parametrize(
    ("dtype", "tile", "at_most"), [("float32", 2, 1.5e-6), ("float32", 4, 4e-6), ("bfloat16", 2, 7e-3)]
)
@pytest.mark.parametrize(("width", "stride"), SHAPES)
def test_rounding_stays_small(width, stride, dtype, tile, at_most):
    """Root mean square of the errors to that of the results; a direct convolution has up to 1.2e-6 and 1.7e-3."""
    (x, dy, kernel), exact = sides(width, stride, (128, 128), pixels=(8, 8), dtype=dtype)
    quick = Winograd(8, 8, width, stride, tile)
    results = quick.convolve(x, kernel), quick.spread(dy, kernel), quick.kernel_gradient(x, dy)
    norm = lambda values: np.sqrt(np.mean(np.square(values)))  # noqa: E731
    for result, right in zip(results, exact, strict=True):
        assert 0 < norm(tf.cast(result, "float64") - right) < at_most * norm(right)


def test_the_number_of_images_may_be_unknown(everywhere):
    x, kernel = random(3, 8, 8, 3, seed=1), random(3, 3, 3, 5, seed=2)
    function = tf.function(lambda x: convolve(x, kernel, 1), input_signature=[tf.TensorSpec([None, 8, 8, 3])])
    np.testing.assert_allclose(function(x), tf.nn.conv2d(x, kernel, 1, "SAME"), atol=1e-4)
    assert everywhere


@pytest.mark.parametrize("function", [convolve, spread])
@pytest.mark.parametrize(("width", "stride"), SHAPES)
def test_derivatives_of_all_orders_are_those_of_a_direct_one(function, width, stride, everywhere):
    (x, dy, kernel), _ = sides(width, stride, pixels=(8, 8), dtype="float32")
    first = x if function is convolve else dy

    def derivatives():
        with tf.GradientTape() as outer:
            outer.watch([first, kernel])
            with tf.GradientTape() as inner:
                inner.watch([first, kernel])
                value = tf.reduce_sum(tf.sin(function(first, kernel, stride)))
            gradients = inner.gradient(value, [first, kernel])
            norm = sum(tf.reduce_sum(tf.square(gradient)) for gradient in gradients)
        return [value, *gradients, *outer.gradient(norm, [first, kernel])]

    quick, count = derivatives(), len(everywhere)
    assert count >= 6
    token = convolution._wanted.set(False)
    direct = derivatives()
    convolution._wanted.reset(token)
    assert len(everywhere) == count
    for ours, right in zip(quick, direct, strict=True):
        np.testing.assert_allclose(ours, right, rtol=0, atol=2e-5 * np.abs(right).max())


def test_derivatives_of_the_gradient_by_the_kernel():
    x, dy, weights = random(2, 8, 8, 3, seed=1), random(2, 8, 8, 5, seed=2), random(3, 3, 3, 5, seed=3)
    with tf.GradientTape() as tape:
        tape.watch([x, dy])
        value = tf.reduce_sum(weights * kernel_gradient(x, dy, 3, 1))
    by_x, by_dy = tape.gradient(value, [x, dy])
    np.testing.assert_allclose(tf.reduce_sum(by_x * x), value, rtol=1e-4)  # it is bilinear
    np.testing.assert_allclose(tf.reduce_sum(by_dy * dy), value, rtol=1e-4)


@pytest.mark.parametrize("tiles", [(2,), (4, 2)])
def test_losses_and_their_gradients_are_those_of_direct_convolutions(
    tiles, everywhere, tiny_generator, tiny_discriminator, monkeypatch
):
    monkeypatch.setitem(winograd.TILES, "float32", tiles)
    latents, labels = random(4, TINY["latent_size"], seed=1), random(4, 3, seed=2)
    reals = random(4, 16, 16, 3, seed=3)
    networks = tiny_generator, tiny_discriminator
    weights = [variable.value for network in networks for variable in network.trainable_variables]
    score = lambda images: tiny_discriminator(images, labels)  # noqa: E731

    @tf.function(autograph=False)
    def gradients(quick):
        token = convolution._wanted.set(quick)
        with tf.GradientTape() as tape:
            fakes = tiny_generator(latents, labels, randomize_noise=False)
            values, _ = total(D_logistic_simplegp(score, reals, fakes, 0, None))
            loss = tf.reduce_mean(values) + tf.reduce_mean(G_logistic_nonsaturating(score, fakes))
        results = [loss, *tape.gradient(loss, weights, unconnected_gradients="zero")]
        convolution._wanted.reset(token)
        return results

    quick, count = gradients(True), len(everywhere)
    assert count > 20
    direct = gradients(False)
    assert len(everywhere) == count
    for ours, right in zip(quick, direct, strict=True):
        np.testing.assert_allclose(ours, right, rtol=0, atol=1e-4 * max(np.abs(right).max(), 1e-3))


LARGE = (8, 32, 32), [3, 3, 512, 512], 1


@pytest.mark.parametrize(
    ("pixels", "kernel", "stride", "dtype", "tile"),
    [
        (*LARGE, "float32", 4),
        (*LARGE, "bfloat16", 2),
        (*LARGE, "float16", 0),
        ((8, 16, 16), [4, 4, 512, 512], 2, "float32", 4),
        ((None, 32, 32), [3, 3, 512, 512], 1, "float32", 4),
        ((8, 32, 30), [3, 3, 512, 512], 1, "float32", 2),
        ((8, 32, 31), [3, 3, 512, 512], 1, "float32", 0),
        ((8, 4, 4), [3, 3, 512, 512], 1, "float32", 0),  # the kernel is larger than the images
        ((8, 256, 256), [3, 3, 16, 16], 1, "float32", 0),  # so little is multiplied that moving it takes longer
        ((8, 32, 32), [5, 5, 512, 512], 1, "float32", 0),
        ((8, 32, 32), [1, 1, 512, 3], 1, "float32", 0),
        ((8, 16, 16), [3, 3, 512, 512], 2, "float32", 0),
    ],
)
def test_tiles_are_large_where_much_is_multiplied(pixels, kernel, stride, dtype, tile):
    assert best_tile(pixels, kernel, stride, dtype) == tile


def test_the_transpose_of_a_stride_moves_more():
    shape = (4, 16, 16), [4, 4, 512, 512], 2, "float32"
    assert (best_tile(*shape), best_tile(*shape, transposed=True)) == (2, 0)


def test_the_gradient_by_the_kernel_is_winograds_too(everywhere):
    kernel_gradient(random(2, 8, 8, 3, seed=1), random(2, 8, 8, 5, seed=2), 3, 1)
    assert len(everywhere) == 1


def test_a_kernel_waits_for_the_images():
    """Else those of all layers, each larger by far than its weights, would be there from the start of a step."""
    quick, weights = Winograd(8, 8, 3, 1, 4), random(3, 3, 3, 5, seed=2)
    function = tf.function(lambda x: quick.convolve(x, weights))
    graph = function.get_concrete_function(random(2, 8, 8, 3, seed=1)).graph
    assert any(operation.control_inputs for operation in graph.get_operations())


def test_metrics_use_it(everywhere):
    token = convolution._wanted.set(False)  # it is asked for inside
    kernel = random(3, 3, 3, 5, seed=2)
    call = on_devices(Replicas(), lambda x: (convolve(x, kernel, 1),), 2)
    assert call(np.ones([2, 8, 8, 3], np.float32))[0].shape == (2, 8, 8, 5)
    convolution._wanted.reset(token)
    assert len(everywhere) == 1


def test_it_is_used_where_it_is_asked_for_and_on_processors_only(monkeypatch):
    x, kernel = random(8, 32, 32, 128, seed=1), random(3, 3, 128, 128, seed=2)

    def operations(function):
        return {operation.type for operation in function.get_concrete_function(x, kernel).graph.get_operations()}

    call = lambda x, kernel: convolve(x, kernel, 1)  # noqa: E731
    assert "Conv2D" in operations(tf.function(call))
    assert "Conv2D" not in operations(xla.compiled(call))
    monkeypatch.setattr(convolution, "has_accelerator", lambda: True)
    assert "Conv2D" in operations(xla.compiled(call))


@pytest.mark.parametrize("replicas", [1, 2])
def test_training_uses_it(replicas, monkeypatch):
    """On each replica, which has a thread of its own, too."""

    def used(*_):
        raise NotImplementedError("Winograd")

    monkeypatch.setattr(winograd, "OPERATIONS_PER_NUMBER", 0)
    monkeypatch.setattr(convolution, "Winograd", used)
    run, _ = training_step(8, 4, feature_maps=4, replicas=replicas)
    with pytest.raises(NotImplementedError, match="Winograd"):
        run()
    if replicas == 1:
        run, _ = training_step(8, 4, feature_maps=4, direct=True)
        assert np.isfinite(run()).all()
