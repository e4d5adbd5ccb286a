"""The explainers that are compared. Each is given the same question, and each question it asks is counted.

A method gives a set without which the target falls, verified on the model, or none, and an order of all items by how much
it thinks that they matter. `exact`, `cleann` and `becausal` try sets of up to ``max_size`` items; the others add one item
after the other and may go on to all but one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from explainer.budget import Budget
from explainer.explanation import CertificateKind
from explainer.search import search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from explainer.evaluation.subject import RememberingQuestion, Signals
    from explainer.model import Removal

Ranking = tuple[int, ...]
"""All positions, most important first."""

GRADIENT_ROWS = 2
"""One forward and one backward pass, counted as a row each."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method says."""

    removed: Removal
    """The set, or () when it found none."""

    ranking: Ranking
    rows: int
    """Counterfactual histories it had scored."""

    certificate: CertificateKind | None
    """What the sets it asked about prove of the one it gives."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a method is given."""

    question: RememberingQuestion
    signals: Signals
    max_size: int
    max_rows: int
    random: np.random.Generator

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.signals.case.n

    @property
    def largest(self) -> int:
        """Largest set that may be tried: never the whole history."""
        return min(self.max_size, self.n - 1)


def answer(method: str, task: Task) -> Answer:
    """Let a method answer, and say what it cost and what it has proved."""
    removed, ranking = METHODS[method](task)
    rows = len(task.question.asked) + (GRADIENT_ROWS if method == "gradient" else 0)
    return Answer(removed, ranking, rows, certificate(removed, task.question.asked, task.n))


def certificate(removed: Removal, asked: Iterable[Removal], n: int) -> CertificateKind | None:
    """What the sets that were asked about prove of a set: nothing smaller works, no part works, or neither."""
    if not removed:
        return None
    everything = set(asked)
    counts = Counter(len(one) for one in everything)
    smaller = range(1, len(removed))
    if all(counts[size] == comb(n, size) for size in smaller):
        return CertificateKind.MINIMUM
    if all(part in everything for size in smaller for part in combinations(removed, size)):
        return CertificateKind.IRREDUCIBLE
    return CertificateKind.BEST_FOUND


def exact(task: Task) -> tuple[Removal, Ranking]:
    """All sets of growing size, to the last of the first size at which one works; of those the largest effect."""
    for size in range(1, task.largest + 1):
        sets = list(combinations(range(task.n), size))
        margins = task.question.ask(sets).margin
        best = int(margins.argmin())
        if task.question.peek([sets[best]]).left[0]:
            return sets[best], _first(sets[best], _by_effect(task))
    return (), _by_effect(task)


def becausal(task: Task) -> tuple[Removal, Ranking]:
    """The service's own search, with its defaults."""
    found = search(task.question, task.signals.distance, task.max_size, Budget(task.max_rows))
    return found.removed, _first(found.removed, _by_effect(task))


def cleann(task: Task) -> tuple[Removal, Ranking]:
    """The paper as it stands (Rohekar et al. 2023, section 4.3), one tree for each head.

    Tree-legal sets by growing size, then summed distance; all of the first size at which one works are tried. Candidates
    of the heads are joined, each at its least distance. The first in this order is the answer.
    """
    by_distance = tuple(np.lexsort((-np.arange(task.n), task.signals.nearness)).tolist())
    for size in range(1, task.largest + 1):
        distances: dict[Removal, int] = {}
        for tree in task.signals.trees:
            for chosen in tree.connected_sets(size):
                summed = int(tree.distance[list(chosen)].sum())
                distances[chosen] = min(summed, distances.get(chosen, summed))
        sets = sorted(distances, key=lambda chosen: (distances[chosen], chosen))
        if sets:
            left = task.question.ask(sets).left
            if left.any():
                found = sets[int(left.argmax())]
                return found, _first(found, by_distance)
    return (), by_distance


def attention(task: Task) -> tuple[Removal, Ranking]:
    """Add items by the attention that the target pays them, mean of the heads, until the target falls."""
    ranking = _descending(task.signals.attention)
    return _until_it_falls(task, ranking), ranking


def attention_pruned(task: Task) -> tuple[Removal, Ranking]:
    """The same, then take back what is not needed, least attended first."""
    ranking = _descending(task.signals.attention)
    kept = _until_it_falls(task, ranking)
    for position in reversed(ranking):
        fewer = tuple(one for one in kept if one != position)
        if position in kept and fewer and task.question.falls(fewer):
            kept = fewer
    return kept, _first(kept, ranking)


def occlusion(task: Task) -> tuple[Removal, Ranking]:
    """Add items by what the margin loses without each alone, until the target falls."""
    ranking = _by_effect(task)
    if task.n > 1:
        task.question.ask([(), *((position,) for position in range(task.n))])
    return _until_it_falls(task, ranking), ranking


def gradient(task: Task) -> tuple[Removal, Ranking]:
    """Add items by the slope of the margin over their gate, until the target falls."""
    ranking = _descending(task.signals.gradient)
    return _until_it_falls(task, ranking), ranking


def recency(task: Task) -> tuple[Removal, Ranking]:
    """Add the newest items until the target falls."""
    ranking = tuple(range(task.n - 1, -1, -1))
    return _until_it_falls(task, ranking), ranking


def random(task: Task) -> tuple[Removal, Ranking]:
    """Add items in a random order until the target falls."""
    ranking = tuple(task.random.permutation(task.n).tolist())
    return _until_it_falls(task, ranking), ranking


METHODS: dict[str, Callable[[Task], tuple[Removal, Ranking]]] = {
    "exact": exact,
    "becausal": becausal,
    "cleann": cleann,
    "attention": attention,
    "attention-pruned": attention_pruned,
    "occlusion": occlusion,
    "gradient": gradient,
    "recency": recency,
    "random": random,
}
"""By name, in the order of every table. `exact` is first: what it asks, the others need not ask again."""


def _until_it_falls(task: Task, ranking: Ranking) -> Removal:
    for size in range(1, task.n):
        removal = tuple(sorted(ranking[:size]))
        if task.question.falls(removal):
            return removal
    return ()


def _by_effect(task: Task) -> Ranking:
    """All positions by the margin without each alone. Off the record: the callers have asked, or could have."""
    if task.n == 1:
        return (0,)
    return _descending(-task.question.peek([(position,) for position in range(task.n)]).margin)


def _descending(values: NDArray[np.float64]) -> Ranking:
    """Positions by falling value, the newer first among equals."""
    return tuple(np.lexsort((-np.arange(len(values)), -values)).tolist())


def _first(removed: Removal, ranking: Ranking) -> Ranking:
    """The ranking with the set moved to the front."""
    return (*(one for one in ranking if one in removed), *(one for one in ranking if one not in removed))
