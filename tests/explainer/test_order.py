"""The order of the search: a permutation of all sets, prediction and recency in turns."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from explainer.order import MOST_SETS, Tried, promising


@given(singles=st.lists(st.floats(-5, 5), min_size=2, max_size=8), size=st.integers(2, 4))
def test_every_set_comes_once(singles: list[float], size: int) -> None:
    sets = promising(Tried(1.0, np.array(singles)), size)

    assert sorted(map(tuple, sets.tolist())) == list(combinations(range(len(singles)), size))


def test_the_lowest_predicted_margin_and_the_newest_items_take_turns() -> None:
    sets = promising(Tried(1.0, np.array([-5.0, -4.0, 1.0, 1.0, 1.0])), 2)

    assert sets[:4].tolist() == [[0, 1], [3, 4], [0, 2], [2, 4]]


@given(
    singles=st.lists(st.floats(-5, 5), min_size=4, max_size=6),
    pairs=st.lists(st.floats(-5, 5), min_size=15, max_size=15),
)
def test_the_prediction_is_the_second_order_expansion(singles: list[float], pairs: list[float]) -> None:
    tried = Tried(1.0, np.array(singles))
    known = list(combinations(range(len(singles)), 2))
    tried.add(known, np.array(pairs[: len(known)]))

    change = {one: singles[one] - 1.0 for one in range(len(singles))}
    pair = dict(zip(known, (value - 1.0 for value in pairs), strict=False))
    expected = 1.0 + pair[0, 1] + pair[0, 3] + pair[1, 3] - (change[0] + change[1] + change[3])

    assert np.isclose(tried.predicted(np.array([[0, 1, 3]]))[0], expected)


def test_pairs_that_were_not_tried_count_as_the_sum_of_their_members() -> None:
    tried = Tried(1.0, np.array([0.5, 0.25, 1.0]))

    assert tried.predicted(np.array([[0, 1], [0, 2]])).tolist() == [-0.25, 0.5]
    assert tried.predicted(np.array([[0, 1, 2]])).tolist() == [-0.25]


def test_more_sets_than_can_be_listed_leaves_the_likeliest_positions() -> None:
    tried = Tried(0.0, np.linspace(1.0, -1.0, 300))
    sets = promising(tried, 3)

    assert len(sets) <= MOST_SETS < comb(300, 3)
    assert sets[0].tolist() == [297, 298, 299]
    assert {0, 299} <= set(tried.pool(2).tolist())


def test_what_was_tried_is_counted_by_size() -> None:
    tried = Tried(0.0, np.zeros(4))
    tried.add([(0, 1), (0, 1, 2)], np.zeros(2))

    assert (tried.count(1), tried.count(2), tried.count(3), len(tried)) == (4, 1, 1, 6)
    assert (0, 1) in tried
    assert (0, 2) not in tried
