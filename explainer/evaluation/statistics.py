"""Means with paired bootstrap intervals over users, and the area under the ROC curve."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
"""Coverage of every interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over users with its percentile interval."""

    mean: float
    low: float
    high: float
    count: int
    """Users that count."""

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0

    def to_json(self) -> dict[str, float | int | None]:
        """The same with None for what no user speaks to, since JSON has no NaN."""
        return {name: None if value != value else value for name, value in asdict(self).items()}  # noqa: PLR0124 - NaN


class Bootstrap:
    """Draws users with replacement, the same draws for every quantity, so that differences are paired.

    Args:
        users: how many there are.
        draws: how many samples of users to draw.
        seed: of the draws.
    """

    def __init__(self, users: int, draws: int = 2_000, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self._weights = np.zeros((draws, users))
        for row in self._weights:
            np.add.at(row, random.integers(users, size=users), 1.0)

    def mean(self, values: ArrayLike) -> Estimate:
        """Mean over users of values (users,); NaN where a user does not count."""
        given = np.asarray(values, dtype=np.float64)
        return self.ratio(given, np.where(np.isnan(given), np.nan, 1.0))

    def ratio(self, above: ArrayLike, below: ArrayLike) -> Estimate:
        """Sum of one value (users,) over the sum of another (users,), over users who have both."""
        top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
        known = ~(np.isnan(top) | np.isnan(bottom))
        top, bottom = np.where(known, top, 0.0), np.where(known, bottom, 0.0)
        if not bottom.sum():
            return Estimate(np.nan, np.nan, np.nan, 0)
        totals = self._weights @ bottom
        drawn = (self._weights @ top)[totals > 0] / totals[totals > 0]
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return Estimate(float(top.sum() / bottom.sum()), float(low), float(high), int(known.sum()))


def auc(values: NDArray[np.float64], members: NDArray[np.bool_]) -> float:
    """Chance that a member's value is above a non-member's, ties half; NaN when either are missing.

    Args:
        values: (n,) one value each.
        members: (n,) which are members.
    """
    inside, outside = values[members], values[~members]
    if not len(inside) or not len(outside):
        return float("nan")
    difference = inside[:, None] - outside[None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())
