"""Distances from a node over possible-d-sep walks, and which sets hang together."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest

from causal_twin import icd, rules
from causal_twin.attention import random_attention
from explainer import Mark, Pag, attention_correlation, learn_pag, possible_influence_tree
from explainer.errors import InvalidParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CIRCLE, HEAD = Mark.CIRCLE, Mark.ARROWHEAD


def pag(n: int, *edges: tuple[int, int, int, int]) -> Pag:
    marks = np.zeros((n, n), dtype=np.int8)
    for source, target, at_source, at_target in edges:
        marks[target, source], marks[source, target] = at_source, at_target
    return Pag(marks, 0, complete=True)


def test_a_walk_goes_on_only_over_colliders_and_triangles() -> None:
    chain = [(0, 1, CIRCLE, HEAD), (1, 2, HEAD, CIRCLE), (2, 3, CIRCLE, CIRCLE)]

    open_chain = possible_influence_tree(pag(5, *chain), 0)
    with_triangle = possible_influence_tree(pag(5, *chain, (1, 3, CIRCLE, CIRCLE)), 0)

    assert open_chain.distance.tolist() == [0, 1, 2, -1, -1]
    assert with_triangle.distance.tolist() == [0, 1, 2, 3, -1]


def test_a_set_hangs_together_when_each_member_is_reached_through_members() -> None:
    tree = possible_influence_tree(pag(4, (0, 1, CIRCLE, HEAD), (1, 2, HEAD, HEAD), (2, 3, HEAD, CIRCLE)), 0)

    assert tree.distance.tolist() == [0, 1, 2, 3]
    assert tree.is_connected([])
    assert tree.is_connected([1, 2])
    assert not tree.is_connected([2])
    assert not tree.is_connected([1, 3])
    assert list(tree.connected_sets(1)) == [(1,)]
    assert list(tree.connected_sets(2)) == [(1, 2)]
    assert list(tree.connected_sets(3)) == [(1, 2, 3)]


def test_sets_come_by_summed_distance() -> None:
    tree = possible_influence_tree(pag(4, (0, 3, HEAD, HEAD), (1, 3, CIRCLE, HEAD), (2, 3, CIRCLE, HEAD)), 1)

    assert tree.distance.tolist() == [2, 0, 2, 1]
    assert list(tree.connected_sets(2)) == [(0, 3), (2, 3)]


def test_it_is_what_the_plain_twin_finds() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        n = int(rng.integers(3, 70))
        marks = learn_pag(attention_correlation(random_attention(rng, n)), max_radius=1).marks
        twin = rules.Orientation(marks != 0, np.zeros((n, n, n), dtype=np.int8))
        twin.marks = marks
        root = rng.integers(n)
        some = frozenset(rng.choice(n, size=2, replace=False).tolist()) - {int(root)}

        tree = possible_influence_tree(Pag(marks, 1, complete=False), root)

        assert set(np.flatnonzero(tree.distance > 0).tolist()) == icd.pds_reached(twin, int(root), frozenset(range(n)))
        assert tree.is_connected(some) == (some <= icd.pds_reached(twin, int(root), some))


def test_numbering_plays_no_part() -> None:
    rng = np.random.default_rng(4)
    for n in (5, 12, 20):
        marks = learn_pag(attention_correlation(random_attention(rng, n))).marks
        order = rng.permutation(n)
        tree = possible_influence_tree(Pag(marks, 0, complete=True), 2)
        other = possible_influence_tree(Pag(marks[np.ix_(order, order)], 0, complete=True), int(np.argmax(order == 2)))
        assert other.distance.tolist() == tree.distance[order].tolist()
        assert _sets(other.connected_sets(2), order) == _sets(tree.connected_sets(2), np.arange(n))


def _sets(sets: object, names: NDArray[np.int64]) -> set[frozenset[int]]:
    return {frozenset(names[list(chosen)].tolist()) for chosen in sets}  # type: ignore[attr-defined]


def test_connected_sets_are_those_that_are_connected() -> None:
    graph = learn_pag(attention_correlation(random_attention(np.random.default_rng(0), 12)))
    tree = possible_influence_tree(graph, 11)

    expected = {chosen for chosen in combinations(range(11), 3) if tree.is_connected(chosen)}

    assert set(tree.connected_sets(3)) == expected


@pytest.mark.parametrize("root", [-1, 3])
def test_the_root_is_a_node(root: int) -> None:
    with pytest.raises(InvalidParameterError, match="root"):
        possible_influence_tree(pag(3), root)
