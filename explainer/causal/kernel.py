"""The compiled engine: correlation matrix in, marks out, no Python object in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from explainer.causal.arrowheads import Evidence, orient_arrowheads
from explainer.causal.bits import add, words_for
from explainer.causal.graph import new_graph, reset, size_of, write_marks
from explainer.causal.legality import is_legal
from explainer.causal.search import CANCELLED as STOPPED
from explainer.causal.search import FINISHED, OVER_BUDGET, Radius, new_scratch, search_radius
from explainer.causal.tails import orient_tails
from explainer.compiling import allocating, digest, entry_point, inner

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from explainer.causal.graph import Graph
    from explainer.causal.search import Flags

_FIXED_POINT = 2.0**60  # an inner product is at most 1 up to the row tolerance, so three bits are left above

SOURCES = digest(__file__)
"""Part of the key of the disk cache."""

COMPLETE, MAX_RADIUS, SAMPLE_SIZE, TEST_BUDGET, CANCELLED, OUT_OF_TIME = 0, 1, 2, 3, 4, 5


@allocating
def canonical_order(correlation: NDArray[np.float64]) -> NDArray[np.int64]:
    """Nodes sorted by their rows, each row sorted: the same nodes in the same order however they were numbered.

    Rounding then falls alike under any numbering. Nodes with equal sorted rows may still come in any order; there the
    rules themselves, which know no order, must and do decide alike.
    """
    n = len(correlation)
    keys = np.empty_like(correlation)
    for i in range(n):
        keys[i] = np.sort(correlation[i])
    order = np.arange(n)
    for place in range(1, n):
        node = order[place]
        at = place
        while at > 0 and _before(keys[node], keys[order[at - 1]]):
            order[at] = order[at - 1]
            at -= 1
        order[at] = node
    return order


@inner
def _before(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    for k in range(len(a)):
        if a[k] != b[k]:
            return bool(a[k] < b[k])
    return False


@allocating
def _complete_graph(n: int) -> NDArray[np.uint64]:
    adjacent = np.zeros((n, words_for(n)), np.uint64)
    for i in range(n):
        for j in range(n):
            if i != j:
                add(adjacent[i], j)
    return adjacent


class Limits(NamedTuple):
    """Where the search ends at the latest."""

    cutoffs: NDArray[np.float64]
    """By size of the conditioning set; sizes beyond have no test."""
    max_radius: int
    max_tests: int
    flags: Flags


@inner
def _bounds(limits: Limits, size: int, tests: int) -> tuple[float, int, int]:
    """Cut-off and remaining tests for sets of this size, and what it means to exceed them.

    With no test left, the first legal set that is met ends the search: so the limits only show where they bind.
    """
    if size > limits.max_radius:
        return 0.0, 0, MAX_RADIUS
    if size >= len(limits.cutoffs):
        return 0.0, 0, SAMPLE_SIZE
    return limits.cutoffs[size], limits.max_tests - tests, TEST_BUDGET


@allocating
def _discover(
    matrix: NDArray[np.float64],
    rank: NDArray[np.int64],
    graph: Graph,
    limits: Limits,
    temporal: bool,  # noqa: FBT001 - compiled
) -> tuple[int, int, int, int]:
    """The loop over radii. Returns the last finished one, why it stopped, the tests and the ambiguous triples."""
    n = len(matrix)
    adjacent = _complete_graph(n)
    words = adjacent.shape[1]
    triples = np.zeros((2, n, n, words), np.uint64)
    evidence = Evidence(triples[0], triples[1], np.zeros((0, words), np.uint64))
    work = new_scratch(n, words)
    reset(graph, adjacent, rank, temporal)
    radius, tests, ambiguous = -1, 0, 0
    while True:
        cutoff, left, reason = _bounds(limits, radius + 1, tests)
        status = search_radius(Radius(graph, matrix, radius + 1, cutoff, left, limits.flags, work), adjacent, evidence)
        if status == OVER_BUDGET:
            return radius, reason, tests, ambiguous
        if status != FINISHED:
            return radius, CANCELLED if status == STOPPED else OUT_OF_TIME, tests, ambiguous
        if work.counts[0] == 0:
            return radius, COMPLETE, tests, ambiguous
        radius += 1
        tests += work.counts[0]
        reset(graph, adjacent, rank, temporal)
        ambiguous = orient_arrowheads(graph, evidence)


def _build_learn() -> Callable[..., Any]:
    version = SOURCES

    @entry_point
    def learn(
        correlation: NDArray[np.float64],
        limits: Limits,
        temporal: bool,  # noqa: FBT001 - compiled
        selection_bias: bool,  # noqa: FBT001 - compiled
    ) -> tuple[NDArray[np.int8], int, int, int, int, int, bool]:
        """ICD (Rohekar et al. 2021, algorithm 1): marks, radius, why it stopped, tests, ambiguous, contested, legal."""
        len(version)  # keeps the digest of the sources in the key of the disk cache
        n = len(correlation)
        rank = canonical_order(correlation)  # node k of the canonical matrix is node rank[k] of the given one
        matrix = correlation[rank][:, rank].copy()
        graph = new_graph(n, words_for(n))
        radius, stopped, tests, ambiguous = _discover(matrix, rank, graph, limits, temporal)
        legal = False
        if stopped == COMPLETE:
            orient_tails(graph, selection_bias)
            legal = is_legal(graph, rank, temporal, selection_bias)
        marks = np.zeros((n, n), np.int8)
        write_marks(graph, rank, marks)
        return marks, radius, stopped, tests, ambiguous, size_of(graph.contested), legal

    return learn


def _build_row_products() -> Callable[..., Any]:
    version = SOURCES

    @entry_point
    def row_products(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, n) inner products of rows that sum to 1, added as integers of 2^-60: in any order the same to the last bit."""
        len(version)
        n = len(weights)
        products = np.empty((n, n))
        for i in range(n):
            for j in range(i + 1):
                total = np.int64(0)
                for k in range(n):
                    total += np.int64(np.rint(weights[i, k] * weights[j, k] * _FIXED_POINT))
                products[i, j] = products[j, i] = total / _FIXED_POINT
        return products

    return row_products


learn = _build_learn()
row_products = _build_row_products()
