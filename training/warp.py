"""Affine transforms of images, of high quality and differentiable: what the augmentation's geometry is made of.

A transform is given by a matrix [N, 3, 3] from a place in the result to the place in the image that it shows; x to the
right and y down, in pixels from the middle. So it is a product of inverse transforms, the one that comes first at the
left. What lies outside an image is its reflection, again and again.
"""

import math

import numpy as np
import tensorflow as tf

# Scaling filter of the wavelet sym6: orthonormal, so that enlarging by two and reducing again changes nothing
# fmt: off
SYM6 = np.array([
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
])
# fmt: on
CENTER = float(np.arange(12) @ SYM6 / np.sum(SYM6))  # of the filter's mass, in taps: 5.1


def scale(x, y):
    """Matrix that multiplies places by factors [N, 1]."""
    zero = tf.zeros_like(x)
    return matrix([x, zero, zero], [zero, y, zero])


def rotate(cosine, sine):
    """Matrix that turns places by an angle, given as [N, 1]."""
    zero = tf.zeros_like(cosine)
    return matrix([cosine, -sine, zero], [sine, cosine, zero])


def translate(x, y):
    """Matrix that moves places by pixels [N, 1]."""
    zero = tf.zeros_like(x)
    return matrix([zero + 1, zero, x], [zero, zero + 1, y])


def matrix(first, second):
    """[N, 3, 3] from its first two rows, lists of [N, 1]."""
    zero = tf.zeros_like(first[0])
    return tf.stack([tf.concat(row, -1) for row in (first, second, [zero, zero, zero + 1])], 1)


def product(*matrices):
    """Matrix product in full float32; that of a GPU may round to ten bits, half a pixel of a large image."""
    first, *rest = matrices
    for other in rest:
        first = tf.reduce_sum(first[:, :, :, None] * other[:, None, :, :], axis=2)
    return first


def copy_pixels(images, inverse):
    """Images [N, R, R, C] moved by flips, quarter turns and whole pixels: exact."""
    size = images.shape[1]
    x, y = (reflected(place, size - 1) for place in places(inverse, tf.range(size, dtype=tf.float32), size))
    return pixels(images, [index_of(x, y, size)], [tf.ones_like(x)])


def resample(images, inverse):
    """Images [N, R, R, C] moved by any affine transform: enlarged by two, looked up bilinearly, twice as many, reduced.

    The filter before and after is the wavelet's (Karras et al. 2020, appendix B.1), which keeps fine detail and lets
    nothing alias. It is applied as a matrix product, quick at the sizes that few images have; its time grows with R^3.
    """
    size = images.shape[1]
    enlarge, reduce = (tf.constant(weights, tf.float32) for weights in wavelet_matrices(size))
    x = tf.einsum("uh,vw,nhwc->nuvc", enlarge, enlarge, images, optimize="optimal")
    positions = (tf.range(2 * size + 10, dtype=tf.float32) - CENTER) / 2
    u, v = (1 + nearby(2 * place + CENTER, size) for place in places(inverse, positions, size))
    corner, width = index_of(tf.floor(u), tf.floor(v), 2 * size + 12), 2 * size + 12
    right, low = u - tf.floor(u), v - tf.floor(v)
    neighbours = [corner, corner + 1, corner + width, corner + width + 1]
    x = pixels(x, neighbours, [(1 - right) * (1 - low), right * (1 - low), (1 - right) * low, right * low])
    return tf.einsum("hu,wv,nuvc->nhwc", reduce, reduce, x, optimize="optimal")


def wavelet_matrices(size):
    """Enlarging by two and reducing by two along one axis, as matrices: [2 R + 12, R] and [R, 2 R + 10].

    Sample j of an enlarged axis shows the place (j - CENTER) / 2. The second matrix takes the samples from 0 on, which
    reach beyond the image as far as the filter; the first makes them, and one more at each side.
    """
    enlarge, reduce = np.zeros([2 * size + 12, size]), np.zeros([size, 2 * size + 10])
    for pixel in range(-6, size + 6):
        for tap, value in enumerate(SYM6):
            sample = 2 * pixel + tap
            if -1 <= sample <= 2 * size + 10:
                enlarge[1 + sample, int(reflected(pixel, size - 1))] += math.sqrt(2) * value
    for pixel in range(size):
        reduce[pixel, 2 * pixel : 2 * pixel + 12] = SYM6 / math.sqrt(2)
    return enlarge, reduce


def nearby(sample, size):
    """Samples as they are where `wavelet_matrices` makes them, else those of the reflected place."""
    made = (sample > -0.5) & (sample < 2 * size + 9.5)
    return tf.where(made, sample, 2 * reflected((sample - CENTER) / 2, size - 1) + CENTER)


def places(inverse, positions, size):
    """What the pixels at `positions` x `positions` of the result show: places x and y, [N, P, P], maybe outside.

    Positions and places are counted in pixels from the first one.
    """
    middle = (size - 1) / 2
    x, y = positions[None, None, :] - middle, positions[None, :, None] - middle
    rows = [inverse[:, row, :, None, None] for row in (0, 1)]
    return [row[:, 0] * x + row[:, 1] * y + row[:, 2] + middle for row in rows]


def reflected(place, last):
    """Fold places into [0, last], as two mirrors in the middle of the first and the last pixel do."""
    return last - abs(last - place % (2 * last))


def index_of(x, y, size):
    """Index of the pixels at whole places x, y [N, P, P] among all of N images of size x size: int32 [N, P, P]."""
    image = tf.range(tf.shape(x)[0])[:, None, None]
    return (image * size + tf.cast(y, tf.int32)) * size + tf.cast(x, tf.int32)


def pixels(images, indices, weights):
    """Weighted sums of pixels: [N, P, P, C] from images [N, R, R, C] and lists of indices and weights [N, P, P]."""
    rows = tf.reshape(images, [-1, images.shape[3]])
    return tf.add_n([take(rows, index) * weight[..., None] for index, weight in zip(indices, weights, strict=True)])


@tf.custom_gradient
def take(rows, index):
    """`tf.gather` whose gradient is dense from the start, which saves a third of the time."""

    def gradient(upstream):
        return tf.math.unsorted_segment_sum(upstream, index, tf.shape(rows)[0]), None

    return tf.gather(rows, index), gradient
