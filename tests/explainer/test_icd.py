"""The graph that is learnt: the same for any numbering, the same as the plain twin, bounded, and honest about its end."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_twin import icd as plain
from causal_twin.attention import random_attention, real_attention
from causal_twin.oracle import random_model
from explainer import Pag, Stop, attention_correlation, learn_pag, learn_pags
from explainer.errors import InvalidCorrelationError, InvalidParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

REAL = real_attention()


def facts(pag: Pag) -> tuple[object, ...]:
    return pag.radius, pag.stopped.name, pag.tests, pag.ambiguous, pag.contested


@st.composite
def correlations(draw: st.DrawFn) -> NDArray[np.float64]:
    """Of attention, of factor models with signs, and with rows that are copies of one another."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(2, 14))
    kind = draw(st.sampled_from(["attention", "factors", "copies", "coarse"]))
    if kind == "factors":
        loadings = rng.normal(size=(n, int(rng.integers(1, n + 2)))) + 0.1
        covariance = loadings @ loadings.T + np.diag(rng.uniform(0.01, 1, n))
        scale = np.sqrt(np.diag(covariance))
        return covariance / np.multiply.outer(scale, scale)
    weights = random_attention(rng, n, draw(st.floats(0, 4)))
    if kind == "copies":
        weights[rng.integers(n, size=n // 2)] = weights[0]
    if kind == "coarse":  # many equal entries, many ties
        weights = np.rint(weights * 4) + np.eye(n)
        weights /= weights.sum(axis=1, keepdims=True)
    return attention_correlation(weights)


@settings(max_examples=150, deadline=None)
@given(
    correlation=correlations(),
    n_samples=st.sampled_from([5, 8, 32, 64, 1000]),
    alpha=st.sampled_from([1e-3, 0.01, 0.1]),
    seed=st.integers(0, 2**32),
    selection=st.booleans(),
)
def test_renumbering_the_tokens_changes_nothing(
    correlation: NDArray[np.float64],
    n_samples: int,
    alpha: float,
    seed: int,
    selection: bool,  # noqa: FBT001 - hypothesis
) -> None:
    order = np.random.default_rng(seed).permutation(len(correlation))

    pag = learn_pag(correlation, n_samples, alpha, selection_bias=selection)
    renumbered = learn_pag(correlation[np.ix_(order, order)], n_samples, alpha, selection_bias=selection)

    assert renumbered.marks.tolist() == pag.marks[np.ix_(order, order)].tolist()
    assert facts(renumbered) == facts(pag)
    assert renumbered.legal == pag.legal


@pytest.mark.parametrize("n_samples", [32, 64, 768])
def test_renumbering_changes_nothing_on_real_attention(n_samples: int) -> None:
    rng = np.random.default_rng(7)
    for matrix in REAL:
        order = rng.permutation(len(matrix))

        pag = learn_pag(attention_correlation(matrix), n_samples)
        renumbered = learn_pag(attention_correlation(matrix[np.ix_(order, order)]), n_samples)

        assert (renumbered.marks == pag.marks[np.ix_(order, order)]).all()
        assert facts(renumbered) == facts(pag)


@settings(max_examples=80, deadline=None)
@given(
    correlation=correlations(),
    n_samples=st.sampled_from([5, 8, 32, 64]),
    temporal=st.booleans(),
    selection=st.booleans(),
    max_radius=st.sampled_from([None, None, 0, 1, 2]),
)
def test_it_is_what_the_plain_twin_finds(
    correlation: NDArray[np.float64],
    n_samples: int,
    temporal: bool,  # noqa: FBT001 - hypothesis
    selection: bool,  # noqa: FBT001 - hypothesis
    max_radius: int | None,
) -> None:
    limits = {"max_radius": max_radius, "temporal": temporal, "selection_bias": selection, "max_tests": 3000}

    pag = learn_pag(correlation, n_samples, **limits)
    twin = plain.learn_from(correlation, n_samples, **limits)

    assert facts(pag) == (twin.radius, twin.stopped, twin.tests, twin.graph.ambiguous, twin.graph.locked.sum())
    assert pag.marks.tolist() == twin.graph.marks.tolist()


def test_it_is_what_the_plain_twin_finds_on_real_attention() -> None:
    for matrix in (matrix for matrix in REAL if len(matrix) <= 20):
        correlation = attention_correlation(matrix)
        assert (learn_pag(correlation).marks == plain.learn_from(correlation).graph.marks).all()


def test_legal_sets_grown_are_legal_sets_filtered() -> None:
    """The search meets exactly the sets that the definition admits: checked against filtering all combinations."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        graph = plain.learn_from(random_model(rng, 7, 2, 2.5).correlation, 1e20, 1e-6, max_radius=1).graph
        for x, y in np.argwhere(np.triu(graph.marks)):
            for size in range(1, 5):
                grown = plain.conditioning_sets(graph, int(x), int(y), size)
                assert grown == plain.conditioning_sets_by_filter(graph, int(x), int(y), size)


def test_every_radius_is_a_finished_graph() -> None:
    correlation = attention_correlation(REAL[-1])
    whole = learn_pag(correlation)
    assert whole.complete

    stages = [learn_pag(correlation, max_radius=radius) for radius in range(whole.radius + 1)]

    assert [stage.radius for stage in stages] == list(range(whole.radius + 1))
    assert [stage.stopped for stage in stages] == [Stop.MAX_RADIUS] * whole.radius + [Stop.COMPLETE]
    for earlier, later in pairwise(stages):
        assert earlier.tests < later.tests
        assert not ((later.marks > 0) & (earlier.marks == 0)).any()


@pytest.mark.parametrize("short", [1, 100, 1000])
def test_a_budget_of_tests_ends_at_the_last_radius_that_fits(short: int) -> None:
    correlation = attention_correlation(REAL[-1])
    stages = [learn_pag(correlation, max_radius=radius) for radius in range(3)]

    found = learn_pag(correlation, max_tests=stages[2].tests - short)

    assert found.stopped is Stop.TEST_BUDGET
    assert not found.complete
    assert found.legal is None
    assert found.tests <= stages[2].tests - short
    assert (found.marks == stages[found.radius].marks).all()


def test_no_test_at_all_leaves_all_edges_and_circles() -> None:
    found = learn_pag(attention_correlation(REAL[0]), max_tests=0)

    assert found.radius == -1
    assert (found.marks == 1 - np.eye(len(found.marks))).all()


def test_sets_larger_than_the_sample_size_allows_are_not_tested() -> None:
    alike = np.full((5, 5), 0.99) + 0.01 * np.eye(5)

    found = learn_pag(alike, n_samples=4)

    assert found.stopped is Stop.SAMPLE_SIZE
    assert found.radius == 0


@pytest.mark.parametrize("how", ["cancel", "max_ms"])
def test_it_stops_when_told_to(how: str) -> None:
    # Strong noise-free factors keep every edge while sets grow: the worst case by far.
    rng = np.random.default_rng(0)
    loadings = rng.uniform(0.5, 1, size=(200, 150))
    covariance = loadings @ loadings.T + np.eye(200)
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.multiply.outer(scale, scale)
    flag = np.zeros(1, dtype=np.uint8)
    started = time.perf_counter()
    if how == "cancel":
        threading.Timer(0.05, flag.fill, [1]).start()
        found = learn_pag(correlation, n_samples=1e9, max_tests=None, cancel=flag)
    else:
        found = learn_pag(correlation, n_samples=1e9, max_tests=None, max_ms=50)

    assert found.stopped is (Stop.CANCELLED if how == "cancel" else Stop.TIME_BUDGET)
    assert time.perf_counter() - started < 2
    assert found.radius >= 0


@pytest.mark.parametrize("n", [2, 3, 50, 200])
@pytest.mark.parametrize("kind", ["alike", "independent", "two groups", "dense", "nearly alike"])
def test_worst_cases_end_with_marks(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    weights = {
        "alike": np.full((n, n), 1 / n),
        "independent": np.eye(n),
        "two groups": np.kron(np.eye(2), np.ones((n // 2, n // 2))) / (n // 2) if n % 2 == 0 else np.eye(n),
        "dense": random_attention(rng, n, 0.1),
        "nearly alike": random_attention(rng, n, 1e-6),
    }[kind]
    started = time.perf_counter()

    found = learn_pag(attention_correlation(weights))

    assert time.perf_counter() - started < 5
    assert set(np.unique(found.marks)) <= {0, 1, 2, 3}
    assert ((found.marks > 0) == (found.marks.T > 0)).all()
    if kind == "alike":
        assert found.complete
        assert (found.marks == 1 - np.eye(n)).all()
    if kind == "independent":
        assert not found.marks.any()


def test_the_cutoff_is_what_alpha_means_at_this_sample_size() -> None:
    correlation = np.eye(2)
    assert round(learn_pag(correlation, 64, 0.01).cutoff, 3) == 0.318
    assert round(learn_pag(correlation, 32, 0.01).cutoff, 3) == 0.445
    correlation[0, 1] = correlation[1, 0] = 0.317
    assert not learn_pag(correlation).marks.any()
    correlation[0, 1] = correlation[1, 0] = -0.319
    assert learn_pag(correlation).marks.any()


def test_a_batch_is_its_graphs_in_order() -> None:
    matrices = [attention_correlation(matrix) for matrix in REAL[::5]]

    batch = learn_pags(matrices, 32, threads=3)

    assert [pag.marks.tolist() for pag in batch] == [learn_pag(matrix, 32).marks.tolist() for matrix in matrices]


@pytest.mark.parametrize(
    ("correlation", "complaint"),
    [
        (np.ones((2, 3)), "square"),
        (np.eye(1), "at least 2"),
        (np.array([[1, np.nan], [np.nan, 1]]), "finite"),
        (np.array([[1, 0.5], [0.4, 1]]), "symmetric"),
        (np.diag([2.0, 2.0]), "ones on its diagonal"),
        (np.array([[1, 1.5], [1.5, 1]]), "between -1 and 1"),
        (np.eye(2) * 1j, "real numbers"),
    ],
)
def test_what_is_no_correlation_matrix_is_refused_in_one_sentence(
    correlation: NDArray[np.generic], complaint: str
) -> None:
    with pytest.raises(InvalidCorrelationError, match=complaint):
        learn_pag(correlation)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("alpha", 0),
        ("alpha", 1),
        ("alpha", float("nan")),
        ("n_samples", 3),
        ("n_samples", float("inf")),
        ("n_samples", float("nan")),
        ("max_radius", -1),
        ("max_tests", -1),
        ("max_ms", -0.5),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(setting: str, value: float) -> None:
    with pytest.raises(InvalidParameterError, match=setting) as caught:
        learn_pag(np.eye(2), **{setting: value})
    assert caught.value.parameter == setting
