"""Improved precision and recall (Kynkäänniemi et al. 2019): do the fakes look real, and do they cover the reals?

A set of features stands for a region, the union of balls around each, which reach to its k-th nearest neighbour. The
paper uses VGG16 features of 50 000 images on each side.
"""

import numpy as np

CHUNK = 1 << 24  # distances held at a time: 128 MB


def precision_and_recall(reals, fakes, k=3):
    """Share of the fakes in the region of the reals, and of the reals in the region of the fakes.

    Args:
        reals, fakes: Features, [M, D] and [N, D], M, N > k.
        k: Which neighbour a ball reaches to, not counting its own centre.

    Returns:
        (precision, recall), each 0 to 1.

    Raises:
        ValueError: Shapes do not fit, there are too few features, or one is infinite or not a number.
    """
    reals, fakes = _checked(reals, "reals", k), _checked(fakes, "fakes", k)
    if reals.shape[1] != fakes.shape[1]:
        raise ValueError(
            f"reals of {reals.shape[1]} and fakes of {fakes.shape[1]} components cannot be compared: "
            "use one feature network for both"
        )
    centre = reals.mean(axis=0)  # |a|² + |b|² - 2 a·b loses fewer digits near the origin
    reals, fakes = reals - centre, fakes - centre
    return share_inside(fakes, reals, k), share_inside(reals, fakes, k)


def share_inside(points, centres, k):
    """Share of `points` [M, D] that lie in the k-th neighbour ball of at least one of `centres` [N, D]."""
    radii = neighbour_distances(centres, k)
    inside = [(distances <= radii).any(axis=1) for distances in _squared_distances(points, centres)]
    return float(np.concatenate(inside).mean())


def neighbour_distances(points, k):
    """Squared distance of each of `points` [N, D] to its k-th nearest other: [N]."""
    nearest = [np.partition(distances, k, axis=1)[:, k] for distances in _squared_distances(points, points)]
    return np.concatenate(nearest)  # number 0 is the distance to itself


def _squared_distances(a, b):
    """Squared distances of [M, D] to [N, D], a number of rows [m, N] at a time."""
    rows = max(1, CHUNK // len(b))
    lengths = np.square(b).sum(axis=1)
    for i in range(0, len(a), rows):
        chunk = a[i : i + rows]
        distances = np.square(chunk).sum(axis=1)[:, np.newaxis] + lengths - 2 * chunk @ b.T
        yield np.maximum(distances, 0)


def _checked(features, name, k):
    features = np.asarray(features, np.float64)
    if k < 1:
        raise ValueError(f"k is {k}: a ball reaches to its 1st neighbour at least")
    if features.ndim != 2 or len(features) <= k:
        raise ValueError(f"{name} have shape {list(features.shape)}: give [N, D], of more than k = {k} images")
    if not np.isfinite(features).all():
        raise ValueError(f"{name} contain NaN or infinity: the generator or the feature network is broken")
    return features
