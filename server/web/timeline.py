"""The history as a timeline: every item with its effect, and of a long history the items that matter in sight."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from explainer.explanation import Effect, Explanation

LONG = 60
"""Items of a history that is shown whole."""

STRONGEST, NEWEST = 24, 6
"""Of a longer one: items with the largest effects and items at its end that are in sight, besides the causes."""

SHORT_RUN = 4
"""A run of fewer other items is not worth a fold."""


@dataclass(frozen=True, slots=True)
class Step:
    """One item of the history, as the timeline shows it."""

    position: int
    item: str
    title: str
    effect: Effect | None
    share: float
    """Size of the effect on the score against the largest one, -1..1; negative: without it the target loses."""

    cause: bool
    common: bool
    """Whether every set that explains has it."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbours in the history."""

    steps: tuple[Step, ...]
    fold: bool
    """Whether they are put away until somebody asks for them."""

    @property
    def largest(self) -> float | None:
        """Size of the largest effect on the score among them; None where none is known."""
        return max((abs(step.effect.score) for step in self.steps if step.effect is not None), default=None)


def timeline(told: Explanation) -> list[Step]:
    """The history with each item's effect, oldest first."""
    effects: list[Effect | None] = list(told.effects) or [None] * len(told.history)
    largest = max((abs(effect.score) for effect in effects if effect is not None), default=0.0) or 1.0
    causes = {cause.position for cause in told.causes}
    return [
        Step(
            position,
            item,
            title or item,
            effect,
            0.0 if effect is None else effect.score / largest,
            position in causes,
            position in told.common,
        )
        for position, (item, title, effect) in enumerate(zip(told.history, told.titles, effects, strict=True))
    ]


def folded(steps: Sequence[Step]) -> list[Stretch]:
    """A timeline in stretches: a long one with its runs of small effects folded."""
    if len(steps) <= LONG:
        return [Stretch(tuple(steps), fold=False)]
    by_effect = sorted(steps, key=lambda step: -abs(step.share))
    kept = {step.position for step in (*by_effect[:STRONGEST], *steps[-NEWEST:])}
    kept |= {step.position for step in steps if step.cause or step.common}
    away = _long_runs(steps, kept)
    return [
        Stretch(tuple(stretch), fold=fold) for fold, stretch in groupby(steps, key=lambda step: step.position in away)
    ]


def _long_runs(steps: Sequence[Step], kept: set[int]) -> set[int]:
    """The positions of neighbours that are not kept, where enough of them stand together."""
    runs = (list(run) for stays, run in groupby(steps, key=lambda step: step.position in kept) if not stays)
    return {step.position for run in runs if len(run) >= SHORT_RUN for step in run}
