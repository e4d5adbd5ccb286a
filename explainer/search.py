"""The smallest set of past items without which the target leaves its place, checked on the model.

Rohekar et al. (NeurIPS 2023, section 4; CLEAR, arXiv 2210.10621) try subsets of the items that may influence the
target in the PAG, by growing size and distance. Deviations, each measured by `becausal evaluate`
(docs/decisions/0006-search-order.md):

1. Every single item is tried, connected or not: one batch, which gives each item's effect as well.
2. Larger sets are tried in the order of explainer/order.py: what the smaller sets predict, interleaved with recency. The
   graph does not order; between sets of one size it decides which is shown.
3. A size is left only when all its sets have been tried, so that the certificate holds for the whole history.
4. The few most promising sets of every size are tried before any size is exhausted: whenever the budget ends, there is
   an answer if an easy one exists, reduced until no part of it suffices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from math import comb, isinf
from typing import TYPE_CHECKING

import numpy as np

from explainer.explanation import Certificate, CertificateKind, Status
from explainer.model import NEAR_TIE
from explainer.order import Tried, promising

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from explainer.budget import Budget
    from explainer.model import ExplainableModel, History, Outcomes, Removal
    from explainer.settings import Intervention

PROBES = 16
"""Sets of each size that are tried before any size is exhausted."""

FIRST_BATCH = 32
LARGEST_BATCH = 1024
"""Batches double from the first size to the largest: an early hit costs few rows, a long search few calls."""

MOST_ALTERNATIVES = 16
"""Other sets of the same size that are kept."""


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
    alternatives: tuple[Removal, ...]
    """Other sets of the same size that explain, best first, at most MOST_ALTERNATIVES."""

    common: Removal
    """Positions that every set found of this size has."""

    outcomes: Outcomes | None
    """(n + 1,) the history as it stands, then without each position alone; None when the budget did not reach that
    far, or there is but one position."""

    certificate: Certificate


class BudgetEndedError(Exception):
    """Raised inside a search when the rows or the time are used up."""


@dataclass(slots=True)
class _Search:
    """The state of one search: what was tried, and what it gave."""

    question: Question
    nearness: NDArray[np.int64]
    budget: Budget
    tried: Tried
    hits: dict[Removal, float] = field(default_factory=dict)
    """Sets that explain, with their margins."""

    def ask(self, removals: Sequence[Removal]) -> list[Removal]:
        """Try the sets that were not tried yet; gives those of all that explain.

        Raises:
            BudgetEndedError: the budget did not reach for all of them; those it reached for were tried.
        """
        new = [removal for removal in removals if removal not in self.tried]
        granted = self.budget.grant(len(new))
        if granted:
            margins = self.question.ask(new[:granted]).margin
            self.tried.add(new[:granted], margins)
            for removal, margin in zip(new, margins.tolist(), strict=False):
                if margin < -NEAR_TIE:
                    self.hits[removal] = margin
        if granted < len(new):
            raise BudgetEndedError
        return [removal for removal in removals if removal in self.hits]

    def exhaust(self, size: int, *, to_the_end: bool) -> list[Removal]:
        """Try the sets of one size, most promising first, until a batch holds one that explains, or all of them."""
        batch_size, start = FIRST_BATCH, 0
        sets = promising(self.tried, size)
        while start < len(sets):
            batch = [tuple(row) for row in sets[start : start + batch_size].tolist()]
            if self.ask(batch) and not to_the_end:
                break
            start, batch_size = start + batch_size, min(2 * batch_size, LARGEST_BATCH)
        else:
            if len(sets) < comb(self.tried.n, size):
                raise BudgetEndedError  # more sets than can even be listed
        return self.of_size(size)

    def probe(self, largest: int) -> Removal | None:
        """Try a few promising sets of each size; gives one that explains and of which no part does."""
        for size in range(2, largest + 1):
            hits = self.ask([tuple(row) for row in promising(self.tried, size, PROBES).tolist()])
            if hits:
                return self.reduced(self.best(hits))
        return None

    def reduced(self, removal: Removal) -> Removal:
        """The smallest part of a set that explains as well, or the set itself."""
        for size in range(2, len(removal)):
            parts = self.ask(list(combinations(removal, size)))
            if parts:
                return self.best(parts)
        return removal

    def of_size(self, size: int) -> list[Removal]:
        """Sets of one size that explain."""
        return [removal for removal in self.hits if len(removal) == size]

    def best(self, removals: Iterable[Removal]) -> Removal:
        """The one to show."""
        return min(removals, key=self.preference)

    def preference(self, removal: Removal) -> tuple[int, int, Removal]:
        """Nearest in the PAG, then largest effect, then earliest positions, so that one set is always first."""
        # Rounded, so that noise does not choose between sets of equal effect.
        effect = round(self.hits[removal] / NEAR_TIE)
        return int(self.nearness[list(removal)].sum()), effect, removal


def search(
    question: Question, distance: Sequence[int], max_size: int, budget: Budget, *, exhaust: bool = False
) -> Finding:
    """Find a smallest set that explains.

    Args:
        question: What is asked of the model.
        distance: (n,) each position's distance from the target in the PAG, -1 where it is not reached.
        max_size: Largest set to try. Removing the whole history is never an explanation.
        budget: Polled between batches.
        exhaust: Whether to try all sets of the size that is found, so that the alternatives are complete.

    Raises:
        CancelledError: the caller has gone.
    """
    n = len(question.history.items)
    largest = min(max_size, n - 1)
    nothing_tried = Certificate(None, 1, 0, 0, max(largest, 0), exhausted=False)
    if largest < 1:
        return Finding(Status.NO_COUNTERFACTUAL, (), (), (), None, nothing_tried)
    if budget.grant(n + 1) < n + 1:
        return Finding(Status.BUDGET_EXHAUSTED, (), (), (), None, nothing_tried)
    outcomes = question.ask([(), *((position,) for position in range(n))])
    untouched, *singles = outcomes.margin.tolist()
    if isinf(untouched):  # no more candidates than places: nothing can take the target's
        certificate = Certificate(None, largest + 1, n, 0, largest, exhausted=True)
        return Finding(Status.NO_COUNTERFACTUAL, (), (), (), outcomes, certificate)
    nearness = np.where(np.asarray(distance) < 0, n + 1, distance)
    state = _Search(question, nearness, budget, Tried(untouched, np.array(singles)))
    state.hits = {(position,): margin for position, margin in enumerate(singles) if margin < -NEAR_TIE}
    return _ended(state, _grow(state, largest, exhaust=exhaust), outcomes, largest)


def _grow(state: _Search, largest: int, *, exhaust: bool) -> int:
    """Search by growing size; gives the size below which all sets were tried."""
    if state.of_size(1):
        return 1
    finished = 2
    try:
        candidate = state.probe(largest)
        while finished <= largest:
            if candidate is not None and len(candidate) == finished and not exhaust:
                break
            if state.exhaust(finished, to_the_end=exhaust):
                break
            finished += 1
    except BudgetEndedError:
        pass
    return finished


def _ended(state: _Search, below: int, outcomes: Outcomes, largest: int) -> Finding:
    """What a search has to say, given the size below which all sets were tried."""
    tried = state.tried
    if not state.hits:
        done = below > largest
        status = Status.NO_COUNTERFACTUAL if done else Status.BUDGET_EXHAUSTED
        certificate = Certificate(None, below, len(tried), 0, largest, exhausted=done)
        return Finding(status, (), (), (), outcomes, certificate)
    size = min(map(len, state.hits))
    ranked = sorted(state.of_size(size), key=state.preference)
    certificate = Certificate(
        _kind(state, ranked[0], below),
        below,
        len(tried),
        len(ranked) - 1,
        largest,
        exhausted=tried.count(size) == comb(tried.n, size),
    )
    common = tuple(sorted(set.intersection(*map(set, ranked))))
    return Finding(Status.EXPLAINED, ranked[0], tuple(ranked[1 : 1 + MOST_ALTERNATIVES]), common, outcomes, certificate)


def _kind(state: _Search, removal: Removal, below: int) -> CertificateKind:
    if len(removal) <= below:
        return CertificateKind.MINIMUM
    parts = (part for size in range(2, len(removal)) for part in combinations(removal, size))
    return CertificateKind.IRREDUCIBLE if all(part in state.tried for part in parts) else CertificateKind.BEST_FOUND
