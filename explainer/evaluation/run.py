"""From users to an evaluation: the loop, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from explainer.errors import InvalidParameterError
from explainer.evaluation.methods import METHODS
from explainer.evaluation.study import Plan, Study, UserResult
from explainer.evaluation.subject import Case, MarginGradient
from explainer.evaluation.summary import Summary
from explainer.icd import warm_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from explainer.model import ExplainableModel, History
    from explainer.settings import Settings


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation found."""

    plan: Plan
    results: tuple[UserResult, ...]
    figures: dict[str, Any]
    """Plain values that go into JSON (explainer/evaluation/summary.py)."""

    def records(self) -> list[dict[str, Any]]:
        """One plain record for each user, intervention and method: what was found and what it cost."""
        return [
            {
                "user": result.case.user,
                "items": result.case.n,
                "target": result.case.target,
                "shifted": result.shifted,
                "intervention": intervention.value,
                "method": method,
                "removed": list(trial.answer.removed),
                "rows": trial.answer.rows,
                "certificate": None if trial.answer.certificate is None else trial.answer.certificate.value,
                "replacement_rank": trial.replacement_rank,
            }
            for result in self.results
            for intervention, trials in result.trials.items()
            for method, trial in trials.items()
        ]


def cases(model: ExplainableModel, histories: Sequence[tuple[str, History]]) -> list[Case]:
    """The question of each user: why the top recommendation? Users without a history are left out."""
    return [Case(user, history, model.top(history, 1)[0].item) for user, history in histories if history.items]


def evaluate(
    model: ExplainableModel,
    users: Sequence[Case],
    plan: Plan,
    *,
    random_weights: ExplainableModel | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Evaluate the methods on the users.

    Args:
        model: The model to explain.
        users: Their questions.
        plan: What to evaluate.
        random_weights: A model of the same shape with random weights, for one of the controls.
        progress: Called after each user with the number of users done.

    Raises:
        InvalidParameterError: there is no user, no intervention, or a method that is not known or that the model cannot
            serve.
    """
    _check(model, users, plan)
    plan = replace(plan, settings=_resolved(model, plan.settings))
    warm_up()
    study = Study(model, plan, random_weights)
    timed, shortened = (_spread(len(users), count) for count in (plan.timed, plan.shortened))
    results: list[UserResult] = []
    for place, case in enumerate(users):
        results.append(study.evaluate(case, timed=place in timed, shortened=place in shortened))
        progress(place + 1)
    return Evaluation(plan, tuple(results), Summary(results, plan).to_json(model))


def _resolved(model: ExplainableModel, settings: Settings) -> Settings:
    """The settings with nothing left to the model."""
    temporal = model.causal if settings.temporal is None else settings.temporal
    return replace(settings, n_samples=settings.n_samples or model.hidden_size, temporal=temporal)


def _check(model: ExplainableModel, users: Sequence[Case], plan: Plan) -> None:
    if not users:
        raise InvalidParameterError("users", "There is no user to evaluate; give a data set with held-out items.")
    if not plan.methods:
        raise InvalidParameterError("methods", f"No method is named; choose from {', '.join(METHODS)}.")
    for method in plan.methods:
        if method not in METHODS:
            raise InvalidParameterError("methods", f"There is no method {method!r}; choose from {', '.join(METHODS)}.")
    if "gradient" in plan.methods and not isinstance(model, MarginGradient):
        raise InvalidParameterError("methods", "The model has no margin_gradient; leave out the method gradient.")
    if not plan.interventions:
        raise InvalidParameterError("interventions", "No intervention is named; give at least one, such as MASK_OUT.")
    for intervention in plan.interventions:
        if not model.supports(intervention):
            raise InvalidParameterError(
                "interventions", f"The model cannot carry out {intervention.value}; leave it out."
            )


def _spread(users: int, wanted: int) -> set[int]:
    """So many places, evenly spread over the users."""
    return set(np.linspace(0, users - 1, min(users, wanted)).round().astype(int).tolist())
