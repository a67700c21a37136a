"""Arithmetic of StyleGAN on NHWC tensors: resampling, convolutions, normalisations.

Everything here is a function of tensors alone (and of `epsilons_as`), in `keras.ops`, so it runs on every Keras
backend. Kernels arrive *effective*, i.e. already multiplied by their equalized learning rate constant.
"""

import contextlib
import contextvars
import reprlib

import keras
import numpy as np
from keras import ops

from stylegan_tf.convolution import convolve, spread
from stylegan_tf.gradients import with_gradient
from stylegan_tf.processor import sums_in_float32


def lerp(a, b, t):
    """Linear interpolation `a + (b - a) * t`, evaluated in this order."""
    return a + (b - a) * t


def leaky_relu(x):
    """Leaky ReLU of slope 0.2 whose derivative at exactly zero is 1, as in the original (library versions: 0.2)."""
    return with_gradient(lambda x: ops.leaky_relu(x, negative_slope=0.2), lambda dy, y, _: _times_slope(dy, y))(x)


def _times_slope(dy, y):
    """Gradient by what a leaky ReLU made `y` of, whose sign tells the slope (but for underflow): nothing else is kept.

    It is linear in `dy` and its own transpose, hence its own gradient.
    """

    def backward(dz, _, dy, y):
        # the slope is constant; TensorFlow takes None for that, where zeros would cost an image's memory
        return _times_slope(dz, y), None if keras.config.backend() == "tensorflow" else ops.zeros_like(y)

    return with_gradient(lambda dy, y: ops.where(y >= 0, dy, ops.cast(0.2, dy.dtype) * dy), backward)(dy, y)


def leaky_relu_progan(x):
    """max(0.2 x, x) as Progressive GAN has it: the derivative at exactly zero is 0.2, on every backend (trap 18)."""
    return ops.where(x > 0, x, 0.2 * x)


ACTIVATIONS = {"lrelu": leaky_relu, "relu": ops.relu, "lrelu_progan": leaky_relu_progan}


def activation(name):
    """The activation function of that name, a key of `ACTIVATIONS`; a ValueError lists them for any other."""
    if name not in ACTIVATIONS:
        raise ValueError(f"an activation must be one of {', '.join(ACTIVATIONS)}, not {name!r}")
    return ACTIVATIONS[name]


# ---------------------------------------------------------------------------------------------------------------------
# Resampling


def upscale2d(x, factor=2):
    """Nearest-neighbour replication: [N, H, W, C] to [N, factor * H, factor * W, C]."""
    if factor == 1:
        return x
    _, h, w, c = x.shape
    x = ops.reshape(x, [-1, h, 1, w, 1, c])
    x = ops.broadcast_to(x, [ops.shape(x)[0], h, factor, w, factor, c])
    return ops.reshape(x, [-1, h * factor, w * factor, c])


