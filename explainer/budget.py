"""How much an explanation may cost: rows, time, and the caller's patience."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from explainer.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable


def _never() -> bool:
    return False


@dataclass(slots=True)
class Budget:
    """Counts rows against a limit; polled between batches."""

    max_rows: int
    """Most rows to score."""

    deadline: float | None = None
    """When to stop, on the clock of ``time.monotonic``."""

    cancelled: Callable[[], bool] = field(default=_never)
    """Whether the caller has gone."""

    rows: int = 0
    """Rows scored so far."""

    def grant(self, wanted: int) -> int:
        """Take up to ``wanted`` rows and say how many were granted: 0 when the rows or the time are used up.

        Raises:
            CancelledError: the caller has gone.
        """
        if self.cancelled():
            raise CancelledError("The caller cancelled the explanation; nothing was decided.")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return 0
        granted = min(wanted, self.max_rows - self.rows)
        self.rows += granted
        return granted
