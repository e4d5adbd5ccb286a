"""The smallest set of past items without which the target leaves its place, checked on the model.

Rohekar et al. (NeurIPS 2023, section 4; CLEAR, arXiv 2210.10621) try subsets of the items that may influence the
target in the PAG, by growing size. Two deviations, both stricter: every single item is tried, connected or not, since
one batch gives its effect anyway; and a size is left only when all its sets have been tried, so that the certificate
holds for the whole history and not just for the graph. The graph decides the order, and between sets of one size.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from explainer.explanation import Certificate, Status
from explainer.model import NEAR_TIE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from explainer.budget import Budget
    from explainer.explanation import Intervention
    from explainer.model import ExplainableModel, History, Outcomes, Removal

FIRST_BATCH = 64
LARGEST_BATCH = 1024
"""Batches double from the first size to the largest: an early hit costs few rows, a long search few calls."""

MOST_SETS = 2_000_000
"""Sets of one size that are listed at once, 16 MB for each member."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the model: does the target stay in the first top_k without these items?"""

    model: ExplainableModel
    history: History
    target: str
    top_k: int
    intervention: Intervention

    def ask(self, removals: Sequence[Removal]) -> Outcomes:
        """Score the history without each of the removals."""
        return self.model.without(self.history, self.target, removals, top_k=self.top_k, intervention=self.intervention)


@dataclass(frozen=True, slots=True)
class Finding:
    """How a search ended."""

    status: Status
    removed: Removal
    singles: Outcomes | None
    """Outcome of each position alone; None when the budget did not reach that far, or there is but one position."""

    certificate: Certificate


def leaves(outcomes: Outcomes) -> NDArray[np.bool_]:
    """(m,) whether the target has left the top k by more than a near-tie."""
    return outcomes.margin < -NEAR_TIE


def search(question: Question, distance: Sequence[int], max_size: int, budget: Budget) -> Finding:
    """Find a smallest set that explains.

    Args:
        question: What is asked of the model.
        distance: (n,) each position's distance from the target in the PAG, -1 where it is not reached.
        max_size: Largest set to try. Removing the whole history is never an explanation.
        budget: Polled between batches.

    Raises:
        CancelledError: the caller has gone.
    """
    n = len(question.history.items)
    nearness = np.where(np.asarray(distance) < 0, n + 1, distance)
    largest = min(max_size, n - 1)
    if not largest:
        return Finding(Status.NO_COUNTERFACTUAL, (), None, Certificate(1, 0, 0, 0))
    if budget.grant(n) < n:
        return Finding(Status.BUDGET_EXHAUSTED, (), None, Certificate(1, 0, 0, largest))
    singles = question.ask([(position,) for position in range(n)])
    tried = n
    hits: list[Removal] = [(position,) for position in np.flatnonzero(leaves(singles)).tolist()]
    size = 1
    while not hits and size < largest:
        size += 1
        hits, spent = _try_size(question, size, singles, nearness, budget)
        tried += spent
        if not hits and spent < comb(n, size):
            return Finding(Status.BUDGET_EXHAUSTED, (), singles, Certificate(size, tried, 0, largest))
    if not hits:
        return Finding(Status.NO_COUNTERFACTUAL, (), singles, Certificate(largest + 1, tried, 0, largest))
    best = min(hits, key=lambda removal: _preference(removal, nearness, singles))
    return Finding(Status.EXPLAINED, best, singles, Certificate(size, tried, len(hits) - 1, largest))


def _preference(removal: Removal, nearness: NDArray[np.int64], singles: Outcomes) -> tuple[int, float, Removal]:
    """Nearest in the PAG, then largest effect, then earliest positions, so that one set is always first."""
    members = list(removal)
    return int(nearness[members].sum()), float(singles.margin[members].sum()), removal


def _try_size(
    question: Question, size: int, singles: Outcomes, nearness: NDArray[np.int64], budget: Budget
) -> tuple[list[Removal], int]:
    """Sets of one size that explain, found in the first batch that holds any, and how many sets were tried."""
    removals = ordered(size, singles.margin, nearness)
    batch_size, tried = FIRST_BATCH, 0
    while granted := budget.grant(min(batch_size, len(removals) - tried)):
        batch = [tuple(row) for row in removals[tried : tried + granted].tolist()]
        tried += granted
        outcomes = question.ask(batch)
        hits = [batch[row] for row in np.flatnonzero(leaves(outcomes)).tolist()]
        if hits:
            return hits, tried
        batch_size = min(2 * batch_size, LARGEST_BATCH)
    return [], tried


def ordered(size: int, margins: NDArray[np.float64], nearness: NDArray[np.int64]) -> NDArray[np.int64]:
    """(m, size) the sets of one size, most promising first.

    Sets whose members all may influence the target in the PAG come first; inside each part the sets whose single
    removals lower the margin most, since effects add up to first order. All sets, unless there are more than MOST_SETS:
    then those of the most promising positions, which no budget exhausts.
    """
    n = len(margins)
    pool = np.lexsort((margins, nearness > n))
    while comb(len(pool), size) > MOST_SETS:
        pool = pool[:-1]
    sets = _combinations(np.sort(pool), size)
    outside = (nearness[sets] > n).any(axis=1)
    predicted = margins[sets].sum(axis=1)
    keys = [sets[:, column] for column in reversed(range(size))]
    return sets[np.lexsort((*keys, predicted, outside))]


def _combinations(pool: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    flat = chain.from_iterable(combinations(pool.tolist(), size))
    return np.fromiter(flat, dtype=np.int64, count=comb(len(pool), size) * size).reshape(-1, size)
