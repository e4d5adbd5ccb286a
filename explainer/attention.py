"""From one attention matrix to the correlations of the token representations (Rohekar et al. 2023, section 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from explainer.causal import kernel
from explainer.errors import InvalidAttentionError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

ROW_SUM_TOLERANCE = 1e-3
"""How far a row may be from summing to 1: half-precision softmax is off by up to this much."""


def attention_correlation(attention: ArrayLike) -> NDArray[np.float64]:
    """Correlation of the token representations that a softmax attention matrix implies.

    In Z = A V the rows of A are the total effects of independent inputs on each token (Rohekar, Gurwicz, Nisimov,
    "Causal Interpretation of Self-Attention in Pre-Trained Transformers", NeurIPS 2023, arXiv 2310.20307, section 4.1).
    With the columns of V taken as uncorrelated, Cov(Z) = A A^T, which is then scaled to unit variances.

    The entries do not depend, to the last bit, on how the tokens are numbered: products are added as integers of
    2^-60, and integer addition has no rounding that could depend on the order of the terms.

    Args:
        attention: (n, n) one head's attention, rows sum to 1, any float type; without padding rows or columns.

    Returns:
        (n, n) float64, symmetric, unit diagonal, all entries in [0, 1].

    Raises:
        InvalidAttentionError: not a square matrix of n >= 2, not finite, negative, or rows that do not sum to 1.
    """
    weights = _checked(attention)
    covariance: NDArray[np.float64] = kernel.row_products(weights)
    variance = np.diag(covariance)
    scale = np.sqrt(np.multiply.outer(variance, variance))
    correlation: NDArray[np.float64] = np.minimum(covariance / scale, 1.0)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _checked(attention: ArrayLike) -> NDArray[np.float64]:
    """The matrix as float64, or the one sentence that says what is wrong with it."""
    weights = np.asarray(attention)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:  # noqa: PLR2004 - a matrix has two axes
        raise InvalidAttentionError(f"Attention must be a square matrix of one head, but its shape is {weights.shape}.")
    if weights.shape[0] < 2:  # noqa: PLR2004 - a graph needs an edge
        raise InvalidAttentionError(f"Attention must be over at least 2 tokens, but it is over {weights.shape[0]}.")
    if weights.dtype.kind not in "fiu":
        raise InvalidAttentionError(f"Attention must be real numbers, but its type is {weights.dtype}.")
    weights = np.ascontiguousarray(weights, dtype=np.float64)
    if not np.isfinite(weights).all():
        raise InvalidAttentionError("Attention must be finite, but it has NaN or infinite entries.")
    if (weights < 0).any():
        raise InvalidAttentionError("Attention must be softmax weights, but it has negative entries.")
    errors = np.abs(weights.sum(axis=1) - 1.0)
    if errors.max() > ROW_SUM_TOLERANCE:
        row = int(errors.argmax())
        raise InvalidAttentionError(f"Each row of attention must sum to 1, but row {row} is off by {errors[row]:.2g}.")
    return weights
