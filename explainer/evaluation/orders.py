"""Does the graph help to search? Orders of trying, each at the same question: how many sets until the first that works?

All orders try sets by growing size, so that all prove the same; they differ within a size. A signal that speaks of items
speaks of a set by its sum. What the graph gives is compared with the same graph whose items are shuffled, with the
correlations that it was learnt from, and with graphs of uniform attention and of a model with random weights.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from explainer.attention import attention_correlation
from explainer.evaluation.subject import as_nearness
from explainer.graphs import nearest, read_heads
from explainer.order import Tried, promising

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from explainer.evaluation.subject import RememberingQuestion, Signals
    from explainer.settings import Settings

ASKS_SINGLES = ("occlusion", "becausal")
"""Orders that rest on what the single removals did, so that they try all of them whatever comes first."""

ORDERS = (
    "becausal",
    "occlusion",
    "gradient",
    "recency",
    "attention",
    "correlation",
    "graph",
    "graph, then recency",
    "shuffled graph",
    "shuffled graph, then recency",
    "graph of uniform attention",
    "graph of random weights",
    "random",
)
"""By name, in the order of the table."""


def sets_of_first_size(
    question: RememberingQuestion, n: int, largest: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """All sets (m, size) of the first size at which one works, and which work (m,); empty when none does."""
    for size in range(1, largest + 1):
        sets = list(combinations(range(n), size))
        left = question.peek(sets).left
        if left.any():
            return np.array(sets), left
    return np.empty((0, 0), np.int64), np.empty(0, np.bool_)


def tries(
    signals: Signals,
    question: RememberingQuestion,
    sets: NDArray[np.int64],
    works: NDArray[np.bool_],
    *,
    random_weights: NDArray[np.float64] | None,
    random: np.random.Generator,
) -> dict[str, int]:
    """How many sets of the first size that has one each order tries until the first that works.

    Args:
        signals: What may be looked at.
        question: What was asked.
        sets: (m, size) all sets of that size.
        works: (m,) which of them work.
        random_weights: (heads, n + 1, n + 1) attention of a model with random weights; None leaves that order out.
        random: Decides between equals.
    """
    n, size = signals.case.n, sets.shape[1]
    tie = random.permutation(len(sets)).astype(np.float64)
    recent = -sets.sum(axis=1) + tie / len(sets)  # equally recent sets come in a random order, too
    found = {
        name: _first(key[sets].sum(axis=1), recent if name.endswith("recency") else tie, works)
        for name, key in _keys(signals, random_weights, random).items()
    }
    if size == 1:
        found["occlusion"] = found["becausal"] = n
        return found
    single = question.peek([(position,) for position in range(n)]).margin
    found["occlusion"] = _first(single[sets].sum(axis=1), tie, works)
    found["becausal"] = _becausal(question, n, sets, works)
    return found


def rows_before(n: int, size: int) -> int:
    """Sets that are smaller than this size."""
    return sum(comb(n, smaller) for smaller in range(1, size))


def _keys(
    signals: Signals, random_weights: NDArray[np.float64] | None, random: np.random.Generator
) -> Mapping[str, NDArray[np.float64] | NDArray[np.int64]]:
    """One value per item (n,) for each signal, least first."""
    n = signals.case.n
    shuffled = random.permutation(signals.nearness)
    keys: dict[str, NDArray[np.float64] | NDArray[np.int64]] = {
        "recency": -np.arange(n),
        "attention": -signals.attention,
        "correlation": -np.mean([attention_correlation(matrix)[-1, :-1] for matrix in signals.matrices], axis=0),
        "graph": signals.nearness,
        "graph, then recency": signals.nearness,
        "shuffled graph": shuffled,
        "shuffled graph, then recency": shuffled,
        "graph of uniform attention": _uniform(n, signals.settings),
        "random": np.zeros(n),
    }
    if random_weights is not None:
        keys["graph of random weights"] = as_nearness(nearest(read_heads(random_weights, signals.settings)))
    if signals.has_gradient:
        keys["gradient"] = -signals.gradient
    return keys


def _first(key: NDArray[np.float64], tie: NDArray[np.float64], works: NDArray[np.bool_]) -> int:
    """Place, from 1, of the first set that works when sets are tried by key, then by tie."""
    best = np.lexsort((tie[works], key[works]))[0]
    least, last = key[works][best], tie[works][best]
    return 1 + int((key < least).sum() + ((key == least) & (tie < last)).sum())


def _becausal(question: RememberingQuestion, n: int, sets: NDArray[np.int64], works: NDArray[np.bool_]) -> int:
    """As ``_first``, in the order of explainer/order.py once all smaller sets were tried."""
    size = sets.shape[1]
    untouched, *single = question.peek([(), *((position,) for position in range(n))]).margin.tolist()
    tried = Tried(untouched, np.array(single))
    for smaller in range(2, size):
        smaller_sets = list(combinations(range(n), smaller))
        tried.add(smaller_sets, question.peek(smaller_sets).margin)
    hits = {tuple(one) for one in sets[works].tolist()}
    return 1 + next(place for place, one in enumerate(promising(tried, size).tolist()) if tuple(one) in hits)


@lru_cache(maxsize=256)
def _uniform(n: int, settings: Settings) -> NDArray[np.int64]:
    """Nearness in the graph of attention that is the same everywhere."""
    return as_nearness(nearest(read_heads(np.full((1, n + 1, n + 1), 1 / (n + 1)), settings)))
