"""The final report of a run: what came of the users, and what it cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS_IN_AN_HOUR = 3600
_MILLION = 1_000_000


@dataclass(slots=True)
class Report:
    """Figures of a run, from the summaries of its blocks."""

    kind: str
    unchanged: int = 0
    """Users left out, since their history did not change."""

    users: int = 0
    """Users that were worked for, those set aside among them."""

    outcomes: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    """How many sets of causes have so many items."""

    set_aside: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By type of error: the number of users, and the first text."""

    rows_scored: int = 0
    core_seconds: float = 0.0
    """Processor time of the workers' own processes."""

    bytes: int = 0
    """Size of the results as files."""

    def add(self, summary: Mapping[str, Any]) -> None:
        """Count in a block."""
        self.users += summary["users"]
        self.outcomes.update(summary["outcomes"])
        self.sizes.update(summary["sizes"])
        self.rows_scored += summary["rowsScored"]
        self.core_seconds += summary["coreSeconds"]
        self.bytes += summary["bytes"]
        for kind, found in summary["setAside"].items():
            known = self.set_aside.setdefault(kind, {"users": 0, "first": found["first"]})
            known["users"] += found["users"]

    def content(self) -> dict[str, Any]:
        """As JSON values."""
        aside = sum(found["users"] for found in self.set_aside.values())
        made = self.outcomes.total()
        hours = self.core_seconds / _SECONDS_IN_AN_HOUR
        return {
            "kind": self.kind,
            "users": {"answered": self.users - aside, "setAside": aside, "unchanged": self.unchanged},
            "outcomes": dict(self.outcomes.most_common()),
            "sizes": {size: self.sizes[size] for size in sorted(self.sizes, key=int)},
            "setAside": self.set_aside,
            "bytes": self.bytes,
            "cost": {
                "rowsScored": self.rows_scored,
                "coreSeconds": round(self.core_seconds, 3),
                "coreHoursPerMillion": round(hours * _MILLION / made, 3) if made else None,
            },
        }
