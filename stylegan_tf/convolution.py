"""Convolutions whose gradients run as fast as they do, on processors too; in `keras.ops`, for every backend.

The gradient of a convolution by its kernel is a sum over all pixels of all images: one matrix product for each offset
of the kernel. On a processor the libraries' own routine for it reaches, in bfloat16, two thirds of the rate of a
convolution, and a tenth where images are small or the stride is two; matrix products reach nearly all of it. In float32
both are about as fast. Where layers have few feature maps or images are large, and on GPUs, the routine remains.

Within `fewer_multiplications` large convolutions and their gradients are those of `winograd`. That pays on processors
and makes graphs larger, so it is off unless asked for: an exported graph may run anywhere.

Convolution, its transpose and the gradient by the kernel are the three sides of one trilinear form. Each one's
derivatives are the other two, to any order.
"""

import contextlib
import contextvars

from keras import backend, ops

from stylegan_tf.gradients import with_gradient
from stylegan_tf.processor import has_accelerator
from stylegan_tf.winograd import Winograd, best_tile

FEWEST = 2**15  # weights of an offset; smaller products are slow
LARGEST = 32  # pixels of images where the stride is one; shifts of larger ones fill memory, and win nothing
_wanted = contextvars.ContextVar("fewer multiplications", default=False)


@contextlib.contextmanager
def fewer_multiplications():
    """What is called or traced in this context takes convolutions from `winograd` where they pay; decorates, too.

    Gradients have to be taken in it as well. What pays depends on the number of images, and so does rounding.
    """
    token = _wanted.set(not has_accelerator())
    try:
        yield
    finally:
        _wanted.reset(token)


def convolve(x, kernel, stride):
    """Convolution with zero padding: [N, H, W, C] and [K, K, C, F] to [N, H / stride, W / stride, F].

    H and W are multiples of the stride, and K - stride is even or K odd. Differentiable any number of times.
    """
    quick = _winograd(x, kernel.shape, stride)

    def forward(x, kernel):
        if quick:
            return quick.convolve(x, kernel)
        return ops.conv(x, kernel, strides=stride, padding="same", data_format="channels_last")

    def backward(dy, _, x, kernel):
        return spread(dy, kernel, stride), kernel_gradient(x, dy, kernel.shape[0], stride)

    own = quick or _by_products(x.shape[1], kernel, stride)
    return (with_gradient(forward, backward) if own else forward)(x, kernel)


def spread(y, kernel, stride):
    """The transpose of `convolve`: [N, H, W, F] and [K, K, C, F] to [N, stride H, stride W, C]."""
    quick, quick_gradient = (_winograd(y, kernel.shape, stride, side) for side in ("spread", "kernel_gradient"))

    def forward(y, kernel):
        if quick:
            return quick.spread(y, kernel)
        return ops.conv_transpose(y, kernel, strides=stride, padding="same", data_format="channels_last")

    def backward(dx, _, y, kernel):
        return convolve(dx, kernel, stride), kernel_gradient(dx, y, kernel.shape[0], stride)

    own = quick_gradient or _by_products(y.shape[1], kernel, stride)
    return (with_gradient(forward, backward) if own else forward)(y, kernel)


def kernel_gradient(x, dy, size, stride):
    """Gradient of `convolve` by its kernel: [N, H, W, C] and [N, H / stride, W / stride, F] to [K, K, C, F].

    Args:
        x: What was convolved.
        dy: Gradient by the result.
        size: Width K of the kernel, a multiple of the stride.
        stride: 1 or 2.
    """
    quick = _winograd(dy, [size, size, x.shape[-1], dy.shape[-1]], stride, "kernel_gradient")

    def backward(dk, _, x, dy):
        return spread(dy, dk, stride), convolve(x, dk, stride)

    forward = quick.kernel_gradient if quick else lambda x, dy: _products(x, dy, size, stride)
    return with_gradient(forward, backward)(x, dy)


def _products(x, dy, size, stride):
    """`kernel_gradient` as matrix products."""
    _, height, width, outputs = dy.shape
    inputs, before = x.shape[-1], (size - stride) // 2
    x = ops.pad(x, [[0, 0], *[[before, size - stride - before]] * 2, [0, 0]])
    steps = size // stride
    if stride > 1:  # the fine pixels of a coarse one become channels, so the products stay few and large
        rows, columns = height + steps - 1, width + steps - 1
        x = ops.transpose(ops.reshape(x, [-1, rows, stride, columns, stride * inputs]), [0, 1, 3, 2, 4])
        x = ops.reshape(x, [-1, rows, columns, stride * stride * inputs])
    dy = ops.reshape(dy, [-1, outputs])
    products = [
        ops.matmul(ops.transpose(ops.reshape(x[:, i : i + height, j : j + width], [-1, x.shape[-1]])), dy)
        for i in range(steps)
        for j in range(steps)
    ]
    products = ops.reshape(ops.stack(products), [steps, steps, stride, stride, inputs, outputs])
    return ops.reshape(ops.transpose(products, [0, 2, 1, 3, 4, 5]), [size, size, inputs, outputs])


def _by_products(size, kernel, stride):
    """Whether the gradient by this kernel is faster as matrix products, for images of `size` pixels."""
    small = stride > 1 or size <= LARGEST
    return small and kernel.shape[-2] * kernel.shape[-1] >= FEWEST and not has_accelerator()


def _winograd(images, kernel_shape, stride, side="convolve"):
    """The `Winograd` for one side of a convolution; None where a direct one is faster, or nobody asked.

    Args:
        images: What enters a convolution, else those of the coarser side, [N, height, width, channels].
        kernel_shape, stride: As for `best_tile`.
        side: "convolve", "spread" or "kernel_gradient"; a spread has one only where the gradient by its kernel has.
    """
    if not _wanted.get():
        return None
    batch, *pixels, _ = images.shape
    if side == "convolve":
        pixels = [count // stride for count in pixels]
    dtype = backend.standardize_dtype(images.dtype)
    tile = best_tile((batch, *pixels), kernel_shape, stride, dtype)
    if tile and side == "spread":
        tile = best_tile((batch, *pixels), kernel_shape, stride, dtype, transposed=True)
    return Winograd(*pixels, kernel_shape[0], stride, tile) if tile else None
