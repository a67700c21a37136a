"""Convolutions with a fraction of the multiplications (Winograd 1980; Lavin and Gray 2016, arXiv 1509.09308).

An image is cut into tiles of m x m results, each of which needs t x t inputs, t = m + r - 1, for a kernel of r x r
taps. Inputs and kernel are taken as polynomials and evaluated at t points a dimension, where a convolution is a
product:

    results = A^T [(G kernel G^T) * (B inputs B^T)] A

With feature maps, * is a matrix product at each of the t^2 points, over all tiles. With m = 4 a 3x3 convolution takes
36 of them for 16 results, not 144. A convolution of stride two is one of stride one over cells of 2x2 pixels with r = 2
and takes 25, not 64; its transpose has a kernel of its own for each of the 2x2 phases of the finer image.

What is saved is paid for by moving data: each transform is a pass over memory, and a tile is larger than its results.
`best_tile` weighs one against the other. Results are those of a direct convolution up to rounding. Relative to their
root mean square, errors of 512 feature maps are in float32 1e-6 with direct convolutions, 0.5e-6 with tiles of 2 and
1.5e-6 with tiles of 4, for which the points were chosen (the usual ones, 0, 1, -1, 2, -2: 4e-6); in bfloat16 2e-3 and
5e-3.
"""

import functools
import math

import numpy as np
from keras import ops

from stylegan_tf.gradients import after

HALF, TWO = math.sqrt(0.5), math.sqrt(2)
POINTS = {2: [1, -1], 3: [0, 1, -1], 4: [0, HALF, -HALF, TWO], 5: [0, HALF, -HALF, TWO, -TWO]}  # and infinity

TILES = {"float32": (4, 2), "bfloat16": (2,)}  # in bfloat16 larger ones lose too many digits
OPERATIONS_PER_NUMBER = 64  # of a convolution, in the time that moving one number takes; in both types, as measured


@functools.cache
def transforms(tile, taps):
    """A [t, tile], G [t, taps] and B [t, t], for one dimension: results = A^T ((G kernel) * (B inputs))."""

    def at_points(count):
        finite = [[point**power for power in range(count)] for point in POINTS[tile + taps - 2]]
        return np.array([*finite, [0.0] * (count - 1) + [1.0]])

    return at_points(tile), at_points(taps), np.linalg.inv(at_points(tile + taps - 1)).T


def best_tile(pixels, kernel_shape, stride, dtype, transposed=False):
    """The tile with which a convolution or its gradient is fastest; 0 for a direct one.

    Args:
        pixels: (N, height, width) of the coarser side; N may be None, which counts as one.
        kernel_shape: [K, K, C, F].
        stride: 1 or 2.
        dtype: "float32" or "bfloat16"; 0 for others.
        transposed: For the convolution's transpose.
    """
    batch, height, width = pixels
    size, _, channels, outputs = kernel_shape
    taps, count = size // stride, (batch or 1) * height * width
    fine, weights = stride**2 * channels, channels * outputs
    inputs, results = (stride**2 * outputs, fine) if transposed else (fine, outputs)  # numbers a pixel
    costs = {0: 2 * size**2 * count * weights}  # in operations
    for tile in TILES.get(dtype, ()):
        if taps in (2, 3) and height % tile == 0 and width % tile == 0 and (size - stride) % 2 == 0:
            points = tile + taps - 1
            larger = (points / tile) ** 2
            # reads and writes: pad, gather, mix, multiply; multiply, mix, put in order; the kernel: mix, multiply
            moved = count * (inputs * (3 + 4 * larger) + results * (3 + 2 * larger))
            moved += weights * (size**2 + 2 * (stride * points) ** 2)
            costs[tile] = costs[0] * larger / taps**2 + OPERATIONS_PER_NUMBER * moved
    return min(costs, key=costs.get)


