"""Arithmetic: values, first and second derivatives against the original's, and values one can check by hand."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from golden_data import read, to_nhwc

from stylegan_tf import ops
from stylegan_tf.layers import (
    ConvDownscale2D,
    EqualizedConv2D,
    EqualizedDense,
    Noise,
    StyleModulation,
    UpscaleConv2D,
)

GOLDEN = read("ops.npz")
TAPS_2D = ((1, 2, 0), (0, 3, 1), (2, 0, 1))


def blur(taps, normalize=True):
    return lambda x: ops.blur2d(x, taps, normalize)


def stddev(group_size, num_new_features):
    return lambda x: ops.minibatch_stddev(x, group_size, num_new_features)


FUNCTIONS = {
    "upscale2d": ops.upscale2d,
    "upscale2d_factor4": lambda x: ops.upscale2d(x, 4),
    "downscale2d": ops.downscale2d,
    "downscale2d_factor4": lambda x: ops.downscale2d(x, 4),
    "blur2d_121": ops.blur2d,
    "blur2d_1331": blur((1, 3, 3, 1)),
    "blur2d_asym124": blur((1, 2, 4)),
    "blur2d_11": blur((1, 1)),
    "blur2d_1": blur((1,)),
    "blur2d_unnormalized": blur((1, 2, 1), normalize=False),
    "blur2d_2d_filter": blur(TAPS_2D),
    "leaky_relu": ops.leaky_relu,
    "leaky_relu_at_zero": ops.leaky_relu,
    "pixel_norm_4d": ops.pixel_norm,
    "pixel_norm_2d": ops.pixel_norm,
    "instance_norm": ops.instance_norm,
    "mbstd_group4_features1_batch8": stddev(4, 1),
    "mbstd_group4_features2_batch8": stddev(4, 2),
    "mbstd_group2_features1_batch8": stddev(2, 1),
    "mbstd_group4_features1_batch3": stddev(4, 1),
    "mbstd_group8_features3_batch8": stddev(8, 3),
    "mbstd_group4_features6_batch4": stddev(4, 6),
    "mbstd_group4_features1_batch1": stddev(4, 1),
}
PLAIN = {"use_bias": False, "activation": None}
LAYERS = {  # name: layer, function of (layer, x, other inputs)
    "style_mod": (lambda: StyleModulation(12, gain=1), lambda layer, x, dlatent: layer(x, dlatent)),
    "style_mod_nowscale": (
        lambda: StyleModulation(12, gain=1, equalized_lr=False),
        lambda layer, x, dlatent: layer(x, dlatent),
    ),
    "apply_noise": (Noise, lambda layer, x, noise: layer(x, noise)),
    "apply_bias_4d": (lambda: EqualizedConv2D(6), lambda layer, x: layer.finish(x)),
    "apply_bias_2d_lrmul": (lambda: EqualizedDense(7, lr_multiplier=0.01), lambda layer, x: layer.finish(x)),
    "dense_wscale_lrmul": (lambda: EqualizedDense(9, lr_multiplier=0.01, **PLAIN), lambda layer, x: layer(x)),
    "dense_flatten": (lambda: EqualizedDense(5, gain=1, **PLAIN), lambda layer, x: layer(x)),
    "dense_nowscale_lrmul": (
        lambda: EqualizedDense(9, lr_multiplier=0.01, equalized_lr=False, **PLAIN),
        lambda layer, x: layer(x),
    ),
    "conv2d_k1": (lambda: EqualizedConv2D(5, kernel_size=1, **PLAIN), lambda layer, x: layer(x)),
    "conv2d_k3": (lambda: EqualizedConv2D(5, **PLAIN), lambda layer, x: layer(x)),
    "upscale2d_conv2d_fusedTrue": (
        lambda: UpscaleConv2D(5, fused_scale=True, blur_filter=None, **PLAIN),
        lambda layer, x: layer(x),
    ),
    "upscale2d_conv2d_fusedFalse": (
        lambda: UpscaleConv2D(5, fused_scale=False, blur_filter=None, **PLAIN),
        lambda layer, x: layer(x),
    ),
    "conv2d_downscale2d_fusedTrue": (
        lambda: ConvDownscale2D(5, fused_scale=True, blur_filter=None, **PLAIN),
        lambda layer, x: layer(x),
    ),
    "conv2d_downscale2d_fusedFalse": (
        lambda: ConvDownscale2D(5, fused_scale=False, blur_filter=None, **PLAIN),
        lambda layer, x: layer(x),
    ),
}


def test_every_op_of_the_original_is_here():
    assert FUNCTIONS.keys() | LAYERS.keys() == {op for op in GOLDEN.meta["outputs"] if not op.startswith("progan/")}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name):
    assert_derivatives_close(name, FUNCTIONS[name])


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    construct, call = LAYERS[name]
    arrays = GOLDEN.group(f"op/{name}")
    others = [to_nhwc(arrays[key]) for key in ("dlatent", "noise") if key in arrays]
    layer = construct()
    layer.build((others[0] if "dlatent" in arrays else to_nhwc(arrays["x"])).shape)
    variables = {}
    for key, value in GOLDEN.group(f"op/{name}/var").items():
        variables[key] = getattr(layer, key.split("/")[-1])
        variables[key].assign(value)
    assert_derivatives_close(name, lambda x: call(layer, x, *others), variables)


def assert_derivatives_close(name, function, variables=None):
    """y = f(x); the gradient dx of sum(y * dy); those of sum(dx * ddx); and those of the variables."""
    expected = {key: to_nhwc(value) for key, value in GOLDEN.group(f"op/{name}").items() if "/" not in key}
    variables = variables or {}
    x, dy, ddx = (tf.constant(expected[key]) for key in ("x", "dy", "ddx"))
    with tf.GradientTape() as outer:
        outer.watch((x, dy))
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = function(x)
            total = tf.reduce_sum(y * dy)
        dx, dvar = inner.gradient(total, (x, {key: value.value for key, value in variables.items()}))
        total = tf.reduce_sum(dx * ddx)
    ddy, ddx_x = outer.gradient(total, (dy, x), unconnected_gradients=tf.UnconnectedGradients.ZERO)
    GOLDEN.assert_close(y, expected["y"], name)
    GOLDEN.assert_close(dx, expected["dx"], f"{name}, gradient")
    GOLDEN.assert_close(ddy, expected["ddy"], f"{name}, second gradient by dy")
    GOLDEN.assert_close(ddx_x, expected.get("ddx_x", np.zeros_like(x)), f"{name}, second gradient by x")
    for key, value in GOLDEN.group(f"op/{name}/dvar").items():
        GOLDEN.assert_close(dvar[key], value, f"{name}, gradient by {key}")


@pytest.mark.parametrize(("fused", "key"), [(True, "fused"), (False, "not_fused")])
@pytest.mark.parametrize("name", ["upscale2d_conv2d", "conv2d_downscale2d"])
def test_same_weight_fused_and_not(name, fused, key):
    arrays = GOLDEN.group(f"same_weight/{name}")
    x = to_nhwc(arrays["x"])
    kernel = arrays["weight"] * np.float32(np.sqrt(2 / 54))
    y = ops.upscale2d_conv2d(x, kernel, fused) if name.startswith("up") else ops.conv2d_downscale2d(x, kernel)
    GOLDEN.assert_close(y, to_nhwc(arrays[key]))


def test_up_convolution_is_upscaling_then_convolution(rng):
    x, kernel = rng.normal(size=[2, 4, 6, 3]).astype("f"), rng.normal(size=[3, 3, 3, 5]).astype("f")
    expected = ops.conv2d(ops.upscale2d(x), kernel)
    np.testing.assert_allclose(ops.upscale2d_conv2d(x, kernel, fused=False), expected, atol=2e-5)
    np.testing.assert_allclose(ops.upscale2d_conv2d(x, kernel[::-1, ::-1], fused=True), expected, atol=2e-5)


def test_down_convolution_is_convolution_then_downscaling(rng):
    x, kernel = rng.normal(size=[2, 4, 6, 3]).astype("f"), rng.normal(size=[3, 3, 3, 5]).astype("f")
    expected = ops.downscale2d(ops.conv2d(x, kernel))
    np.testing.assert_allclose(ops.conv2d_downscale2d(x, kernel), expected, atol=2e-5)


def test_blur_of_ones_darkens_the_border():
    line = np.array([0.75, 1, 1, 0.75])
    np.testing.assert_array_equal(ops.blur2d(np.ones([1, 4, 4, 1], "f"))[0, :, :, 0], np.outer(line, line))


def test_blur_flip_mirrors_the_filter(rng):
    x = rng.normal(size=[1, 5, 5, 2]).astype("f")
    mirrored = [row[::-1] for row in TAPS_2D[::-1]]
    np.testing.assert_array_equal(ops.blur2d(x, TAPS_2D, flip=True), ops.blur2d(x, mirrored))


@pytest.mark.parametrize("taps", [(1, 2, 1), (1, 3, 3, 1), (1, 2, 4)])
def test_blur_in_bfloat16_is_that_in_float32_rounded_once(rng, taps):
    x = tf.cast(rng.normal(size=[2, 16, 16, 5]), tf.bfloat16)
    expected = tf.cast(ops.blur2d(tf.cast(x, tf.float32), taps), tf.bfloat16)
    difference = tf.cast(ops.blur2d(x, taps), tf.float32) - tf.cast(expected, tf.float32)
    # where the sum lies in the middle between two numbers, its order decides
    assert np.mean(difference != 0) < 0.01
    assert np.max(np.abs(difference) / np.maximum(np.abs(expected), 1e-3)) <= 2**-7


def test_without_onednn_a_blur_in_bfloat16_has_sums_in_float32_too():
    code = """
