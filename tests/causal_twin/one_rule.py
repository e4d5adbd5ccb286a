"""One sweep of one compiled orientation rule on marks drawn by hand, and its plain twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from causal_twin import rules
from explainer.causal import arrowheads, tails
from explainer.causal.bits import add
from explainer.causal.graph import clear_wishes, grant, new_graph, put_head, put_tail, reset, size_of, write_marks
from explainer.causal.kernel import SOURCES
from explainer.compiling import allocating, entry_point

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_r0, _r1, _r2, _r3, _r4 = arrowheads._r0, arrowheads._r1, arrowheads._r2, arrowheads._r3, arrowheads._r4
_r5, _r6, _r7, _r8, _r9_r10 = tails._r5, tails._r6, tails._r7, tails._r8, tails._r9_r10
_Evidence, _Room = arrowheads.Evidence, tails.Room

RULES = {"R0": 0, "R1": 1, "R2": 2, "R3": 3, "R4": 4, "R5": 5, "R6": 6, "R7": 7, "R8": 8, "R9": 9, "R10": 9}
"""The compiled code looks for R9 and R10 in one pass."""

_TWINS = {
    "R0": [rules.r0],
    "R1": [rules.r1],
    "R2": [rules.r2],
    "R3": [rules.r3],
    "R4": [rules.r4],
    "R5": [rules.r5],
    "R6": [rules.r6],
    "R7": [rules.r7],
    "R8": [rules.r8],
    "R9": [rules.r9, rules.r10],
    "R10": [rules.r9, rules.r10],
}


def sweep_plain(rule: str, marks: NDArray[np.int8], verdict: NDArray[np.int8]) -> tuple[NDArray[np.int8], int]:
    """The marks after one sweep, and the contested ends."""
    graph = rules.Orientation(marks != 0, verdict)
    graph.marks = marks.copy()
    graph.sweep(_TWINS[rule])
    return graph.marks, int(graph.locked.sum())


def sweep_compiled(rule: str, marks: NDArray[np.int8], verdict: NDArray[np.int8]) -> tuple[NDArray[np.int8], int]:
    """The same from the compiled rule."""
    after, contested = _sweep(RULES[rule], np.ascontiguousarray(marks), verdict)
    return after, int(contested)


@allocating
def _filled(marks: NDArray[np.int8], verdict: NDArray[np.int8]) -> Any:  # noqa: C901 - three nested loops
    """The graph with the marks, and the evidence that the verdicts are."""
    n = len(marks)
    adjacent = np.zeros((n, 1), np.uint64)
    inside = np.zeros((n, n, 1), np.uint64)
    unsure = np.zeros((n, n, 1), np.uint64)
    graph = new_graph(n, 1)
    for i in range(n):
        for j in range(n):
            if marks[i, j] != 0:
                add(adjacent[i], j)
            for k in range(n):
                if verdict[i, j, k] == 2:
                    add(inside[i, j], k)
                elif verdict[i, j, k] == 1:
                    add(unsure[i, j], k)
    reset(graph, adjacent, np.arange(n), False)  # noqa: FBT003 - compiled
    for i in range(n):
        for j in range(n):
            if marks[i, j] == 2:
                put_head(graph, i, j)
            elif marks[i, j] == 3:
                put_tail(graph, i, j)
            for k in range(n):
                if i != k and marks[i, j] and marks[j, k] and not marks[i, k] and verdict[i, k, j] == 2:
                    add(graph.noncollider[i, j], k)
    return graph, _Evidence(inside, unsure, np.zeros((0, 1), np.uint64))


def _build() -> Callable[..., Any]:  # noqa: C901 - a switch
    version = SOURCES

    @entry_point
    def sweep(rule: int, marks: NDArray[np.int8], verdict: NDArray[np.int8]) -> Any:  # noqa: C901 - a switch
        len(version)
        n = len(marks)
        graph, evidence = _filled(marks, verdict)
        room = _Room(
            np.zeros((n, 1), np.uint64),
            np.zeros((n, 1), np.uint64),
            np.zeros((n, 1), np.uint64),
            np.zeros((n, 1), np.uint64),
            np.zeros((n * n, 2), np.int64),
        )
        clear_wishes(graph)
        if rule == 0:
            _r0(graph, evidence)
        elif rule == 1:
            _r1(graph)
        elif rule == 2:
            _r2(graph)
        elif rule == 3:
            _r3(graph)
        elif rule == 4:
            _r4(graph, evidence)
        elif rule == 5:
            _r5(graph, room)
        elif rule == 6:
            _r6(graph)
        elif rule == 7:
            _r7(graph)
        elif rule == 8:
            _r8(graph)
        else:
            _r9_r10(graph, room)
        if rule > 0:
            grant(graph)
        after = np.zeros((n, n), np.int8)
        write_marks(graph, np.arange(n), after)
        return after, size_of(graph.contested)

    compiled: Callable[..., Any] = sweep
    return compiled


_sweep = _build()