def downscale2d(x, factor=2):
    """Box average over factor x factor cells: [N, H, W, C] to [N, H / factor, W / factor, C]."""
    if factor == 1:
        return x
    _, h, w, c = x.shape
    return ops.mean(ops.reshape(x, [-1, h // factor, factor, w // factor, factor, c]), axis=(2, 4))


def blur2d(x, blur_filter=(1, 2, 1), normalize=True, flip=False):
    """Low-pass filter of every channel, [N, H, W, C] to the same shape, with sums in float32.

    Borders are padded with zeros and not renormalised, so they darken: trap 11 of the original. A one-dimensional
    filter becomes its outer product with itself. The gradient is a blur with the flipped filter and the gradient of
    that one a blur again, as the original defines them: for filters of even length this differs at the border from the
    derivative, and it spares the slow backward kernels of a depthwise convolution.
    """
    taps = _taps(blur_filter, normalize)
    return _correlate(x, taps[::-1, ::-1] if flip else taps)


def check_filter(blur_filter):
    """Raise ValueError unless this is the list of taps of a filter that can be normalized, or None, [], False: none."""
    if isinstance(blur_filter, list | tuple | bool | None) and not blur_filter:
        return
    try:
        with np.errstate(all="ignore"):
            taps = _taps(blur_filter, normalize=True)
        fits = isinstance(blur_filter, list | tuple) and taps.ndim == 2 and taps.size and np.isfinite(taps).all()
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        shown = reprlib.repr(blur_filter)
        raise ValueError(f"blur_filter must be None or a list of numbers with a sum, as [1, 2, 1], not {shown}")


def _taps(blur_filter, normalize):
    taps = np.asarray(blur_filter, np.float32)
    taps = np.outer(taps, taps) if taps.ndim == 1 else taps
    return taps / taps.sum() if normalize else taps


def _correlate(x, taps):
    exact = not np.any(np.ascontiguousarray(taps, np.float32).view(np.uint32) & 0xFFFF)  # in bfloat16, as [1, 2, 1] is

    def forward(x):
        kernel = ops.convert_to_tensor(np.tile(taps[:, :, None, None], [1, 1, x.shape[-1], 1]), "float32")
        dtype = x.dtype if exact and sums_in_float32(keras.backend.standardize_dtype(x.dtype)) else "float32"
        kernel, y = ops.cast(kernel, dtype), ops.cast(x, dtype)
        y = ops.depthwise_conv(y, kernel, padding="same", data_format="channels_last")
        return ops.cast(y, x.dtype)

    return with_gradient(forward, lambda dy, *_: _correlate(dy, taps[::-1, ::-1]))(x)


# ---------------------------------------------------------------------------------------------------------------------
# Convolutions


def conv2d(x, kernel):
    """Stride-1 convolution with zero padding: [N, H, W, C] and [K, K, C, F] to [N, H, W, F]."""
    return convolve(x, kernel, 1)


def upscale2d_conv2d(x, kernel, fused):
    """Upscale by two and convolve in one transposed convolution: [N, H, W, C] and [K, K, C, F] to [N, 2H, 2W, F].

    The original has two forms that are different functions of one stored kernel: from 128 pixels on ("fused") the
    transposed convolution places the kernel as it is, below that upscale-then-convolve correlates with it (trap 1).
    Both are one transposed convolution here, with the kernel rotated by 180 degrees where the original does not fuse:
    (K+1)^2 multiplications for four pixels in place of 4 K^2.
    """
    kernel = _sum_of_shifts(kernel, rotate=not fused)
    return spread(x, ops.transpose(kernel, [0, 1, 3, 2]), 2)  # [K+1, K+1, F, C]


def conv2d_downscale2d(x, kernel):
    """Convolve and box-average by two in one strided convolution: [N, H, W, C] to [N, H / 2, W / 2, F].

    Fused and unfused forms are the same function here (trap 2).
    """
    return convolve(x, _sum_of_shifts(kernel, factor=0.25), 2)


def _sum_of_shifts(kernel, factor=1.0, rotate=False):
    """[K, K, C, F] to [K+1, K+1, C, F]: the kernel as the coarse grid sees it, the sum of its four one-pixel shifts.

    One product with a matrix, which multiplies and rotates by 180 degrees on the way; slices and sums cost ten times as
    much in the backward pass.
    """
    size, _, inputs, outputs = kernel.shape
    shifts = np.eye(size + 1, size) + np.eye(size + 1, size, -1)
    shifts = factor * np.kron(shifts, shifts)[:, :: -1 if rotate else 1]  # [(K+1)^2, K^2]
    kernel = ops.matmul(
        ops.convert_to_tensor(shifts, kernel.dtype), ops.reshape(kernel, [size * size, inputs * outputs])
    )
    return ops.reshape(kernel, [size + 1, size + 1, inputs, outputs])


# ---------------------------------------------------------------------------------------------------------------------
# Normalisations and statistics

_EPSILON = contextvars.ContextVar("epsilon", default=lambda epsilon: epsilon)


@contextlib.contextmanager
def epsilons_as(tensor_of):
    """Within the block the norms add `tensor_of(epsilon)`, a scalar tensor, in place of the number itself.

    For graphs that are stored with constants too coarse for it.
    """
    token = _EPSILON.set(tensor_of)
    try:
        yield
    finally:
        _EPSILON.reset(token)


def pixel_norm(x, epsilon=1e-8):
    """Scale the feature vector of every pixel (or latent) to unit mean square (Karras et al. 2018, section 4.2)."""
    y = ops.cast(x, "float32")
    return ops.cast(y * ops.rsqrt(ops.mean(ops.square(y), axis=-1, keepdims=True) + _EPSILON.get()(epsilon)), x.dtype)


def instance_norm(x, epsilon=1e-8):
    """Zero mean and unit variance per sample and channel, [N, H, W, C] to the same shape, in float32.

    Two passes on purpose: at initialisation the constant input has variance exactly zero, and the one-pass variance
    turns negative by rounding and yields NaN.
    """
    y = ops.cast(x, "float32")
    y = y - _mean_of_image(y)
    y = y * ops.rsqrt(_mean_of_image(ops.square(y)) + _EPSILON.get()(epsilon))
    return ops.cast(y, x.dtype)


def _mean_of_image(x):
    """[N, H, W, C] to [N, 1, 1, C].

    Rows first: exported to a phone or a browser, a sum over all pixels of a large picture is added up one by one, and
    loses digits.
    """
    return ops.mean(ops.mean(x, axis=2, keepdims=True), axis=1, keepdims=True)


def minibatch_stddev(x, group_size=4, num_new_features=1):
    """Append the standard deviation over groups of samples as channels (Karras et al. 2018, section 3).

    A group holds the samples i, i + M, i + 2M, ... with M = N / group: strided, not neighbours (trap 13).

    Args:
        x: Activations [N, H, W, C] with static N.
        group_size: Samples per group; shrinks to N, which it must divide.
        num_new_features: Number of appended channels, each the mean over C / num_new_features channels.

    Returns:
        [N, H, W, C + num_new_features].
    """
    n, h, w, c = x.shape
    group = min(group_size, n)
    if n % group or c % num_new_features:
        raise ValueError(
            f"minibatch stddev: a batch of {n} does not split into groups of {group}, "
            f"or {c} channels into {num_new_features} features"
        )
    y = ops.reshape(ops.cast(x, "float32"), [group, n // group, h, w, num_new_features, c // num_new_features])
    y = y - ops.mean(y, axis=0, keepdims=True)
    y = ops.sqrt(ops.mean(ops.square(y), axis=0) + 1e-8)  # [M, H, W, F, C/F]
    y = ops.cast(ops.mean(y, axis=(1, 2, 4)), x.dtype)  # [M, F]
    y = ops.broadcast_to(
        ops.reshape(y, [1, n // group, 1, 1, num_new_features]), [group, n // group, h, w, y.shape[-1]]
    )
    return ops.concatenate([x, ops.reshape(y, [n, h, w, num_new_features])], axis=-1)


class SeedStream(keras.random.SeedGenerator):
    """Seeds that are a pure function of one seed: draw k of a stream is the same whenever it is made.

    `keras.random` takes Python ints or `SeedGenerator`s; a compiled training step needs draws that depend on a tensor.
    """

    def __init__(self, seed):
        self.key = ops.cast(ops.convert_to_tensor(seed), "uint32" if keras.config.backend() == "jax" else "int32")
        self.draws = 0

    def next(self, ordered=True):
        """Next seed, a pair of integers."""
        self.draws += 1
        step = ops.convert_to_tensor([15485863, 32452843], self.key.dtype)  # long: neighbouring seeds share no draw
        return self.key + step * self.draws
