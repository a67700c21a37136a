"""Gradients of convolutions by matrix products are those of TensorFlow's own routines."""

import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf import convolution
from stylegan_tf.convolution import convolve, kernel_gradient, spread

SHAPES = [(3, 1, 8), (1, 1, 4), (5, 1, 6), (4, 2, 8), (2, 2, 4)]  # kernel width, stride, pixels


def random(*shape, seed):
    return tf.random.stateless_normal(shape, [seed, 0])


@pytest.mark.parametrize(("width", "stride", "size"), SHAPES)
def test_the_gradient_by_the_kernel_is_tensorflows(width, stride, size):
    x, dy = random(2, size, size, 3, seed=1), random(2, size // stride, size // stride, 5, seed=2)
    expected = tf.raw_ops.Conv2DBackpropFilter(
        input=x, filter_sizes=[width, width, 3, 5], out_backprop=dy, strides=[1, stride, stride, 1], padding="SAME"
    )
    np.testing.assert_allclose(kernel_gradient(x, dy, width, stride), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("function", [convolve, spread])
@pytest.mark.parametrize(("width", "stride", "size"), SHAPES)
def test_gradients_of_gradients_are_the_same_in_both_ways(function, width, stride, size, monkeypatch):
    channels = (3, 5) if function is convolve else (5, 3)
    x, kernel = random(2, size, size, channels[0], seed=1), random(width, width, 3, 5, seed=2)
    results, products = [], []
    monkeypatch.setattr(convolution, "kernel_gradient", lambda *a: products.append(1) or kernel_gradient(*a))
    for fewest in (1, 10**9):
        monkeypatch.setattr(convolution, "FEWEST", fewest)
        with tf.GradientTape() as outer:
            outer.watch([x, kernel])
            with tf.GradientTape() as inner:
                inner.watch([x, kernel])
                value = tf.reduce_sum(tf.sin(function(x, kernel, stride)))
            first = inner.gradient(value, [x, kernel])
            norm = sum(tf.reduce_sum(tf.square(gradient)) for gradient in first)
        results.append([value, *first, *outer.gradient(norm, [x, kernel])])
    assert len(products) >= 2  # of the first way: the kernel's gradient, and at least one more of it
    for by_products, by_routine in zip(*results, strict=True):
        np.testing.assert_allclose(by_products, by_routine, rtol=1e-3, atol=1e-3)
