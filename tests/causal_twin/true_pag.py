"""The PAG of a model by definition: the marks that all Markov equivalent maximal ancestral graphs share."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from causal_twin.oracle import Model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NONE, CIRCLE, HEAD, TAIL = 0, 1, 2, 3


def mag_of(model: Model) -> NDArray[np.int8]:
    """The maximal ancestral graph over the observed nodes."""
    n = model.observed
    ancestors = model.ancestors
    marks = np.zeros((n, n), dtype=np.int8)
    for x, y in combinations(range(n), 2):
        # If any set separates x and y, then their observed ancestors do.
        between = frozenset(z for z in range(n) if z not in (x, y) and (ancestors[z, x] or ancestors[z, y]))
        if not model.separated(x, y, between):
            marks[x, y] = TAIL if ancestors[y, x] else HEAD
            marks[y, x] = TAIL if ancestors[x, y] else HEAD
    return marks


def pag_by_enumeration(mag: NDArray[np.int8], *, ordered: bool = False) -> NDArray[np.int8]:
    """Common marks of the whole class; with ``ordered``, of those members in which no later node causes an earlier one."""
    relations = _separations(mag)
    members = [other for other in _candidates(mag, ordered=ordered) if _separations(other) == relations]
    assert members
    stack = np.stack(members)
    return np.where((stack == stack[0]).all(axis=0), stack[0], CIRCLE).astype(np.int8)


def _candidates(mag: NDArray[np.int8], *, ordered: bool) -> Iterator[NDArray[np.int8]]:
    """Ancestral graphs with the same skeleton and unshielded colliders, without selection."""
    edges = [(int(i), int(j)) for i, j in np.argwhere(np.triu(mag))]
    colliders = _unshielded_colliders(mag)
    for ends in product([(HEAD, TAIL), (TAIL, HEAD), (HEAD, HEAD)], repeat=len(edges)):
        marks = np.zeros_like(mag)
        for (i, j), (at_j, at_i) in zip(edges, ends, strict=True):
            marks[i, j], marks[j, i] = at_j, at_i
        backward = ordered and bool((np.tril(marks.T) == HEAD).sum() != len(edges))
        if not backward and _unshielded_colliders(marks) == colliders and _is_ancestral(marks):
            yield marks


def _unshielded_colliders(marks: NDArray[np.int8]) -> set[tuple[int, int, int]]:
    return {
        (a, b, c)
        for b in range(len(marks))
        for a, c in combinations([int(i) for i in np.flatnonzero(marks[:, b] == HEAD)], 2)
        if not marks[a, c]
    }


def _is_ancestral(marks: NDArray[np.int8]) -> bool:
    ancestors = _as_model(marks).ancestors[: len(marks), : len(marks)]
    proper = ancestors & ~np.eye(len(marks), dtype=np.bool_)
    return not (proper & proper.T).any() and not (proper & (marks.T == HEAD)).any()


def _as_model(marks: NDArray[np.int8]) -> Model:
    """The DAG in which each i <-> j is a latent common cause."""
    n = len(marks)
    double = [(int(i), int(j)) for i, j in np.argwhere(np.triu((marks == HEAD) & (marks.T == HEAD)))]
    parents = np.zeros((n + len(double), n + len(double)), dtype=np.bool_)
    parents[:n, :n] = (marks == HEAD) & (marks.T == TAIL)
    for at, pair in enumerate(double):
        parents[n + at, list(pair)] = True
    return Model(parents, n, np.eye(n))


def _separations(marks: NDArray[np.int8]) -> set[tuple[int, int, frozenset[int]]]:
    """Every independence of the graph."""
    n = len(marks)
    model = _as_model(marks)
    return {
        (x, y, frozenset(given))
        for x, y in combinations(range(n), 2)
        for size in range(n - 1)
        for given in combinations([z for z in range(n) if z not in (x, y)], size)
        if model.separated(x, y, frozenset(given))
    }
