"""The search against a brute-force twin, and its certificate, order and limits."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explainer.budget import Budget
from explainer.errors import CancelledError
from explainer.explanation import CertificateKind, Status
from explainer.model import NEAR_TIE, History
from explainer.search import MOST_ALTERNATIVES, Question, search
from explainer.settings import Intervention
from fakes import AdditiveModel, history


def name(position: int) -> str:
    return f"item {position}"


def model_of(gives: list[float], rival: float) -> AdditiveModel:
    """Items give to target t; rival r stands at a fixed score."""
    return AdditiveModel({name(i): {"t": gift} for i, gift in enumerate(gives)}, {"t": 0.0, "r": rival})


class Interacting(AdditiveModel):
    """Items 0 and 1 decide together and hide it: alone, each seems to help the rival."""

    def __init__(self, n: int) -> None:
        super().__init__({name(i): {"t": 1.0} for i in range(2, n)}, {"t": 4.0, "r": 5.5})

    def scores(self, history: History, removal: tuple[int, ...] = ()) -> dict[str, float]:
        scores = super().scores(history, removal)
        together = {0, 1} & set(removal)
        scores["t"] += -9.0 if len(together) == 2 else 2.0 * len(together)
        return scores


def asked(model: AdditiveModel, n: int, top_k: int = 1) -> Question:
    items = tuple(name(i) for i in range(n))
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
        assert found.certificate.kind is CertificateKind.MINIMUM
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
    model = AdditiveModel({name(0): {"t": 2.0}, name(1): {"t": 2.0}}, {"t": 0.0, "r": 3.0, "s": 1.0})

    assert search(asked(model, 3, top_k=1), [1, 1, 1], 2, Budget(100)).removed == (0,)
    assert search(asked(model, 3, top_k=2), [1, 1, 1], 2, Budget(100)).removed == (0, 1)


@pytest.mark.parametrize(("rows", "below", "effects"), [(6, 1, False), (7, 2, True), (10, 2, True)])
def test_a_budget_ends_the_search_and_the_certificate_says_where(rows: int, below: int, *, effects: bool) -> None:
    budget = Budget(rows)
    found = search(asked(model_of([1.0] * 6, 0.5), 6), [1] * 6, 4, budget)

    assert found.status is Status.BUDGET_EXHAUSTED
    assert found.certificate.exhaustive_below == below
    assert found.certificate.kind is None
    assert (found.outcomes is not None) is effects
    assert budget.rows <= rows


def test_a_budget_that_ends_later_leaves_an_answer_of_which_no_part_suffices() -> None:
    found = search(asked(model_of([1.0] * 12, 8.5), 12), [1] * 12, 5, Budget(100))

    assert found.status is Status.EXPLAINED
    assert len(found.removed) == 4
    assert found.certificate.kind is CertificateKind.IRREDUCIBLE
    assert found.certificate.exhaustive_below < 4


def test_the_more_budget_the_stronger_the_certificate() -> None:
    strength = [None, CertificateKind.BEST_FOUND, CertificateKind.IRREDUCIBLE, CertificateKind.MINIMUM]
    gives = [2.0 - 0.1 * position for position in range(12)]
    kinds = [
        search(asked(model_of(gives, sum(gives) - 8.5), 12), [1] * 12, 5, Budget(rows)).certificate.kind
        for rows in range(13, 1000, 9)
    ]

    assert [strength.index(kind) for kind in kinds] == sorted(strength.index(kind) for kind in kinds)
    assert set(kinds) == set(strength)


def test_a_set_found_by_probing_is_replaced_when_a_smaller_one_turns_up() -> None:
    interactions = Interacting(7)
    found = search(asked(interactions, 7), [1] * 7, 4, Budget(1000))

    assert found.removed == (0, 1)
    assert found.certificate.kind is CertificateKind.MINIMUM


def test_exhausting_the_size_finds_all_alternatives_and_what_they_share() -> None:
    gives = [3.0, 2.0, 2.0, 0.0, 0.0]
    found = search(asked(model_of(gives, 2.5), 5), [1] * 5, 3, Budget(1000), exhaust=True)

    assert found.removed == (0, 1)
    assert found.alternatives == ((0, 2),)
    assert found.common == (0,)
    assert found.certificate.exhausted


def test_only_so_many_alternatives_are_kept_and_all_are_counted() -> None:
    found = search(asked(model_of([3.0] * 30, 88.5), 30), [1] * 30, 1, Budget(1000))

    assert len(found.alternatives) == MOST_ALTERNATIVES
    assert found.certificate.alternatives == 29


def test_a_deadline_that_has_passed_ends_the_search() -> None:
    found = search(asked(model_of([1.0, 1.0], 0.5), 2), [1, 1], 1, Budget(100, deadline=0.0))

    assert found.status is Status.BUDGET_EXHAUSTED


def test_a_cancelled_search_stops() -> None:
    with pytest.raises(CancelledError):
        search(asked(model_of([1.0, 1.0], 0.5), 2), [1, 1], 1, Budget(100, cancelled=lambda: True))
