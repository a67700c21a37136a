"""Improved precision and recall (Kynkäänniemi et al. 2019): do the fakes look real, and do they cover the reals?

A set of features stands for a region, the union of balls around each, which reach to its k-th nearest neighbour. The
paper uses VGG16 features of 50 000 images on each side.
"""

import numpy as np

from metrics.intervals import of_share
from metrics.neighbours import check_finite, squared_distances, squared_radii


def precision_and_recall(reals, fakes, k=3):
    """Share of the fakes in the region of the reals, and of the reals in the region of the fakes.

    Args:
        reals, fakes: Features, [M, D] and [N, D], M, N > k, in memory or memory maps; parts are read at a time.
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
    return share_inside(fakes, reals, k), share_inside(reals, fakes, k)


def precision_and_recall_estimates(reals, fakes, k=3):
    """`precision_and_recall` with intervals: of the share of the fakes, given the region of the reals, and of the
    share of the reals, given the region of the fakes; each image is one trial, inside or not.

    Returns:
        Two `Estimate`s.
    """
    precision, recall = precision_and_recall(reals, fakes, k)
    return of_share(precision, len(fakes), len(fakes)), of_share(recall, len(reals), len(fakes))


def share_inside(points, centres, k):
    """Share of `points` [M, D] that lie in the k-th neighbour ball of at least one of `centres` [N, D]."""
    reach = squared_radii(centres, k)
    inside = np.zeros(len(points), bool)
    for rows, columns, squares in squared_distances(points, centres):
        inside[rows] |= (squares <= reach[columns]).any(axis=1)
    return float(inside.mean())


def _checked(features, name, k):
    features = np.asarray(features)
    if k < 1:
        raise ValueError(f"k is {k}: a ball reaches to its 1st neighbour at least")
    if features.ndim != 2 or len(features) <= k:
        raise ValueError(f"{name} have shape {list(features.shape)}: give [N, D], of more than k = {k} images")
    check_finite(features, name)
    return features
