"""Every orientation rule: where it fires, where it must not, and that the compiled rule is the written-out one.

Graphs are drawn as in Zhang 2008: ``0 o-> 1`` has a circle at 0 and an arrowhead at 1, ``--`` ends are tails.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_twin.one_rule import RULES, sweep_compiled, sweep_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Sweep = Callable[[str, NDArray[np.int8], NDArray[np.int8]], tuple[NDArray[np.int8], int]]

LEFT = {"o": 1, "<": 2, "-": 3}
RIGHT = {"o": 1, ">": 2, "-": 3}
NONCOLLIDER, AMBIGUOUS, COLLIDER = 2, 1, 0


def drawn(picture: str) -> NDArray[np.int8]:
    """The marks of a picture."""
    n = 1 + max(int(letter) for letter in picture if letter.isdigit())
    marks = np.zeros((n, n), dtype=np.int8)
    for edge in picture.split(","):
        a, ends, b = edge.split()
        marks[int(b), int(a)], marks[int(a), int(b)] = LEFT[ends[0]], RIGHT[ends[2]]
    return marks


# rule, before, what the separating sets say of every triple, after
CASES = [
    ("R0", "0 o-o 1, 1 o-o 2", COLLIDER, "0 o-> 1, 1 <-o 2"),
    ("R0", "0 o-o 1, 1 o-o 2", NONCOLLIDER, ""),
    ("R0", "0 o-o 1, 1 o-o 2", AMBIGUOUS, ""),
    ("R0", "0 o-o 1, 1 o-o 2, 0 o-o 2", COLLIDER, ""),
    ("R1", "0 o-> 1, 1 o-o 2", NONCOLLIDER, "0 o-> 1, 1 --> 2"),
    ("R1", "0 o-> 1, 1 o-> 2", NONCOLLIDER, "0 o-> 1, 1 --> 2"),
    ("R1", "0 o-> 1, 1 o-o 2", AMBIGUOUS, ""),
    ("R1", "0 --o 1, 1 o-o 2", NONCOLLIDER, ""),
    ("R1", "0 o-> 1, 1 o-o 2, 0 o-o 2", NONCOLLIDER, ""),
    ("R2", "0 --> 1, 1 o-> 2, 0 o-o 2", NONCOLLIDER, "0 --> 1, 1 o-> 2, 0 o-> 2"),
    ("R2", "0 <-> 1, 1 --> 2, 0 o-o 2", NONCOLLIDER, "0 <-> 1, 1 --> 2, 0 o-> 2"),
    ("R2", "0 o-> 1, 1 o-> 2, 0 o-o 2", NONCOLLIDER, ""),
    ("R2", "0 --o 1, 1 --> 2, 0 o-o 2", NONCOLLIDER, ""),
    (
        "R3",
        "0 o-> 1, 2 o-> 1, 0 o-o 3, 2 o-o 3, 3 o-o 1",
        NONCOLLIDER,
        "0 o-> 1, 2 o-> 1, 0 o-o 3, 2 o-o 3, 3 o-> 1",
    ),
    ("R3", "0 o-> 1, 2 o-> 1, 0 o-o 3, 2 o-o 3, 3 o-o 1", AMBIGUOUS, ""),
    ("R3", "0 o-> 1, 2 o-> 1, 0 o-o 3, 2 o-o 3, 3 o-o 1, 0 o-o 2", NONCOLLIDER, ""),
    ("R3", "0 o-> 1, 2 o-o 1, 0 o-o 3, 2 o-o 3, 3 o-o 1", NONCOLLIDER, ""),
    ("R4", "0 o-> 1, 1 <-o 2, 1 --> 3, 2 o-o 3", NONCOLLIDER, "0 o-> 1, 1 <-o 2, 1 --> 3, 2 --> 3"),
    ("R4", "0 o-> 1, 1 <-o 2, 1 --> 3, 2 o-o 3", COLLIDER, "0 o-> 1, 1 <-> 2, 1 --> 3, 2 <-> 3"),
    ("R4", "0 o-> 1, 1 <-o 2, 1 --> 3, 2 o-o 3", AMBIGUOUS, ""),
    (
        "R4",
        "0 o-> 4, 4 <-> 1, 4 --> 3, 1 <-o 2, 1 --> 3, 2 o-> 3",
        COLLIDER,
        "0 o-> 4, 4 <-> 1, 4 --> 3, 1 <-> 2, 1 --> 3, 2 <-> 3",
    ),
    ("R4", "0 o-> 4, 4 <-> 1, 4 o-> 3, 1 <-o 2, 1 --> 3, 2 o-> 3", COLLIDER, ""),
    ("R4", "0 o-> 1, 1 <-o 2, 1 o-> 3, 2 o-o 3", COLLIDER, ""),
    ("R4", "0 o-> 1, 1 <-o 2, 1 --> 3, 2 o-o 3, 0 o-> 3", COLLIDER, ""),
    ("R5", "0 o-o 1, 1 o-o 2, 2 o-o 3, 3 o-o 0", NONCOLLIDER, "0 --- 1, 1 --- 2, 2 --- 3, 3 --- 0"),
    ("R5", "0 o-o 1, 1 o-o 2, 2 o-o 3, 3 o-o 0, 0 o-o 2", NONCOLLIDER, ""),
    ("R5", "0 o-o 1, 1 o-o 2, 2 o-o 3, 3 o-> 0", NONCOLLIDER, ""),
    ("R6", "0 --- 1, 1 o-o 2", NONCOLLIDER, "0 --- 1, 1 --o 2"),
    ("R6", "0 --o 1, 1 o-o 2", NONCOLLIDER, ""),
    ("R7", "0 --o 1, 1 o-> 2", NONCOLLIDER, "0 --o 1, 1 --> 2"),
    ("R7", "0 --o 1, 1 o-> 2, 0 o-o 2", NONCOLLIDER, ""),
    ("R7", "0 o-o 1, 1 o-> 2", NONCOLLIDER, ""),
    ("R8", "0 --> 1, 1 --> 2, 0 o-> 2", NONCOLLIDER, "0 --> 1, 1 --> 2, 0 --> 2"),
    ("R8", "0 --o 1, 1 --> 2, 0 o-> 2", NONCOLLIDER, "0 --o 1, 1 --> 2, 0 --> 2"),
    ("R8", "0 o-> 1, 1 --> 2, 0 o-> 2", NONCOLLIDER, ""),
    ("R8", "0 --> 1, 1 o-> 2, 0 o-> 2", NONCOLLIDER, ""),
    ("R8", "0 --> 1, 1 --> 2, 0 o-o 2", NONCOLLIDER, ""),
    (
        "R9",
        "0 o-> 3, 0 o-o 1, 1 o-o 2, 2 --> 3",
        NONCOLLIDER,
        "0 --> 3, 0 o-o 1, 1 o-o 2, 2 --> 3",
    ),
    ("R9", "0 o-> 3, 0 o-o 1, 1 <-o 2, 2 --> 3", NONCOLLIDER, ""),
    ("R9", "0 o-> 3, 0 o-o 1, 1 o-o 2, 2 --> 3, 0 o-o 2", NONCOLLIDER, ""),
    ("R9", "0 o-> 3, 0 o-o 1, 1 o-o 2, 2 --> 3, 1 o-> 3", NONCOLLIDER, ""),
    (
        "R10",
        "0 o-> 3, 1 --> 3, 2 --> 3, 0 o-o 1, 0 o-o 2",
        NONCOLLIDER,
        "0 --> 3, 1 --> 3, 2 --> 3, 0 o-o 1, 0 o-o 2",
    ),
    (
        "R10",
        "0 o-> 3, 1 --> 3, 2 --> 3, 0 o-o 4, 4 o-> 1, 0 o-o 2",
        NONCOLLIDER,
        "0 --> 3, 1 --> 3, 2 --> 3, 0 o-o 4, 4 o-> 1, 0 o-o 2",
    ),
    ("R10", "0 o-> 3, 1 --> 3, 2 --> 3, 0 o-o 1, 0 o-o 2, 1 o-o 2", NONCOLLIDER, ""),
    ("R10", "0 o-> 3, 1 --> 3, 2 --> 3, 0 <-o 1, 0 o-o 2", NONCOLLIDER, ""),
    ("R10", "0 o-> 3, 1 o-> 3, 2 --> 3, 0 o-o 1, 0 o-o 2", NONCOLLIDER, ""),
]


@pytest.mark.parametrize("sweep", [sweep_plain, sweep_compiled])
@pytest.mark.parametrize(("rule", "before", "says", "after"), CASES)
def test_a_rule_fires_where_it_should_and_nowhere_else(
    rule: str, before: str, says: int, after: str, sweep: Sweep
) -> None:
    marks = drawn(before)
    verdict = np.full((len(marks),) * 3, says, dtype=np.int8)

    found, contested = sweep(rule, marks, verdict)

    assert found.tolist() == drawn(after or before).tolist()
    assert contested == 0


@pytest.mark.parametrize("sweep", [sweep_plain, sweep_compiled])
def test_discriminating_paths_that_disagree_contest_the_mark(sweep: Sweep) -> None:
    marks = drawn("0 o-> 1, 4 o-> 1, 1 <-o 2, 1 --> 3, 2 o-o 3")
    verdict = np.zeros((5, 5, 5), dtype=np.int8)
    verdict[0, 3, 2] = verdict[3, 0, 2] = NONCOLLIDER

    found, contested = sweep("R4", marks, verdict)

    assert found.tolist() == marks.tolist()
    assert contested == 1


@pytest.mark.parametrize("sweep", [sweep_plain, sweep_compiled])
def test_rules_that_disagree_on_an_end_leave_its_circle(sweep: Sweep) -> None:
    marks = drawn("0 o-> 1, 1 o-o 2, 2 <-o 3")
    verdict = np.full((4, 4, 4), NONCOLLIDER, dtype=np.int8)

    found, contested = sweep("R1", marks, verdict)

    assert found.tolist() == marks.tolist()
    assert contested == 2


@st.composite
def mixed_graphs(draw: st.DrawFn) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    n = draw(st.integers(3, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    circles = draw(st.sampled_from([0.3, 0.6, 0.9]))
    shares = [circles, (1 - circles) / 2, (1 - circles) / 2]
    marks = rng.choice([1, 2, 3], size=(n, n), p=shares).astype(np.int8)
    skeleton = np.triu(rng.random((n, n)) < draw(st.sampled_from([0.4, 0.7])), 1)
    marks[~(skeleton | skeleton.T)] = 0
    verdict = rng.choice([0, 1, 2], size=(n, n, n), p=[0.2, 0.1, 0.7]).astype(np.int8)
    for i, j in permutations(range(n), 2):
        verdict[j, i] = verdict[i, j]
    return marks, verdict


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "R10"])
@settings(max_examples=150, deadline=None)
@given(graph=mixed_graphs())
def test_the_compiled_rule_is_the_plain_rule(rule: str, graph: tuple[NDArray[np.int8], NDArray[np.int8]]) -> None:
    marks, verdict = graph
    if rule == "R0":  # it comes first: only circles, or what time says
        marks = np.where(marks == 2, 2, np.minimum(marks, 1)).astype(np.int8)

    plain, compiled = sweep_plain(rule, marks, verdict), sweep_compiled(rule, marks, verdict)

    assert compiled[0].tolist() == plain[0].tolist()
    assert compiled[1] == plain[1]
