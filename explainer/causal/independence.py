"""When a partial correlation counts as none: Fisher's z test as a cut-off, and the checks of what goes into it."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from explainer.errors import InvalidCorrelationError, InvalidParameterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SINGULAR = 1e-9
"""Share of its variance that a token must keep once others are held fixed. Below it the token is a copy of them, its
partial correlation is rounding noise, and the test says "dependent": an edge is never removed for lack of information."""

_SYMMETRY_TOLERANCE = 1e-8


def cutoffs(n_samples: float, alpha: float, max_size: int) -> NDArray[np.float64]:
    """Largest absolute partial correlation that counts as independence, by size of the conditioning set.

    Fisher's z: independent iff sqrt(d - |S| - 3) atanh(|rho|) has a two-sided normal p-value above alpha. With d fixed
    that is a cut-off on |rho| alone (d = 64, alpha = 0.01: 0.318 for the empty set).

    Args:
        n_samples: d, the sample size.
        alpha: level of the test.
        max_size: largest conditioning set wanted.

    Returns:
        (k,) float64, entry s for sets of size s, k <= max_size + 1: sizes with d - s - 3 <= 0 have no test.
    """
    quantile = -NormalDist().inv_cdf(alpha / 2)
    freedom = n_samples - 3 - np.arange(max_size + 1, dtype=np.float64)
    limits: NDArray[np.float64] = np.tanh(quantile / np.sqrt(freedom[freedom > 0]))
    return limits


def check_parameters(n_samples: float, alpha: float, limits: dict[str, float | None]) -> None:
    """Raise InvalidParameterError for a setting out of its range; ``limits`` are the optional, non-negative ones."""
    if not 0 < alpha < 1:
        raise InvalidParameterError("alpha", f"alpha must lie strictly between 0 and 1, but it is {alpha}.")
    if not (math.isfinite(n_samples) and n_samples > 3):  # noqa: PLR2004 - d - |S| - 3 > 0 with S empty
        raise InvalidParameterError("n_samples", f"n_samples must be finite and above 3, but it is {n_samples}.")
    for name, limit in limits.items():
        if limit is not None and not limit >= 0:
            raise InvalidParameterError(name, f"{name} must be 0 or more, but it is {limit}.")


def check_correlation(correlation: ArrayLike) -> NDArray[np.float64]:
    """The matrix as exactly symmetric float64 with a unit diagonal, or InvalidCorrelationError."""
    matrix = np.asarray(correlation)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:  # noqa: PLR2004 - a matrix has two axes
        raise InvalidCorrelationError(f"The correlation must be a square matrix, but its shape is {matrix.shape}.")
    if matrix.shape[0] < 2:  # noqa: PLR2004 - a graph needs an edge
        raise InvalidCorrelationError(f"The correlation must be over at least 2 nodes, not {matrix.shape[0]}.")
    if matrix.dtype.kind not in "fiu":
        raise InvalidCorrelationError(f"The correlation must be real numbers, but its type is {matrix.dtype}.")
    matrix = np.ascontiguousarray(matrix, dtype=np.float64)
    if not np.isfinite(matrix).all():
        raise InvalidCorrelationError("The correlation must be finite, but it has NaN or infinite entries.")
    if np.abs(matrix - matrix.T).max() > _SYMMETRY_TOLERANCE:
        raise InvalidCorrelationError("The correlation must be symmetric.")
    if np.abs(np.diag(matrix) - 1).max() > _SYMMETRY_TOLERANCE:
        raise InvalidCorrelationError("The correlation must have ones on its diagonal; scale the covariance first.")
    if np.abs(matrix).max() > 1 + _SYMMETRY_TOLERANCE:
        raise InvalidCorrelationError("The correlation must have entries between -1 and 1.")
    symmetric: NDArray[np.float64] = np.clip((matrix + matrix.T) / 2, -1.0, 1.0)
    np.fill_diagonal(symmetric, 1.0)
    return symmetric
