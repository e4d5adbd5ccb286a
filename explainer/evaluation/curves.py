"""The field's own measures of an order of items and of a set, for one user.

POS, NEG, DEL and INS at 1 to 5 items: Barkan et al., "A Counterfactual Framework for Learning and Evaluating Explanations
for Recommender Systems" (LXR), WWW 2024, doi 10.1145/3589334.3645560, with the fixed lengths of "Refining Fidelity
Metrics", SIGIR 2025, doi 10.1145/3726302.3730242. PN-S and PN-R: CFExpRec, SIGIR 2026, arXiv 2604.19663.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from explainer.evaluation.methods import Ranking
    from explainer.evaluation.subject import RememberingQuestion

LENGTHS = (1, 2, 3, 4, 5)
"""How many items are removed, or kept."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Each (5,) by number of items; NaN where the history is too short to leave one item."""

    pos: NDArray[np.float64]
    """1 while the target keeps its place without the most important items: lower is better."""

    neg: NDArray[np.float64]
    """1 while it keeps its place without the least important items: higher is better."""

    deletion: NDArray[np.float64]
    """The target's probability without the most important items over that with all: lower is better."""

    insertion: NDArray[np.float64]
    """The target's probability from the most important items alone over that with all: higher is better."""


def curves(question: RememberingQuestion, ranking: Ranking) -> Curves:
    """Remove, and keep, the first and the last items of a ranking. Off the record."""
    n = len(ranking)
    columns = np.full((4, len(LENGTHS)), np.nan)
    lengths = [length for length in LENGTHS if length < n]
    if lengths:
        first = [tuple(sorted(ranking[:length])) for length in lengths]
        last = [tuple(sorted(ranking[n - length :])) for length in lengths]
        others = [tuple(sorted(ranking[length:])) for length in lengths]
        outcomes = question.peek([(), *first, *last, *others])
        stays = ~outcomes.left[1:].reshape(3, -1)
        odds = outcomes.target_probability[1:].reshape(3, -1) / outcomes.target_probability[0]
        columns[:, : len(lengths)] = [stays[0], stays[1], odds[0], odds[2]]
    return Curves(*columns)


def pn_s(before: Sequence[str], after: Sequence[str]) -> float:
    """Share of the first k places that go to other items.

    Args:
        before: the list of k, best first.
        after: the list of k without the set.
    """
    return len(set(after) - set(before)) / len(before)


def pn_r(before: Sequence[str], after: Sequence[str]) -> float:
    """The same with places discounted by 1 / log2(1 + rank): new items at the top count more."""
    discount = 1 / np.log2(np.arange(2, len(before) + 2))
    new = np.array([item not in before for item in after], dtype=bool)
    return float(discount[: len(new)][new].sum() / discount.sum())