class Winograd:
    """A convolution's geometry, and the three sides of its trilinear form: each one's derivatives are the other two.

    Args:
        height, width: Pixels of the coarser side, multiples of `tile`.
        size: Width K of the kernel, a multiple of the stride; K - stride is even.
        stride: 1 or 2.
        tile: 2 or 4.
    """

    def __init__(self, height, width, size, stride, tile):
        self.size, self.stride, self.tile = size, stride, tile
        self.taps, self.before = size // stride, (size - stride) // 2
        self.tiles = height // tile, width // tile
        self.A, self.G, self.B = transforms(tile, self.taps)
        self.points = len(self.B)

    def convolve(self, x, kernel):
        """[N, stride H, stride W, C] and [K, K, C, F] to [N, H, W, F]."""
        x = self._inputs(x, self._cells)  # [t^2, P, stride^2 C] with P tiles
        kernel = self._kernel(kernel, self._taps, x)
        kernel = ops.reshape(kernel, [self.points**2, x.shape[-1], -1])
        return self._results(ops.matmul(x, kernel), 1)

    def spread(self, y, kernel):
        """The transpose of `convolve`: [N, H, W, F] and [K, K, C, F] to [N, stride H, stride W, C]."""
        y = self._inputs(y, self._windows)  # [(t stride)^2, P, F]
        kernel = self._kernel(kernel, self._turned_taps, y)
        return self._results(ops.matmul(y, ops.transpose(kernel, [0, 2, 1])), self.stride)

    def kernel_gradient(self, x, dy):
        """Gradient of `convolve` by its kernel: [N, stride H, stride W, C] and [N, H, W, F] to [K, K, C, F]."""
        (rows, columns), outputs = self.tiles, dy.shape[-1]
        dy = ops.reshape(dy, [-1, rows, self.tile, columns, self.tile, outputs])
        dy = _mix(np.kron(self.A, self.A), ops.transpose(dy, [2, 4, 0, 1, 3, 5]))
        dy = ops.reshape(dy, [self.points**2, -1, outputs])
        x = self._inputs(x, self._cells)  # which TensorFlow keeps from `convolve`
        product = ops.matmul(ops.transpose(x, [0, 2, 1]), dy)  # [t^2, stride^2 C, F]
        product = _mix(self._kernel_matrix(self._taps).T, product)
        return ops.reshape(product, [self.size, self.size, -1, outputs])

    def _cells(self, tiles):
        """Fine pixels in a row that enter its tiles: [t, 1, tiles, stride], as `_inputs` wants them."""
        cells = np.arange(self.points)[:, None, None, None] + self.tile * np.arange(tiles)[:, None]
        return self.stride * cells + np.arange(self.stride) - self.before

    def _windows(self, tiles):
        """Coarse pixels in a row that enter the tiles of each phase: [t, stride, tiles, 1]."""
        starts = [(phase + self.before - self._turned_taps(phase)[0]) // self.stride for phase in range(self.stride)]
        tiles = self.tile * np.arange(tiles)[:, None] + np.array(starts)[:, None, None]
        return np.arange(self.points)[:, None, None, None] + tiles

    def _taps(self, phase):
        """Places in a kernel's row that meet the pixels at `phase` of the cells."""
        return np.arange(phase, self.size, self.stride)

    def _turned_taps(self, phase):
        """Places in a kernel's row through which coarse pixels reach the fine ones at `phase`, first pixel first."""
        last = self.size - 1 - (self.size - 1 - phase - self.before) % self.stride
        return np.arange(last, -1, -self.stride)

    def _kernel_matrix(self, taps):
        """From the K x K taps of a kernel to its values at the points, phase by phase: [(t stride)^2, K^2]."""
        row = np.zeros([self.points, self.stride, self.size])
        for phase in range(self.stride):
            row[:, phase, taps(phase)] = self.G
        return np.einsum("tpk,uql->tupqkl", row, row).reshape(-1, self.size**2)

    def _kernel(self, kernel, taps, inputs):
        """A kernel at the points, phase by phase: [(t stride)^2, C, F]; it waits for the inputs.

        Larger than the kernel itself by far, those of all layers would fill memory from the start.
        """
        with after(inputs):
            values = _mix(self._kernel_matrix(taps), kernel)
        return ops.reshape(values, [-1, *kernel.shape[2:]])

    def _inputs(self, x, positions):
        """Tiles at the points: images [N, H, W, C] to [(t phases)^2, P, cell^2 C], the first axis point by point.

        `positions` says for a number of tiles in a row where their pixels are, [t, phases, tiles, cell].
        """
        rows, columns = (positions(count) for count in self.tiles)  # [t, phases, tiles, cell]
        channels, low = x.shape[-1], -min(0, rows.min())
        high = [max(0, places.max() + 1 - size) for places, size in zip((rows, columns), x.shape[1:3], strict=True)]
        x = ops.pad(x, [[0, 0], [low, high[0]], [low, high[1]], [0, 0]])
        height, width = x.shape[1:3]
        pixels = _outer(rows + low, columns + low, width)  # [t, t, phases, phases, tiles, tiles, cell, cell]
        points, _, phases, _, *_, cell = pixels.shape
        pixels = ops.convert_to_tensor(pixels.reshape((points * phases) ** 2, 1, -1).astype(np.int32))
        images = height * width * ops.arange(ops.shape(x)[0], dtype="int32")[:, None]
        x = ops.take(ops.reshape(x, [-1, channels]), ops.reshape(pixels + images, [-1]), axis=0)
        x = _mix(np.kron(self.B, self.B), ops.reshape(x, [points**2, -1]))
        return ops.reshape(x, [(points * phases) ** 2, -1, cell**2 * channels])

    def _results(self, values, phases):
        """Values at the points, [(t phases)^2, P, F], to images [N, phases H, phases W, F]."""
        (rows, columns), outputs = self.tiles, values.shape[-1]
        y = _mix(np.kron(self.A, self.A).T, ops.reshape(values, [self.points**2, -1]))
        y = ops.reshape(y, [self.tile, self.tile, phases, phases, -1, rows, columns, outputs])
        y = ops.transpose(y, [4, 5, 0, 2, 6, 1, 3, 7])
        return ops.reshape(y, [-1, rows * self.tile * phases, columns * self.tile * phases, outputs])


def _mix(matrix, x):
    """Product of a constant matrix [a, b] with a tensor, whose first axes have b elements: [a, rest]."""
    return ops.matmul(ops.convert_to_tensor(matrix, x.dtype), ops.reshape(x, [matrix.shape[1], -1]))


def _outer(rows, columns, width):
    """Numbers of the pixels at all pairs of a row and a column, the axes of both taking turns."""
    rows = rows.reshape([size for extent in rows.shape for size in (extent, 1)])
    columns = columns.reshape([size for extent in columns.shape for size in (1, extent)])
    return width * rows + columns
