"""Intervals, areas and curves against values worked out by hand, and an evaluation from users to report."""

from __future__ import annotations

import json
import sys
from math import log2
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explainer.errors import InvalidParameterError, MissingExtraError
from explainer.evaluation import METHODS, Plan, cases, evaluate
from explainer.evaluation.adjacency import UNION, Choice, adjacent, rivals
from explainer.evaluation.curves import curves, pn_r, pn_s
from explainer.evaluation.plots import check_matplotlib, save_plots
from explainer.evaluation.report import markdown
from explainer.evaluation.statistics import Bootstrap, auc
from explainer.evaluation.subject import Case, RememberingQuestion, Signals
from explainer.settings import Intervention, Settings
from fakes import AdditiveModel, history

if TYPE_CHECKING:
    from pathlib import Path

WITHOUT_GRADIENT = tuple(name for name in METHODS if name != "gradient")


def model_of(seed: int, n: int, items: int = 12) -> tuple[AdditiveModel, list[str]]:
    """Random gifts of items to candidates; the first n items are the history."""
    random = np.random.default_rng(seed)
    names = [f"i{number}" for number in range(items)]
    gives = {one: {other: float(random.normal()) for other in names if other != one} for one in names}
    return AdditiveModel(gives, {name: float(random.normal()) for name in names}), names[:n]


@pytest.fixture(scope="module")
def evaluation():  # noqa: ANN201
    model, names = model_of(3, 6)
    users = cases(model, [(f"u{start}", history(*names[start:])) for start in range(4)])
    plan = Plan(methods=WITHOUT_GRADIENT, timed=2, shortened=4)
    return evaluate(model, users, plan, random_weights=model_of(4, 6)[0])


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=12))
def test_auc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    values, members = np.array([float(one) for one, _ in pairs]), np.array([member for _, member in pairs])
    inside, outside = values[members], values[~members]
    area = auc(values, members)

    if not len(inside) or not len(outside):
        assert np.isnan(area)
    else:
        wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in inside for b in outside]
        assert area == pytest.approx(np.mean(wins))


def test_a_constant_has_an_interval_of_one_point() -> None:
    estimate = Bootstrap(20).mean(np.full(20, 0.25))

    assert (estimate.mean, estimate.low, estimate.high, estimate.count) == (0.25, 0.25, 0.25, 20)


def test_the_interval_is_that_of_the_normal_for_many_users() -> None:
    values = np.random.default_rng(0).normal(1.0, 2.0, 900)
    estimate = Bootstrap(900).mean(values)

    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * values.std() / 30, rel=0.08)
    assert estimate.excludes_zero
    assert Bootstrap(900).mean(values) == estimate, "the draws are seeded"


def test_users_who_do_not_count_are_left_out() -> None:
    bootstrap = Bootstrap(4)

    assert bootstrap.mean([1.0, np.nan, 1.0, np.nan]).count == 2
    assert bootstrap.ratio([1.0, 2.0, np.nan, 5.0], [2.0, 2.0, 9.0, np.nan]).mean == pytest.approx(0.75)
    assert bootstrap.mean([np.nan] * 4).to_json() == {"mean": None, "low": None, "high": None, "count": 0}


def test_curves_of_a_ranking_by_hand() -> None:
    model = AdditiveModel({"a": {"t": 2.0}, "b": {"t": 1.0}}, {"t": 0.0, "r": 0.5})
    question = RememberingQuestion(model, history("a", "b", "c"), "t", 1, Intervention.MASK_OUT)
    found = curves(question, (0, 1, 2))

    np.testing.assert_array_equal(found.pos[:2], [1.0, 0.0])  # without a: t 1 > r 0.5; without a, b: t 0 < r
    np.testing.assert_array_equal(found.neg[:2], [1.0, 1.0])  # without c, without b and c: t 3, t 2
    odds = [1 / (1 + np.exp(0.5 - score)) for score in (3.0, 1.0, 0.0, 2.0)]
    np.testing.assert_allclose(found.deletion[:2], [odds[1] / odds[0], odds[2] / odds[0]])
    np.testing.assert_allclose(found.insertion[:2], [odds[3] / odds[0], 1.0])
    assert np.isnan(found.pos[2:]).all(), "a history of three is never removed whole"


def test_necessity_counts_places_that_go_to_others() -> None:
    assert pn_s("abcd", "abcd") == pn_r("abcd", "abcd") == 0
    assert pn_s("abcd", "xbya") == 0.5
    assert pn_r("ab", "xa") == pytest.approx(1 / (1 + 1 / log2(3)))
    assert pn_r("ab", "xy") == pytest.approx(1)


def test_rivals_choose_as_many_items_as_the_graph() -> None:
    model, names = model_of(5, 8)
    case = Case("u", history(*names), "i11")
    signals = Signals(model, case, Settings(n_samples=64), 1)
    chosen = adjacent(signals, Choice(0.01, 64, temporal=False))

    for members in rivals(signals, chosen, np.random.default_rng(0)).values():
        assert members.sum() == chosen[UNION].sum()
    np.testing.assert_array_equal(chosen[UNION], chosen["head 0"] | chosen["head 1"])


def test_becausal_covers_what_exact_covers(evaluation) -> None:  # noqa: ANN001
    goals = evaluation.figures["goals"]

    assert goals["users_exact_covers"] == goals["users_becausal_covers_of_these"] > 0
    assert goals["exact_minimum"]["mean"] == 1.0
    assert evaluation.figures["stability"]["becausal"]["repeated"]["mean"] == 1.0


def test_the_figures_are_json_and_the_report_has_every_method_and_intervention(evaluation) -> None:  # noqa: ANN001
    json.dumps(evaluation.figures, allow_nan=False)
    report = markdown(evaluation.figures, {"model": "fake"})

    for intervention in evaluation.plan.interventions:
        assert f"## {intervention.value}\n" in report
    assert all(f"`{method}`" in report for method in WITHOUT_GRADIENT)
    assert "graph of random weights" in report
    assert "nan" not in report
    assert "None" not in report
    records = evaluation.records()
    assert len(records) == 4 * 3 * len(WITHOUT_GRADIENT)


def test_the_same_seed_gives_the_same_figures() -> None:
    model, names = model_of(6, 5)
    users = cases(model, [("u", history(*names)), ("v", history(*names[1:]))])
    plan = Plan(methods=("becausal", "random"), timed=0, shortened=1)

    first, second = (evaluate(model, users, plan) for _ in range(2))

    assert first.figures == second.figures
    assert first.records() == second.records()


@pytest.mark.parametrize(
    ("plan", "named"),
    [
        (Plan(methods=("nope",)), "nope"),
        (Plan(methods=()), "No method"),
        (Plan(methods=("gradient",)), "margin_gradient"),
        (Plan(methods=("exact",), interventions=()), "No intervention"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(plan: Plan, named: str) -> None:
    model, names = model_of(1, 4)

    with pytest.raises(InvalidParameterError, match=named):
        evaluate(model, cases(model, [("u", history(*names))]), plan)
    with pytest.raises(InvalidParameterError, match="no user"):
        evaluate(model, [], Plan())


def test_plots_are_pictures(evaluation, tmp_path: Path) -> None:  # noqa: ANN001
    pytest.importorskip("matplotlib")

    for path in save_plots(evaluation, tmp_path):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_remedy_is_named(
    evaluation,  # noqa: ANN001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(MissingExtraError, match=r"\[evaluate\]"):
        save_plots(evaluation, tmp_path)
    with pytest.raises(MissingExtraError):
        check_matplotlib()
