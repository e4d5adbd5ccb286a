"""The whole method on a model small enough to see through."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from explainer.budget import Budget
from explainer.errors import (
    CancelledError,
    EmptyHistoryError,
    InvalidParameterError,
    TargetInHistoryError,
    TargetOutsideTopKError,
)
from explainer.explain import explain
from explainer.explanation import Explanation, Status
from explainer.language import Languages
from explainer.model import History
from explainer.reason import Wording
from explainer.settings import Settings
from fakes import AdditiveModel, history

TITLES = {"a": "Alien", "b": "Brazil", "t": "Them!", "r": "Ran", "q": "Quiz Show"}
WORDING = Wording(lambda item: TITLES.get(item, ""), Languages())


def example(**changes: object) -> AdditiveModel:
    """T leads r by what a gives; q comes third."""
    model = AdditiveModel({"a": {"t": 2.0}, "b": {"t": 0.5}}, {"t": 0.0, "r": 1.5, "q": 1.0, "a": 9.0, "c": 9.0})
    return replace(model, **changes)


def explained(target: str | None = None, **settings: object) -> Explanation:
    return explain(example(), history("a", "b", "c"), target, settings=Settings(**settings), wording=WORDING)


def test_the_top_recommendation_is_explained_by_the_item_that_carries_it() -> None:
    explanation = explained()

    assert explanation.status is Status.EXPLAINED
    assert (explanation.target.item, explanation.target.rank, explanation.target.score) == ("t", 1, 2.5)
    assert [cause.item for cause in explanation.causes] == ["a"]
    assert explanation.reason == "Because you watched Alien"
    assert explanation.settings.top_k == 1
    assert explanation.settings.n_samples == 64
    assert explanation.certificate.exhaustive_below == 1
    assert explanation.certificate.sets_tried == 3


def test_effects_of_every_single_removal_are_kept() -> None:
    effects = explained().effects

    assert [effect.score for effect in effects] == pytest.approx([-2.0, -0.5, 0.0])
    assert [effect.rank for effect in effects] == [3, 1, 1]
    assert effects[0].probability < effects[1].probability < effects[2].probability == 0


def test_the_counterfactual_names_what_takes_the_place() -> None:
    counterfactual = explained().counterfactual

    assert counterfactual is not None
    assert counterfactual.removed == (0,)
    assert (counterfactual.replacement.item, counterfactual.replacement.title) == ("r", "Ran")
    assert (counterfactual.replacement.rank, counterfactual.replacement.score) == (2, 1.5)
    assert (counterfactual.target_rank, counterfactual.target_score) == (3, 0.5)


def test_an_item_is_explained_in_its_own_place_or_in_a_list() -> None:
    assert explained("r").settings.top_k == 2
    assert explained("t", top_k=2).settings.top_k == 2
    assert explained("t", top_k=2).counterfactual.replacement.item == "q"


def test_a_negative_answer_is_a_value_with_effects_and_a_neutral_reason() -> None:
    stubborn = example(bias={"t": 5.0, "r": 1.5})
    explanation = explain(stubborn, history("a", "b", "c"), wording=WORDING)

    assert explanation.status is Status.NO_COUNTERFACTUAL
    assert explanation.causes == ()
    assert explanation.counterfactual is None
    assert explanation.holds_when_deleted is None
    assert len(explanation.effects) == 3
    assert "Because" not in explanation.reason


def test_a_graph_for_each_head_with_the_target_as_last_node() -> None:
    explanation = explained()

    assert [graph.head for graph in explanation.graphs] == [0, 1]
    assert all(edge.source < edge.target <= 3 for graph in explanation.graphs for edge in graph.edges)
    assert all(len(cause.relation_by_head) == 2 for cause in explanation.causes)


def test_the_same_item_twice_is_two_positions() -> None:
    twice = explain(example(), history("a", "a", "b", "c"), wording=WORDING)

    assert twice.counterfactual.removed == (0, 1)
    assert twice.certificate.exhaustive_below == 2
    assert twice.reason == "Because you watched Alien"


def test_digests_follow_the_inputs() -> None:
    assert explained().digests == explained().digests
    assert dict(explained().digests)["inputs"] != dict(explained(max_size=2).digests)["inputs"]
    assert all(len(digest) == 64 for _, digest in explained().digests)
    assert json.dumps(dict(explained().digests))


def test_a_budget_that_ends_before_the_effects_leaves_them_out() -> None:
    explanation = explain(example(), history("a", "b", "c"), wording=WORDING, budget=Budget(2))

    assert explanation.status is Status.BUDGET_EXHAUSTED
    assert explanation.effects == ()


@pytest.mark.parametrize(
    ("given", "target", "top_k", "error"),
    [
        (history(), None, None, EmptyHistoryError),
        (history("a"), "a", None, TargetInHistoryError),
        (History(("a",), older=("t",)), "t", None, TargetInHistoryError),
        (history("a", "b", "c"), "q", 2, TargetOutsideTopKError),
    ],
)
def test_what_cannot_be_explained_is_refused(
    given: History, target: str | None, top_k: int | None, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"[a-z]"):
        explain(example(), given, target, settings=Settings(top_k=top_k), wording=WORDING)


def test_a_caller_that_goes_away_stops_it() -> None:
    with pytest.raises(CancelledError):
        explain(example(), history("a", "b"), wording=WORDING, budget=Budget(9, cancelled=lambda: True))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_k", 0),
        ("max_size", 0),
        ("max_rows", 0),
        ("n_samples", 4),
        ("max_radius", -1),
        ("alpha", 0.0),
        ("alpha", 1.0),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidParameterError, match=name) as caught:
        Settings(**{name: value})
    assert caught.value.parameter == name
