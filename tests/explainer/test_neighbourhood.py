"""The part of a graph that is shown: whose edges it has, in which order they are chosen, and that they stay as they are."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from explainer import EdgeSupport, Mark, Pag
from explainer.edges import edges_of
from explainer.neighbourhood import neighbourhood, strongest

EDGES = {(0, 1): 1.0, (0, 3): 0.2, (1, 2): 0.9, (2, 5): 0.5, (3, 5): 0.4, (4, 5): 0.8}
"""Of nodes 0 to 5, with their support; 5 is the target."""


def graph() -> tuple[Pag, EdgeSupport]:
    marks = np.zeros((6, 6), dtype=np.int8)
    share = np.zeros((len(Mark), 6, 6))
    share[Mark.NONE] = 1.0
    for (i, j), support in EDGES.items():
        marks[i, j], marks[j, i] = Mark.ARROWHEAD, Mark.CIRCLE
        share[Mark.NONE, i, j] = share[Mark.NONE, j, i] = 1.0 - support
    return Pag(marks, 1, complete=True), EdgeSupport(share, 12)


def kept(part: object) -> set[tuple[int, int]]:
    return {(part.nodes[i], part.nodes[j]) for i, j in zip(*np.nonzero(np.triu(part.pag.marks)), strict=True)}


def test_edges_of_the_target_and_of_the_causes_are_near() -> None:
    part = neighbourhood(*graph(), target=5, about=[3], most=9)

    assert kept(part) == {(0, 3), (2, 5), (3, 5), (4, 5)}
    assert part.nodes == (0, 2, 3, 4, 5)
    assert (part.edges, part.whole) == (4, 6)


def test_what_connects_causes_and_target_comes_first_then_support() -> None:
    firsts = [kept(neighbourhood(*graph(), target=5, about=[3], most=most)) for most in (1, 2, 3, 4)]

    assert firsts[0] == {(3, 5)}
    assert [new - old for old, new in pairwise(firsts)] == [{(4, 5)}, {(2, 5)}, {(0, 3)}]


def test_the_strongest_of_all_leave_every_node_in() -> None:
    part = strongest(*graph(), most=2)

    assert kept(part) == {(0, 1), (1, 2)}
    assert part.nodes == tuple(range(6))


def test_equal_support_prefers_newer_items() -> None:
    pag, support = graph()
    level = EdgeSupport(np.full_like(support.share, 0.5), 12)

    assert kept(strongest(pag, level, most=1)) == {(4, 5)}


def test_marks_and_support_stay() -> None:
    pag, support = graph()
    part = neighbourhood(pag, support, target=5, about=[3], most=9)
    whole = {edge.ends: edge for edge in edges_of(pag, support)}

    for edge in edges_of(part.pag, part.support):
        original = whole[part.nodes[edge.source], part.nodes[edge.target]]
        assert (edge.glyph, edge.support) == (original.glyph, original.support)


def test_causes_without_edges_stay() -> None:
    pag, support = graph()
    pag.marks[:, 3] = pag.marks[3, :] = Mark.NONE
    part = neighbourhood(pag, support, target=5, about=[3], most=1)

    assert part.nodes == (3, 4, 5)
