"""The evaluation of one user: every method under every intervention, and what only the first intervention is asked for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from explainer.evaluation.adjacency import Choice, Reach, adjacent, grid, reach, rivals
from explainer.evaluation.curves import Curves, curves, pn_r, pn_s
from explainer.evaluation.methods import METHODS, Answer, Task, answer
from explainer.evaluation.orders import rows_before, sets_of_first_size, tries
from explainer.evaluation.subject import Case, Memory, RememberingQuestion, Signals
from explainer.model import History
from explainer.settings import Intervention, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from explainer.model import ExplainableModel, Removal

PN_K = 5
"""Length of the list that PN-S and PN-R are taken of."""

SHOWN = 100
"""Length of the list in which replacements are looked up before the model is asked for their rank."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is evaluated.

    The graph's settings, the largest set and the row budget are those of ``settings``: the service's defaults. ``evaluate``
    fills in what they leave to the model.
    """

    methods: tuple[str, ...] = tuple(METHODS)
    interventions: tuple[Intervention, ...] = (
        Intervention.MASK_OUT,
        Intervention.DELETE,
        Intervention.DELETE_BACKFILL,
    )
    """The first is asked everything, the others for the table alone."""

    top_k: int = 1
    """A target is explained when it leaves the first top_k."""

    timed: int = 100
    """Users, evenly spread, for whom each method runs alone: timed, and compared with its answer in company."""

    shortened: int = 200
    """Users, evenly spread, for whom each method runs again without the oldest item."""

    seed: int = 2026
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, slots=True)
class Trial:
    """What one method did for one user under one intervention."""

    answer: Answer
    replacement_rank: int | None
    """Rank in the original list of the item that takes the target's place; None without a set."""

    pn_s: float
    pn_r: float
    """0 without a set."""


@dataclass(slots=True)
class UserResult:
    """Everything about one user."""

    case: Case
    shifted: bool
    """Whether the target leaves its place by the pure shift of positions."""

    trials: dict[Intervention, dict[str, Trial]] = field(default_factory=dict)
    transfers: dict[str, dict[Intervention, bool]] = field(default_factory=dict)
    """Whether a method's set under the first intervention works under another."""

    curves: dict[str, Curves] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)
    repeated: dict[str, bool] = field(default_factory=dict)
    """Whether a method alone, in other batches, gave the same set."""

    overlap: dict[str, float] = field(default_factory=dict)
    """Jaccard of the causes with and without the oldest item in the history."""

    tries: dict[str, int] = field(default_factory=dict)
    first_size: int = 0
    """Size of the smallest sets that work; 0 when there is none."""

    smaller_sets: int = 0
    tries_at_random: float = 0.0
    """Expected number of sets of that size that a random order tries until the first that works."""

    reach: dict[Choice, dict[str, Reach]] = field(default_factory=dict)
    rivals: dict[str, Reach] = field(default_factory=dict)


