"""From a correlation matrix to a PAG: the public entry points of the causal engine."""

from __future__ import annotations

from typing import TYPE_CHECKING


from explainer.causal import plain_icd
from explainer.causal.independence import check_correlation, check_parameters, cutoffs
from explainer.pag import Pag, Stop

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

MAX_TESTS = 1_000_000
"""Default budget of one graph, in independence tests."""


def learn_pag(
    correlation: ArrayLike,
    n_samples: float = 64,
    alpha: float = 0.01,
    max_radius: int | None = None,
    *,
    temporal: bool = False,
    selection_bias: bool = False,
    max_tests: int | None = MAX_TESTS,
    max_ms: float | None = None,
    cancel: NDArray[np.uint8] | None = None,
) -> Pag:
    """Partial ancestral graph of a correlation matrix."""
    matrix = check_correlation(correlation)
    check_parameters(n_samples, alpha, {"max_radius": max_radius, "max_tests": max_tests, "max_ms": max_ms})
    del cancel
    limit = cutoffs(n_samples, alpha, len(matrix))
    found = plain_icd.learn(
        len(matrix),
        plain_icd.fisher(matrix, n_samples, alpha),
        max_size=len(limit) - 1,
        max_radius=max_radius,
        temporal=temporal,
        selection_bias=selection_bias,
        max_tests=max_tests,
    )
    return Pag(
        marks=found.graph.marks,
        radius=found.radius,
        complete=found.stopped == "COMPLETE",
        stopped=Stop(found.stopped),
        tests=found.tests,
        cutoff=float(limit[0]),
        ambiguous=found.graph.ambiguous,
        contested=int(found.graph.locked.sum()),
    )
