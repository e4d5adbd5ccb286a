"""How often an edge and its marks appear over attention heads and settings.

Heads agree on about half of their edges, and the level and sample size of the test are a matter of choice, so one graph
is no fact. The share of graphs that show an edge, over all heads and a small grid of settings, says how far it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from explainer.attention import attention_correlation
from explainer.errors import InvalidAttentionError, InvalidParameterError
from explainer.icd import MAX_TESTS, learn_pag, run_in_threads
from explainer.pag import Mark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from explainer.pag import Pag

ALPHAS = (0.001, 0.01, 0.05)


@dataclass(frozen=True, slots=True, eq=False)
class EdgeSupport:
    """Shares of the graphs learnt."""

    share: NDArray[np.float64]
    """(4, n, n) [m, i, j]: share of the graphs with mark m (value of Mark) at j on the edge i *-* j; 0 is "no edge"."""

    graphs: int
    """Heads times settings."""

    @property
    def edge(self) -> NDArray[np.float64]:
        """(n, n) share of the graphs in which i and j are adjacent; 0 on the diagonal."""
        present: NDArray[np.float64] = 1.0 - self.share[Mark.NONE]
        return present

    def of_marks(
        self,
        sources: NDArray[np.int64],
        targets: NDArray[np.int64],
        at_source: NDArray[np.int8],
        at_target: NDArray[np.int8],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(E,) shares of the graphs with each of E edges and its mark (value of Mark) at the source, and at the target."""
        return self.share[at_source, targets, sources], self.share[at_target, sources, targets]


def edge_support(
    attention: ArrayLike,
    n_samples: Sequence[float] = (32, 64),
    alphas: Sequence[float] = ALPHAS,
    *,
    max_radius: int | None = None,
    max_tests: int | None = MAX_TESTS,
    temporal: bool = False,
    threads: int = 1,
    known: Mapping[tuple[int, float, float], Pag] = MappingProxyType({}),
) -> EdgeSupport:
    """Learn a graph for every head, sample size and level, and count.

    Args:
        attention: (heads, n, n) one softmax matrix per head.
        n_samples: sample sizes of the test.
        alphas: levels of the test.
        max_radius: as for ``learn_pag``.
        max_tests: as for ``learn_pag``, for each graph.
        temporal: as for ``learn_pag``.
        threads: graphs to learn at a time.
        known: graphs that were learnt already, by head, sample size and level, and otherwise as asked here.

    Raises:
        InvalidAttentionError: not a stack of attention matrices.
        InvalidParameterError: a setting is out of its range, or there is none.
    """
    heads = np.asarray(attention)
    if heads.ndim != 3 or not len(heads):  # noqa: PLR2004 - heads, rows, columns
        raise InvalidAttentionError(f"Attention must be a stack of one matrix per head, not of shape {heads.shape}.")
    for name, values in (("n_samples", n_samples), ("alphas", alphas)):
        if not values:
            raise InvalidParameterError(name, f"{name} must hold at least one value.")
    correlations = [attention_correlation(head) for head in heads]

    def learn(setting: tuple[int, float, float]) -> Pag:
        head, samples, alpha = setting
        return known.get(setting) or learn_pag(
            correlations[head], samples, alpha, max_radius, temporal=temporal, max_tests=max_tests
        )

    return count(run_in_threads(learn, list(product(range(len(heads)), n_samples, alphas)), threads))


def count(pags: Sequence[Pag]) -> EdgeSupport:
    """Shares over graphs of the same nodes."""
    stack = np.stack([pag.marks for pag in pags])
    return EdgeSupport(np.stack([(stack == mark).mean(axis=0) for mark in Mark]), len(pags))
