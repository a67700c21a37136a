"""Fréchet distance between two sets of features, each taken as a Gaussian (Heusel et al. 2017, eq. 6).

On the features of the standard Inception network it is the FID; on any others it is not, and should not be called so.
"""

import numpy as np


def frechet_distance(mean_a, covariance_a, mean_b, covariance_b):
    """|m_a - m_b|² + tr(A + B - 2 (A B)^½), A and B the covariances.

    The original takes `scipy.linalg.sqrtm(A @ B)` and of it the real part. The eigenvalues of A B are the squared
    singular values of A^½ B^½, so

        tr (A B)^½ = Σ singular values of A^½ B^½

    which is the same number in half the time. Where both covariances are regular, the two agree to 1e-13. Where they
    are not (fewer images than components), `sqrtm` is off by about 1e-7, because it takes roots of eigenvalues that
    are rounding errors; this form is exact.

    Args:
        mean_a, mean_b: [D].
        covariance_a, covariance_b: [D, D], symmetric, positive semidefinite.

    Returns:
        The distance, a float; 0 for equal statistics, up to a rounding error of either sign.

    Raises:
        ValueError: Shapes do not fit together, or a number is infinite or not a number.
    """
    mean_a, covariance_a = _checked(mean_a, covariance_a)
    mean_b, covariance_b = _checked(mean_b, covariance_b)
    if len(mean_a) != len(mean_b):
        raise ValueError(
            f"features of {len(mean_a)} and of {len(mean_b)} components cannot be compared: "
            "use one feature network for both"
        )
    product = _square_root(covariance_a) @ _square_root(covariance_b)
    root_trace = np.linalg.svd(product, compute_uv=False).sum()
    distance = np.square(mean_a - mean_b).sum() + np.trace(covariance_a) + np.trace(covariance_b) - 2 * root_trace
    return float(distance)


def _square_root(covariance):
    """Symmetric root U diag(λ^½) Uᵀ of [D, D]; eigenvalues that rounding cannot tell from zero are zero."""
    eigenvalues, vectors = np.linalg.eigh(covariance)
    smallest = len(eigenvalues) * np.finfo(np.float64).eps * eigenvalues[-1]
    return (vectors * np.sqrt(np.where(eigenvalues > smallest, eigenvalues, 0))) @ vectors.T


def _checked(mean, covariance):
    mean, covariance = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    if mean.ndim != 1 or covariance.shape != (*mean.shape, *mean.shape):
        raise ValueError(
            f"mean {list(mean.shape)} and covariance {list(covariance.shape)} do not fit: give [D] and [D, D]"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError("mean or covariance contains NaN or infinity: gather the features again")
    return mean, covariance