import numpy as np, tensorflow as tf
from stylegan_tf import ops, processor
assert not processor.sums_in_float32("bfloat16")
x = tf.cast(np.random.default_rng(0).normal(size=[2, 16, 16, 5]), tf.bfloat16)
expected = tf.cast(ops.blur2d(tf.cast(x, tf.float32)), tf.bfloat16)
assert bool(tf.reduce_all(ops.blur2d(x) == expected))
"""
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_gradient_of_an_even_blur_is_a_blur(rng):
    """The original pads less before than after in both directions, so its gradient is not the true derivative."""
    dy = tf.constant(rng.normal(size=[1, 5, 5, 2]), tf.float32)
    x = tf.zeros_like(dy)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = ops.blur2d(x, (1, 3))
    np.testing.assert_array_equal(tape.gradient(y, x, dy), ops.blur2d(dy, (3, 1)))


def test_blur_of_bfloat16_is_computed_in_float32(rng):
    x = keras.ops.cast(rng.normal(size=[1, 8, 8, 3]), "bfloat16")
    y = ops.blur2d(x)
    assert y.dtype == "bfloat16"
    exact = keras.ops.cast(ops.blur2d(keras.ops.cast(x, "float32")), "bfloat16")
    np.testing.assert_array_equal(keras.ops.cast(y, "float32"), keras.ops.cast(exact, "float32"))


def test_downscale_of_0_to_15():
    image = np.arange(16, dtype="f").reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(np.ravel(ops.downscale2d(image)), [2.5, 4.5, 10.5, 12.5])


def test_fade_of_0_to_15():
    image = np.arange(16, dtype="f").reshape(1, 4, 4, 1)
    faded = ops.lerp(image, ops.upscale2d(ops.downscale2d(image)), 0.5)
    np.testing.assert_array_equal(np.ravel(faded)[:4], [1.25, 1.75, 3.25, 3.75])


@pytest.mark.parametrize("function", [ops.upscale2d, ops.downscale2d])
def test_factor_one_changes_nothing(function):
    x = np.ones([1, 4, 4, 1], "f")
    assert function(x, 1) is x


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_derivative_of_leaky_relu_is_one_at_zero(dtype):
    x = tf.constant([-1.0, 0.0, 1.0], dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = ops.leaky_relu(x)
    derivative = tape.gradient(y, x)
    assert derivative.dtype == dtype
    np.testing.assert_allclose(tf.cast(derivative, "float32"), [0.2, 1, 1], rtol=2**-9)


def test_stddev_of_strided_groups():
    x = np.zeros([8, 1, 1, 4], "f")
    x[:, 0, 0, 0] = np.arange(8) ** 2
    y = np.asarray(ops.minibatch_stddev(x, group_size=4))
    np.testing.assert_array_equal(y[..., :4], x)
    np.testing.assert_allclose(y[::2, 0, 0, 4], 3.500075, rtol=1e-6)
    np.testing.assert_allclose(y[1::2, 0, 0, 4], 4.58265, rtol=1e-6)


@pytest.mark.parametrize(("batch", "features"), [(6, 1), (4, 3)])
def test_stddev_that_does_not_divide_is_an_error(batch, features):
    with pytest.raises(ValueError, match=f"batch of {batch}"):
        ops.minibatch_stddev(np.zeros([batch, 4, 4, 8], "f"), 4, features)


@pytest.mark.parametrize("norm", [ops.pixel_norm, ops.instance_norm])
def test_an_epsilon_can_be_a_tensor_within_a_block(norm):
    x = np.random.default_rng(3).normal(0, 1e-4, [1, 4, 4, 2]).astype("f")
    with ops.epsilons_as(lambda epsilon: keras.ops.convert_to_tensor(4 * epsilon)):
        inside = norm(x, epsilon=1e-8)
    np.testing.assert_allclose(inside, norm(x, epsilon=4e-8), rtol=1e-6)
    assert not np.allclose(inside, norm(x, epsilon=1e-8))


def test_instance_norm_of_a_constant_is_zero():
    """The one-pass variance of a constant is negative by rounding, and its root NaN."""
    y = ops.instance_norm(np.full([1, 4, 4, 2], 0.1, "f"))
    np.testing.assert_allclose(y, 0, atol=1e-3)


def test_seed_stream_depends_on_its_seed_alone():
    first, again, other = (draw_two(seed) for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first, other)


def test_seed_stream_takes_a_tensor():
    traced = tf.function(draw_two, input_signature=[tf.TensorSpec([2], tf.int32)])
    np.testing.assert_array_equal(traced(tf.constant([1, 2])), draw_two([1, 2]))


def test_neighbouring_seeds_share_no_draw():
    streams = [ops.SeedStream([first, second]) for first in range(3) for second in range(30)]
    seeds = [tuple(np.asarray(stream.next())) for stream in streams for _ in range(30)]
    assert len(set(seeds)) == len(seeds)


def draw_two(seed):
    stream = ops.SeedStream(seed)
    return keras.ops.stack([keras.random.normal([3], seed=stream), keras.random.uniform([3], seed=stream)])


@pytest.fixture
def rng():
    return np.random.default_rng(0)