class Study:
    """Evaluates user by user.

    Args:
        model: The model to explain.
        plan: What to evaluate.
        random_weights: A model of the same shape with random weights, whose attention is one of the controls; None
            leaves that control out.
    """

    def __init__(self, model: ExplainableModel, plan: Plan, random_weights: ExplainableModel | None = None) -> None:
        self.model = model
        self.plan = plan
        self._random_weights = random_weights
        self.settings = plan.settings

    def evaluate(self, case: Case, *, timed: bool, shortened: bool) -> UserResult:
        """Evaluate one user.

        Args:
            case: The user.
            timed: Whether each method also runs alone.
            shortened: Whether each method also runs without the oldest item.
        """
        signals = self._signals(case)
        shift = self.model.shifted(case.history, case.target, top_k=self.plan.top_k)
        result = UserResult(case, shifted=bool(shift.left[0]))
        memories: dict[Intervention, Memory] = {}
        for intervention in self.plan.interventions:
            memories[intervention] = {}
            result.trials[intervention] = self._trials(signals, intervention, memories[intervention])
        first = self.plan.interventions[0]
        question = self._question(case, first, memories[first])
        self._in_depth(result, signals, question)
        if timed:
            self._alone(result, first)
        if shortened and case.n > 1:
            self._without_oldest(result, first)
        return result

    def _trials(self, signals: Signals, intervention: Intervention, memory: Memory) -> dict[str, Trial]:
        case = signals.case
        shown = [scored.item for scored in self.model.top(case.history, SHOWN)]
        lists: dict[Removal, list[str]] = {}
        trials: dict[str, Trial] = {}
        for method in self.plan.methods:
            given = answer(method, self._task(signals, method, self._question(case, intervention, memory)))
            removed = given.removed
            if not removed:
                trials[method] = Trial(given, None, 0.0, 0.0)
                continue
            if removed not in lists:
                top = self.model.top(case.history, max(PN_K, self.plan.top_k), removed, intervention)
                lists[removed] = [scored.item for scored in top]
            after = lists[removed]
            trials[method] = Trial(
                given,
                self._replacement_rank(case, shown, after),
                pn_s(shown[:PN_K], after[:PN_K]),
                pn_r(shown[:PN_K], after[:PN_K]),
            )
        return trials

    def _replacement_rank(self, case: Case, shown: Sequence[str], after: Sequence[str]) -> int:
        before = set(shown[: self.plan.top_k])
        newcomer = next(item for item in after if item not in before)
        if newcomer in shown:
            return shown.index(newcomer) + 1
        return self.model.places(case.history, [newcomer])[0][0]

    def _in_depth(self, result: UserResult, signals: Signals, question: RememberingQuestion) -> None:
        """What only the first intervention is asked for: transfers, curves, controls, and what the graph means."""
        first = result.trials[question.intervention]
        for method, trial in first.items():
            result.curves[method] = curves(question, trial.answer.ranking)
            if trial.answer.removed:
                result.transfers[method] = {
                    other: replace(question, intervention=other, memory={}).falls(trial.answer.removed)
                    for other in Intervention
                    if other is not question.intervention and self.model.supports(other)
                }
        if result.case.n > 1:
            self._orders(result, signals, question)
            self._reach(result, signals, question)

    def _orders(self, result: UserResult, signals: Signals, question: RememberingQuestion) -> None:
        n = result.case.n
        sets, works = sets_of_first_size(question, n, min(self.settings.max_size, n - 1))
        if not len(sets):
            return
        other = self._random_weights
        result.first_size = sets.shape[1]
        result.smaller_sets = rows_before(n, result.first_size)
        result.tries_at_random = (len(sets) + 1) / (int(works.sum()) + 1)
        result.tries = tries(
            signals,
            question,
            sets,
            works,
            random_weights=None if other is None else other.attention(result.case.history, result.case.target),
            random=self._random(result.case, "orders"),
        )

    def _reach(self, result: UserResult, signals: Signals, question: RememberingQuestion) -> None:
        outcomes = question.peek([(), *((position,) for position in range(result.case.n))])
        effects, decides = outcomes.margin[0] - outcomes.margin[1:], outcomes.left[1:]
        shipped = Choice.of(self.settings)
        for choice in {*grid(self.model.hidden_size, len(signals.matrices)), shipped}:
            chosen = adjacent(signals, choice)
            result.reach[choice] = {name: reach(members, effects, decides) for name, members in chosen.items()}
            if choice == shipped:
                others = rivals(signals, chosen, self._random(result.case, "rivals"))
                result.rivals = {name: reach(members, effects, decides) for name, members in others.items()}

    def _alone(self, result: UserResult, intervention: Intervention) -> None:
        for method, trial in result.trials[intervention].items():
            started = time.perf_counter()
            task = self._task(self._signals(result.case), method, self._question(result.case, intervention, {}))
            removed = METHODS[method](task)[0]
            result.milliseconds[method] = 1000 * (time.perf_counter() - started)
            result.repeated[method] = removed == trial.answer.removed

    def _without_oldest(self, result: UserResult, intervention: Intervention) -> None:
        """Compare the causes with those after the oldest item has gone, where the target stays in its place."""
        oldest, *rest = result.case.history.items
        shorter = replace(result.case, history=History(tuple(rest), (*result.case.history.older, oldest)))
        kept = [scored.item for scored in self.model.top(shorter.history, self.plan.top_k)]
        if result.case.target not in kept:
            return
        signals, memory = self._signals(shorter), Memory()
        for method, trial in result.trials[intervention].items():
            if method == "exact":
                continue
            task = self._task(signals, method, self._question(shorter, intervention, memory))
            now = {position + 1 for position in METHODS[method](task)[0]}
            before = set(trial.answer.removed)
            if now | before:
                result.overlap[method] = len(now & before) / len(now | before)

    def _signals(self, case: Case) -> Signals:
        return Signals(self.model, case, self.settings, self.plan.top_k)

    def _question(self, case: Case, intervention: Intervention, memory: Memory) -> RememberingQuestion:
        return RememberingQuestion(self.model, case.history, case.target, self.plan.top_k, intervention, memory=memory)

    def _task(self, signals: Signals, method: str, question: RememberingQuestion) -> Task:
        return Task(
            question, signals, self.settings.max_size, self.settings.max_rows, self._random(signals.case, method)
        )

    def _random(self, case: Case, purpose: str) -> np.random.Generator:
        """The same for the same user, seed and purpose, whatever else was drawn."""
        return np.random.default_rng([self.plan.seed, *f"{purpose} {case.user}".encode()])
