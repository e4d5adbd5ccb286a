"""The methods that are compared, on models small enough to know the answer, and what they are charged for."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explainer.budget import Budget
from explainer.evaluation.methods import METHODS, Task, answer, certificate
from explainer.evaluation.orders import rows_before, sets_of_first_size, tries
from explainer.evaluation.subject import Case, RememberingQuestion, Signals
from explainer.explanation import CertificateKind
from explainer.search import search
from explainer.settings import Intervention, Settings
from fakes import AdditiveModel, history

if TYPE_CHECKING:
    from collections.abc import Sequence


class WithGradient(AdditiveModel):
    """The additive model's gradient is what each item gives to the target."""

    def margin_gradient(self, history, target, *, top_k=1):  # noqa: ANN001, ANN201, ARG002
        return np.array([self.gives.get(item, {}).get(target, 0.0) for item in history.items])


def task_of(gives: Sequence[float], rival: float, max_size: int = 3) -> Task:
    """Item i gives gives[i] to the target t; the rival r stands at a fixed score."""
    names = [f"item {position}" for position in range(len(gives))]
    model = WithGradient({name: {"t": gift} for name, gift in zip(names, gives, strict=True)}, {"t": 0.0, "r": rival})
    case = Case("u", history(*names), "t")
    question = RememberingQuestion(model, case.history, "t", 1, Intervention.MASK_OUT)
    signals = Signals(model, case, Settings(n_samples=64), 1)
    return Task(question, signals, max_size, 10_000, np.random.default_rng(0))


GIVES = st.lists(st.integers(-3, 6).map(float), min_size=2, max_size=6)


@given(gives=GIVES, slack=st.integers(1, 12), method=st.sampled_from(list(METHODS)))
def test_what_a_method_gives_works_and_every_distinct_question_is_charged_once(
    gives: list[float], slack: int, method: str
) -> None:
    task = task_of(gives, sum(gives) - slack)
    found = answer(method, task)

    assert sorted(found.ranking) == list(range(len(gives)))
    if found.removed:
        assert task.question.peek([found.removed]).left[0]
        assert len(found.removed) < len(gives)
    assert found.rows == len(task.question.asked) + 2 * (method == "gradient")
    model = task.question.model
    assert isinstance(model, AdditiveModel)
    assert len(model.rows) == len(set(model.rows)), "the model is asked each question once"


@given(gives=GIVES, slack=st.integers(1, 12))
def test_exact_is_the_least_size_and_becausal_equals_it_with_the_certificate_that_search_states(
    gives: list[float], slack: int
) -> None:
    task = task_of(gives, sum(gives) - slack)
    exact = answer("exact", task)
    works = [
        removal
        for size in range(1, min(3, len(gives) - 1) + 1)
        for removal in combinations(range(len(gives)), size)
        if sum(gives[one] for one in removal) > slack
    ]
    assert len(exact.removed) == min(map(len, works), default=0)

    other = task_of(gives, sum(gives) - slack)
    becausal = answer("becausal", other)
    question = task_of(gives, sum(gives) - slack).question
    stated = search(question, other.signals.distance, 3, Budget(10_000)).certificate
    assert len(becausal.removed) == len(exact.removed)
    assert becausal.certificate is stated.kind


def test_the_greedy_methods_follow_their_signal() -> None:
    gives = [1.0, 5.0, 0.0, 3.0, 2.0]

    def found(method: str) -> tuple[int, ...]:
        return answer(method, task_of(gives, sum(gives) - 7)).removed

    assert found("exact") == (1, 3)
    assert found("occlusion") == found("gradient") == (1, 3)
    assert found("attention") == (1, 3), "the fake attends to what gives"
    assert found("recency") == (1, 2, 3, 4)


def test_pruning_takes_back_what_is_not_needed() -> None:
    class Distracted(WithGradient):
        """Attends to item 2 most, which gives nothing."""

        def attention(self, history, target):  # noqa: ANN001, ANN202, ARG002
            n = len(history.items) + 1
            weights = np.full((1, n, n), 0.1)
            weights[0, -1] = [0.2, 0.1, 0.5, 0.2][:n]
            return weights / weights.sum(axis=2, keepdims=True)

    task = task_of([4.0, 1.0, 0.0], 3.0)
    model = Distracted(task.question.model.gives, task.question.model.bias)  # type: ignore[attr-defined]
    signals = Signals(model, task.signals.case, task.signals.settings, 1)
    whole = Task(task.question, signals, 3, 100, np.random.default_rng(0))

    assert answer("attention", whole).removed == (0, 2)
    assert answer("attention-pruned", whole).removed == (0,)


def test_cleann_tries_only_sets_that_hang_together_in_a_head_s_tree() -> None:
    task = task_of([6.0, 0.0, 1.0, 2.0], 8.0)
    legal = {chosen for size in (1, 2, 3) for tree in task.signals.trees for chosen in tree.connected_sets(size)}
    answer("cleann", task)

    assert task.question.asked <= legal


def test_a_history_of_one_item_is_never_removed_whole() -> None:
    for method in METHODS:
        task = task_of([5.0], 1.0)
        assert answer(method, task).removed == ()
        assert (0,) not in task.question.asked


def test_a_certificate_says_what_was_asked() -> None:
    singles = [(position,) for position in range(4)]
    pairs = list(combinations(range(4), 2))

    assert certificate((), singles, 4) is None
    assert certificate((2,), [(2,)], 4) is CertificateKind.MINIMUM
    assert certificate((0, 1), [*singles, (0, 1)], 4) is CertificateKind.MINIMUM
    assert certificate((0, 1), [(0,), (1,), (0, 1)], 4) is CertificateKind.IRREDUCIBLE
    assert certificate((0, 1), [(0,), (0, 1)], 4) is CertificateKind.BEST_FOUND
    assert certificate((0, 1, 2), [*singles, *pairs], 4) is CertificateKind.MINIMUM
    assert certificate((0, 1, 2), [*singles, *pairs[:-1]], 4) is CertificateKind.IRREDUCIBLE


@pytest.mark.parametrize(("gives", "lead"), [([1.0, 2.0, 3.0, 9.0], 5.5), ([3.0, 1.0, 3.0, 3.0, 0.0], 5.5)])
def test_an_order_is_charged_up_to_its_first_set_that_works(gives: list[float], lead: float) -> None:
    """The twin writes the order out."""
    task = task_of(gives, sum(gives) - lead)
    n = len(gives)
    sets, works = sets_of_first_size(task.question, n, 3)
    found = tries(task.signals, task.question, sets, works, random_weights=None, random=np.random.default_rng(1))

    size = sets.shape[1]
    working = {tuple(one) for one in sets[works].tolist()}
    newest = max(map(sum, working))
    newer = sum(sum(one) > newest for one in combinations(range(n), size))
    as_new = [one for one in combinations(range(n), size) if sum(one) == newest]
    assert newer < found["recency"] <= newer + 1 + sum(one not in working for one in as_new)
    assert found["becausal"] == (n if size == 1 else found["becausal"])
    assert found["random"] == found["graph of uniform attention"], "attention that is the same everywhere says nothing"
    assert rows_before(5, 3) == 5 + 10
    assert all(1 <= one <= len(sets) for one in found.values())
