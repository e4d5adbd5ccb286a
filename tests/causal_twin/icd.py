"""Iterative causal discovery written for reading, over Python sets: the slow twin of the compiled search."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from causal_twin.rules import CIRCLE, HEAD, IN, OUT, TAIL, UNSURE, Orientation
from explainer.causal.independence import SINGULAR, cutoffs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Independent: TypeAlias = "Callable[[int, int, frozenset[int]], bool | None]"


@dataclass
class PlainResult:
    """What the search found, and why it ended."""

    graph: Orientation
    radius: int
    stopped: str
    tests: int
    separating: dict[tuple[int, int], list[frozenset[int]]] = field(default_factory=dict)


def learn_from(
    corr: NDArray[np.float64],
    n_samples: float = 64,
    alpha: float = 0.01,
    *,
    max_radius: int | None = None,
    temporal: bool = False,
    selection_bias: bool = False,
    max_tests: int | None = None,
) -> PlainResult:
    """What ``explainer.learn_pag`` should find."""
    return learn(
        len(corr),
        fisher(corr, n_samples, alpha),
        max_size=len(cutoffs(n_samples, alpha, len(corr))) - 1,
        max_radius=max_radius,
        temporal=temporal,
        selection_bias=selection_bias,
        max_tests=max_tests,
    )


def fisher(corr: NDArray[np.float64], n_samples: float, alpha: float) -> Independent:
    """Fisher's z test on a correlation matrix."""
    limit = cutoffs(n_samples, alpha, len(corr))

    def independent(x: int, y: int, given: frozenset[int]) -> bool | None:
        nodes = [*sorted(given), x, y]
        block = corr[np.ix_(nodes, nodes)].copy()
        for step in range(len(given)):
            if block[step, step] < SINGULAR:
                return None
            block -= np.outer(block[:, step], block[step]) / block[step, step]
        if min(block[-2, -2], block[-1, -1]) < SINGULAR:
            return None
        rho = block[-1, -2] / np.sqrt(block[-1, -1] * block[-2, -2])
        return len(given) < len(limit) and bool(abs(rho) < limit[len(given)])

    return independent


def learn(
    n: int,
    independent: Independent,
    *,
    max_size: int,
    max_radius: int | None = None,
    temporal: bool = False,
    selection_bias: bool = False,
    max_tests: int | None = None,
) -> PlainResult:
    """The PAG from an independence test; ``max_size`` is the largest conditioning set that the test can take."""
    adjacent = ~np.eye(n, dtype=np.bool_)
    verdict = np.zeros((n, n, n), dtype=np.int8)
    result = PlainResult(Orientation(adjacent, verdict, temporal=temporal), -1, "COMPLETE", 0)
    while True:
        size = result.radius + 1
        decided = {
            (x, y): {given: independent(x, y, given) for given in conditioning_sets(result.graph, x, y, size)}
            for x, y in combinations(range(n), 2)
            if result.graph.marks[x, y]
        }
        wanted = sum(answer is not None for answers in decided.values() for answer in answers.values())
        if not wanted:
            break
        if max_radius is not None and size > max_radius:
            result.stopped = "MAX_RADIUS"
            return result
        if size > max_size:
            result.stopped = "SAMPLE_SIZE"
            return result
        if max_tests is not None and result.tests + wanted > max_tests:
            result.stopped = "TEST_BUDGET"
            return result
        result.tests += wanted
        result.radius = size
        for (x, y), answers in decided.items():
            separating = [given for given, answer in answers.items() if answer]
            if separating:
                adjacent[x, y] = adjacent[y, x] = False
                verdict[x, y] = verdict[y, x] = _votes(n, separating)
                result.separating[x, y] = separating
        result.graph = Orientation(adjacent, verdict, temporal=temporal)
        result.graph.arrowheads()
    result.graph.tails(selection_bias=selection_bias)
    return result


def _votes(n: int, separating: list[frozenset[int]]) -> list[int]:
    """For every node whether more than half, half, or fewer of the separating sets contain it."""
    counts = [2 * sum(z in given for given in separating) for z in range(n)]
    return [OUT if c < len(separating) else UNSURE if c == len(separating) else IN for c in counts]


def conditioning_sets(g: Orientation, x: int, y: int, size: int) -> set[frozenset[int]]:
    """ICD-Sep: sets of this size within the possible ancestors, connected to x or to y by possible-d-sep paths."""
    allowed = (_possible_ancestors(g, x) | _possible_ancestors(g, y)) - {x, y}
    sets: set[frozenset[int]] = set()
    for root in (x, y):
        grown = {frozenset[int]()}
        for _ in range(size):
            grown = {
                given | {node} for given in grown for node in pds_reached(g, root, given) & allowed if node not in given
            }
        sets |= grown
    return sets


def conditioning_sets_by_filter(g: Orientation, x: int, y: int, size: int) -> set[frozenset[int]]:
    """The same by the definition: all combinations, kept if every member is reached from x or every one from y."""
    allowed = sorted((_possible_ancestors(g, x) | _possible_ancestors(g, y)) - {x, y})
    return {
        given
        for given in map(frozenset, combinations(allowed, size))
        if given <= pds_reached(g, x, given) or given <= pds_reached(g, y, given)
    }


def pds_reached(g: Orientation, root: int, inner: frozenset[int]) -> set[int]:
    """Nodes at the end of a walk from the root whose inner nodes are in ``inner`` and colliders or in triangles."""
    reached = {(root, node) for node in g.neighbours(root)}
    todo = [edge for edge in reached if edge[1] in inner]
    while todo:
        a, b = todo.pop()
        for c in g.neighbours(b):
            passes = bool(g.marks[a, c]) or (g.marks[a, b] == HEAD == g.marks[c, b])
            if c not in (a, root) and (b, c) not in reached and passes:
                reached.add((b, c))
                if c in inner:
                    todo.append((b, c))
    return {node for _, node in reached} - {root}


def _possible_ancestors(g: Orientation, node: int) -> set[int]:
    """Nodes with a possibly directed path to this one, itself included."""
    found, todo = {node}, [node]
    while todo:
        b = todo.pop()
        for a in g.neighbours(b):
            if a not in found and g.marks[b, a] in (CIRCLE, TAIL) and g.marks[a, b] in (CIRCLE, HEAD):
                found.add(a)
                todo.append(a)
    return found
