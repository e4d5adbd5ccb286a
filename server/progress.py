"""How far a replay is: written by the thread that computes, read by whoever waits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explainer.budget import Budget


class Step(Enum):
    """What a replay does, in this order."""

    WAITING = "WAITING"
    """Its turn has not come: other calls compute."""

    RECORD = "RECORD"
    """The record is compared with what was committed to."""

    MODEL = "MODEL"
    """The recorded model is found; one that does not serve now is loaded, and every file of it checked."""

    COMPUTE = "COMPUTE"
    """The explanation is computed again."""

    COMPARE = "COMPARE"
    """Stored and recomputed facts are compared."""


@dataclass(slots=True)
class Progress:
    """Of one replay."""

    step: Step = Step.WAITING
    budget: Budget | None = None
    """Counts the histories that are scored, from `COMPUTE` on."""

    rows: int = 0
    """Histories that were scored when the explanation was made, and will be again."""

    def computing(self, budget: Budget, rows: int) -> None:
        """Note that the explanation is computed now."""
        self.budget, self.rows, self.step = budget, rows, Step.COMPUTE

    @property
    def scored(self) -> int:
        """Histories that were scored again so far."""
        return 0 if self.budget is None else self.budget.rows
