"""Who is near whom among features, and what that says of a single generated image.

Features may be in memory or memory maps: parts of them are looked at at a time, in float64.
"""

import math

import numpy as np

CHUNK = 1 << 22  # distances, or components of features, held at a time: 32 MB


def nearest(points, pool, k=1, own=None):
    """The nearest neighbours of points.

    Args:
        points: [N, D].
        pool: Where neighbours are looked for, [M, D], M > k.
        k: How many neighbours.
        own: For points that are in the pool themselves, their numbers there [N]; no point is its own neighbour.

    Returns:
        (distances [N, k], numbers in the pool [N, k]), the nearest first.

    Raises:
        ValueError: Shapes do not fit, the pool is too small, or a feature is not finite.
    """
    points, pool = _checked(points, pool, k)
    nearest_squares, nearest_numbers = np.full([len(points), k], np.inf), np.zeros([len(points), k], np.int64)
    for rows, columns, squares in squared_distances(points, pool):
        numbers = np.broadcast_to(np.arange(columns.start, columns.start + squares.shape[1]), squares.shape)
        if own is not None:
            squares[numbers == own[rows, np.newaxis]] = np.inf
        squares = np.concatenate([nearest_squares[rows], squares], axis=1)
        numbers = np.concatenate([nearest_numbers[rows], numbers], axis=1)
        order = np.argsort(squares, axis=1, kind="stable")[:, :k]
        nearest_squares[rows] = np.take_along_axis(squares, order, axis=1)
        nearest_numbers[rows] = np.take_along_axis(numbers, order, axis=1)
    return np.sqrt(nearest_squares), nearest_numbers


def radii(pool, k):
    """Distance of each of `pool` [M, D] to its k-th nearest other: [M]; errors as `nearest`."""
    return np.sqrt(squared_radii(_checked(pool, pool, k)[1], k))


def realism(points, pool, reach):
    """How real each point looks (Kynkäänniemi et al. 2019, eq. 3).

        R(g) = max over r of reach(r) / |g - r|

    over the half of the reals with the smaller reach, for the balls of outliers say nothing. 1 or more: inside of one.

    Args:
        points: Features of generated images, [N, D].
        pool: Of real ones, [M, D].
        reach: Their `radii`, [M]; the paper has k = 3.

    Returns:
        [N]; infinite for a point that is a real one.
    """
    points, pool = _checked(points, pool, 1)
    reach = np.where(reach <= np.median(reach), reach, 0)
    best = np.zeros(len(points))
    for rows, columns, squares in squared_distances(points, pool):
        ratios = reach[columns] / np.maximum(np.sqrt(squares), np.finfo(np.float64).tiny)
        best[rows] = np.maximum(best[rows], ratios.max(axis=1))
    return np.where(best > 1e6, np.inf, best)


def density_and_coverage(points, pool, reach, k):
    """Density of the reals around each generated image, and which reals are covered (Naeem et al. 2020, eq. 3 and 4).

    Args:
        points, pool, reach: As for `realism`.
        k: Which neighbour the balls reach to.

    Returns:
        (density [N]: number of balls that a point is in, divided by k; covered [M], bool: whether any point is in a
        ball). The paper's numbers are the means; for points of the same distribution the first is 1 on average.
    """
    points, pool = _checked(points, pool, 1)
    density, covered = np.zeros(len(points)), np.zeros(len(pool), bool)
    for rows, columns, squares in squared_distances(points, pool):
        inside = np.sqrt(squares) <= reach[columns]
        density[rows] += inside.sum(axis=1) / k
        covered[columns] |= inside.any(axis=0)
    return density, covered


def squared_radii(points, k):
    """Squared distance of each of `points` [N, D] to its k-th nearest other: [N]."""
    smallest = np.full([len(points), k + 1], np.inf)  # number 0 is the distance to itself
    for rows, _, squares in squared_distances(points, points):
        smallest[rows] = np.partition(np.hstack([smallest[rows], squares]), k, axis=1)[:, : k + 1]
    return smallest.max(axis=1)


def squared_distances(a, b):
    """Squared distances of [M, D] to [N, D]: part by part (slice of M, slice of N, [m, n])."""
    # |a|² + |b|² - 2 a·b loses fewer digits near the origin
    centre = np.asarray(b[: _rows(b)], np.float64).mean(axis=0)
    for rows in _parts(a):
        left = a[rows] - centre
        lengths = np.square(left).sum(axis=1)[:, np.newaxis]
        for columns in _parts(b):
            right = b[columns] - centre
            squares = lengths + np.square(right).sum(axis=1) - 2 * left @ right.T
            yield rows, columns, np.maximum(squares, 0)


def check_finite(features, name):
    """Raises a ValueError if one of the features [N, D] is infinite or not a number."""
    if not all(np.isfinite(features[part]).all() for part in _parts(features)):
        raise ValueError(f"{name} contain NaN or infinity: the generator or the feature network is broken")


def _rows(features):
    """Rows of a part: neither it nor the distances to another part exceed `CHUNK` numbers."""
    return max(1, min(CHUNK // features.shape[1], math.isqrt(CHUNK)))


def _parts(features):
    return [slice(start, start + _rows(features)) for start in range(0, len(features), _rows(features))]


def _checked(points, pool, k):
    """Both as arrays or memory maps."""
    points, pool = np.asarray(points), np.asarray(pool)
    if points.ndim != 2 or pool.ndim != 2 or points.shape[1] != pool.shape[1]:
        raise ValueError(f"features {list(points.shape)} and {list(pool.shape)} do not fit: give [N, D] and [M, D]")
    if len(pool) <= k:
        raise ValueError(f"{len(pool)} real images are too few for {k} neighbours each; give more images")
    for features in (points, pool):
        check_finite(features, "features")
    return points, pool
