"""With a perfect oracle the graph is the true one, mark by mark.

No test needs a callback: the population correlation of a linear Gaussian model, with so many samples that the cut-off
lies near the rounding of floating point, *is* an oracle. (At 1e9 samples 1 model in 30 has a dependence that hides below
the cut-off by near-cancellation of paths; at 1e20 the cut-off is 5e-10.)
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pytest
from causallearn.search.ConstraintBased.FCI import fci

from causal_twin import icd as plain
from causal_twin.oracle import random_model
from causal_twin.true_pag import HEAD, TAIL, mag_of, pag_by_enumeration
from explainer import Stop, learn_pag

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from causal_twin.oracle import Model
    from explainer import Pag

SAMPLES, ALPHA = 1e20, 1e-6


def learnt(model: Model, **options: bool) -> Pag:
    return learn_pag(model.correlation, SAMPLES, ALPHA, **options)


def models(seed: int, count: int, least: int, most: int, *, ordered: bool = False) -> list[Model]:
    rng = np.random.default_rng(seed)
    return [
        random_model(
            rng, int(rng.integers(least, most + 1)), int(rng.integers(0, 4)), rng.uniform(1, 3), ordered=ordered
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("ordered", [False, True])
def test_it_is_what_all_equivalent_graphs_share(ordered: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """By enumeration, so by the definition of a PAG; with the order of time, of the members that respect it."""
    checked = 0
    for model in models(3, 130, 4, 6, ordered=ordered):
        mag = mag_of(model)
        if np.count_nonzero(mag) > 14:  # 3 to the power of edges is what it costs
            continue
        found = learnt(model, temporal=ordered)
        assert found.marks.tolist() == pag_by_enumeration(mag, ordered=ordered).tolist()
        assert found.legal
        checked += 1
    assert checked > 60


@pytest.mark.parametrize("temporal", [False, True])
def test_it_is_what_d_separation_gives_on_larger_models(temporal: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Against the plain twin with a d-separation oracle: 320 models of 5-12 observed and 0-3 latent variables."""
    for model in models(11, 320 if not temporal else 150, 5, 12, ordered=temporal):
        known = {}

        def separated(x: int, y: int, given: frozenset[int], model: Model = model, known: dict = known) -> bool:
            key = x, y, given
            if key not in known:
                known[key] = model.separated(x, y, given)
            return known[key]

        found = learnt(model, temporal=temporal)
        truth = plain.learn(model.observed, separated, max_size=model.observed, temporal=temporal)

        assert found.marks.tolist() == truth.graph.marks.tolist()
        assert (found.radius, found.stopped, found.ambiguous, found.contested) == (truth.radius, Stop.COMPLETE, 0, 0)
        assert found.legal


def test_every_mark_is_true_of_the_model() -> None:
    for model in models(12, 100, 5, 12):
        marks, mag = learnt(model).marks, mag_of(model)
        assert ((marks > 0) == (mag > 0)).all()
        assert (mag[marks == HEAD] == HEAD).all()
        assert (mag[marks == TAIL] == TAIL).all()


def test_time_adds_arrowheads_and_takes_no_mark_back() -> None:
    for model in models(13, 60, 5, 9, ordered=True):
        without, within = learnt(model).marks, learnt(model, temporal=True).marks
        later = np.triu(np.ones_like(within), 1) == 1
        assert ((without > 0) == (within > 0)).all()
        assert (within[later & (within > 0)] == HEAD).all()
        settled = without > 1
        assert (within[settled] == without[settled]).all()


def test_causal_learn_agrees_on_edges_and_arrowheads(capsys: pytest.CaptureFixture[str]) -> None:
    """causal-learn 0.1.4 plants and misses tails in about 1 model in 30, so its tails are no reference."""
    same = 0
    all_models = models(14, 150, 5, 8)
    for model in all_models:
        graph = nx.DiGraph()
        graph.add_nodes_from(range(len(model.parents)))
        graph.add_edges_from((int(i), int(j)) for i, j in np.argwhere(model.parents))
        data = np.random.default_rng(0).normal(size=(10, model.observed))
        theirs = fci(data, independence_test_method="d_separation", true_dag=graph, show_progress=False)[0].graph.T

        marks = learnt(model).marks
        assert ((theirs != 0) == (marks > 0)).all()
        assert ((theirs == 1) == (marks == HEAD)).all()
        same += bool(((theirs == -1) == (marks == TAIL)).all())
    capsys.readouterr()  # it prints
    assert same > 0.9 * len(all_models)


def test_selection_rules_are_silent_where_there_is_no_selection() -> None:
    for model in models(15, 100, 5, 10):
        assert (learnt(model, selection_bias=True).marks == learnt(model).marks).all()


def test_selection_leaves_undirected_edges() -> None:
    """A ring in which neighbours are selected together: 0 - 1 - 2 - 3 - 0, each pair of opposites separated by the others."""
    precision = np.eye(4)
    for i, j in [(0, 1), (1, 2), (2, 3), (0, 3)]:
        precision[i, j] = precision[j, i] = 0.3
    covariance = np.linalg.inv(precision)
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.multiply.outer(scale, scale)

    found = learn_pag(correlation, SAMPLES, ALPHA, selection_bias=True)

    assert {int(mark) for mark in found.marks[found.marks > 0]} == {TAIL}
    assert np.count_nonzero(found.marks) == 8
    assert found.legal
    # Without selection no graph has these independences, and the answer says so.
    assert learn_pag(correlation, SAMPLES, ALPHA).legal is False


def test_contradictory_independences_are_no_legal_graph() -> None:
    """At a sample size of 64 decisions contradict one another now and then; some graphs must be found out."""
    rng = np.random.default_rng(2)
    legal = [learn_pag(_noisy(rng, 8)).legal for _ in range(40)]
    assert 0 < sum(map(bool, legal)) < len(legal)


def _noisy(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    model = random_model(rng, n, 2, 2.5)
    draws = rng.multivariate_normal(np.zeros(n), model.correlation, size=64)
    correlation: NDArray[np.float64] = np.corrcoef(draws.T)
    assert all(np.isfinite(correlation[i, j]) for i, j in combinations(range(n), 2))
    return correlation
