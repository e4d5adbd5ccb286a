"""The search against a brute-force twin, and its certificate, order and limits."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explainer.budget import Budget
from explainer.errors import CancelledError
from explainer.explanation import Intervention, Status
from explainer.model import NEAR_TIE
from explainer.search import MOST_SETS, Question, ordered, search
from fakes import AdditiveModel, history


def model_of(gives: list[float], rival: float) -> AdditiveModel:
    """Items a, b, ... give to target t; rival r stands at a fixed score."""
    return AdditiveModel({chr(97 + i): {"t": gift} for i, gift in enumerate(gives)}, {"t": 0.0, "r": rival})


def asked(model: AdditiveModel, n: int, top_k: int = 1) -> Question:
    items = tuple(chr(97 + i) for i in range(n))
    return Question(model, history(*items), "t", top_k, Intervention.MASK_OUT)


def smallest(question: Question, max_size: int) -> int | None:
    """Size of the smallest set that explains, by trying them all."""
    n = len(question.history.items)
    for size in range(1, min(max_size, n - 1) + 1):
        if any(question.ask([removal]).margin[0] < -NEAR_TIE for removal in combinations(range(n), size)):
            return size
    return None


@given(
    gives=st.lists(st.integers(-3, 6).map(float), min_size=1, max_size=7),
    slack=st.integers(1, 12),
    distances=st.lists(st.integers(-1, 3), min_size=7, max_size=7),
)
def test_finds_the_size_that_brute_force_finds(gives: list[float], slack: int, distances: list[int]) -> None:
    question = asked(model_of(gives, sum(gives) - slack + 0.5), len(gives))

    found = search(question, distances[: len(gives)], 3, Budget(10_000))

    expected = smallest(question, 3)
    if expected is None:
        assert found.status is Status.NO_COUNTERFACTUAL
        assert found.removed == ()
        assert found.certificate.exhaustive_below == found.certificate.max_size + 1
    else:
        assert found.status is Status.EXPLAINED
        assert len(found.removed) == expected == found.certificate.exhaustive_below
        assert question.ask([found.removed]).margin[0] < -NEAR_TIE
        assert all(comb(len(gives), size) for size in range(1, expected))


def test_smaller_sets_were_all_tried_on_the_model() -> None:
    model = model_of([1.0] * 6, 3.5)
    found = search(asked(model, 6), [1] * 6, 4, Budget(1000))

    assert len(found.removed) == 3
    for size in (1, 2):
        assert set(combinations(range(6), size)) <= set(model.rows)


def test_one_item_is_never_explained_by_removing_everything() -> None:
    found = search(asked(model_of([5.0], 1.0), 1), [1], 3, Budget(100))

    assert found.status is Status.NO_COUNTERFACTUAL
    assert found.certificate.max_size == 0


def test_a_near_tie_is_no_change() -> None:
    level = search(asked(model_of([1.0, 0.0], NEAR_TIE / 2), 2), [1, 1], 1, Budget(100))
    above = search(asked(model_of([1.0, 0.0], 2 * NEAR_TIE), 2), [1, 1], 1, Budget(100))

    assert level.status is Status.NO_COUNTERFACTUAL
    assert above.removed == (0,)


def test_between_sets_of_one_size_the_nearest_in_the_graph_wins_then_the_largest_effect() -> None:
    question = asked(model_of([3.0, 4.0, 5.0], 9.5), 3)

    assert search(question, [1, 2, -1], 1, Budget(100)).removed == (0,)
    assert search(question, [2, 2, 2], 1, Budget(100)).removed == (2,)
    assert search(question, [2, 2, 2], 1, Budget(100)).certificate.alternatives == 2


def test_leaving_the_top_k_takes_more_than_losing_the_first_place() -> None:
    model = AdditiveModel({"a": {"t": 2.0}, "b": {"t": 2.0}}, {"t": 0.0, "r": 3.0, "s": 1.0})

    assert search(asked(model, 3, top_k=1), [1, 1, 1], 2, Budget(100)).removed == (0,)
    assert search(asked(model, 3, top_k=2), [1, 1, 1], 2, Budget(100)).removed == (0, 1)


@pytest.mark.parametrize(("rows", "below", "effects"), [(5, 1, False), (6, 2, True), (10, 2, True), (21, 3, True)])
def test_a_budget_ends_the_search_and_the_certificate_says_where(rows: int, below: int, *, effects: bool) -> None:
    budget = Budget(rows)
    found = search(asked(model_of([1.0] * 6, 2.5), 6), [1] * 6, 5, budget)

    assert found.status is Status.BUDGET_EXHAUSTED
    assert found.certificate.exhaustive_below == below
    assert (found.singles is not None) is effects
    assert budget.rows <= rows


def test_a_deadline_that_has_passed_ends_the_search() -> None:
    found = search(asked(model_of([1.0, 1.0], 0.5), 2), [1, 1], 1, Budget(100, deadline=0.0))

    assert found.status is Status.BUDGET_EXHAUSTED


def test_a_cancelled_search_stops() -> None:
    with pytest.raises(CancelledError):
        search(asked(model_of([1.0, 1.0], 0.5), 2), [1, 1], 1, Budget(100, cancelled=lambda: True))


def test_sets_inside_the_graph_come_first_then_the_lowest_predicted_margin() -> None:
    sets = ordered(2, np.array([0.0, -3.0, -1.0, -9.0]), np.array([1, 1, 2, 9]))

    assert sets.tolist() == [[1, 2], [0, 1], [0, 2], [1, 3], [2, 3], [0, 3]]


def test_more_sets_than_can_be_listed_keep_the_most_promising() -> None:
    margins = -np.arange(300.0)
    sets = ordered(3, margins, np.ones(300, dtype=np.int64))

    assert len(sets) <= MOST_SETS
    assert sets[0].tolist() == [297, 298, 299]
