"""Which sets to try first: what smaller sets predict about larger ones, interleaved with recency.

The margin (the target's score minus that of the rival at the edge of the list) without a set S is predicted from the
changes that its members make alone and in pairs, to second order:

    margin(S) = margin() + sum of pair changes - (|S| - 2) * sum of single changes,

where a pair that was not tried counts as the sum of its members. The prediction is mostly right at the first guess, and
now and then far off; recency is seldom right at once and seldom far off, since sequential recommenders lean on what came
last. Taking turns keeps the better of the two (docs/decisions/0006-search-order.md has the figures).
"""

from __future__ import annotations

from itertools import chain, combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from explainer.model import Removal

MOST_SETS = 2_000_000
"""Sets of one size that are listed at once, 16 MB for each member."""

_PAIR = 2


class Tried:
    """Which sets were tried, and what they say about larger ones.

    Args:
        untouched: Margin of the history as it stands.
        singles: (n,) margin without each position alone.
    """

    def __init__(self, untouched: float, singles: NDArray[np.float64]) -> None:
        self.n = len(singles)
        self._untouched = untouched
        self._single = singles - untouched
        self._pair = self._single[:, None] + self._single[None, :]
        self._sets: set[Removal] = {(position,) for position in range(self.n)}
        self._counts: dict[int, int] = {1: self.n}

    def __contains__(self, removal: Removal) -> bool:
        return removal in self._sets

    def __len__(self) -> int:
        return len(self._sets)

    def count(self, size: int) -> int:
        """Number of sets of this size that were tried."""
        return self._counts.get(size, 0)

    def add(self, removals: Sequence[Removal], margins: NDArray[np.float64]) -> None:
        """Remember what sets that were not tried before gave, margins (m,)."""
        self._sets.update(removals)
        for removal, margin in zip(removals, margins.tolist(), strict=True):
            self._counts[len(removal)] = self.count(len(removal)) + 1
            if len(removal) == _PAIR:
                first, second = removal
                self._pair[first, second] = self._pair[second, first] = margin - self._untouched

    def predicted(self, sets: NDArray[np.int64]) -> NDArray[np.float64]:
        """(m,) predicted margin without each of the sets (m, size)."""
        size = sets.shape[1]
        margin = np.full(len(sets), self._untouched)
        for first, second in combinations(range(size), 2):
            margin += self._pair[sets[:, first], sets[:, second]]
        margin -= (size - _PAIR) * self._single[sets].sum(axis=1)
        return margin

    def pool(self, size: int) -> NDArray[np.int64]:
        """Positions, ascending, whose sets of this size can be listed: all, or the most promising and most recent."""
        by_change = np.argsort(self._single, kind="stable").tolist()
        by_recency = range(self.n - 1, -1, -1)
        turns = list(dict.fromkeys(chain.from_iterable(zip(by_change, by_recency, strict=True))))
        while comb(len(turns), size) > MOST_SETS:
            turns.pop()
        return np.array(sorted(turns), dtype=np.int64)


def promising(tried: Tried, size: int, most: int | None = None) -> NDArray[np.int64]:
    """(m, size) the sets of one size, most promising first, at most ``most`` of them.

    All sets, unless there are more than MOST_SETS: then those of the likeliest positions, which no budget exhausts.
    """
    pool = tried.pool(size)
    flat = chain.from_iterable(combinations(pool.tolist(), size))
    sets = np.fromiter(flat, dtype=np.int64, count=comb(len(pool), size) * size).reshape(-1, size)
    ties = [sets[:, column] for column in range(size)]
    by_prediction = np.lexsort((*ties, tried.predicted(sets)))
    by_recency = np.lexsort((*ties, -sets.sum(axis=1)))
    turns = np.empty(2 * len(sets), dtype=np.int64)
    turns[::2], turns[1::2] = by_prediction, by_recency
    _, first = np.unique(turns, return_index=True)
    return sets[turns[np.sort(first)][:most]]
