"""Does the graph mean something? Whether items next to the target in the graph have larger effects than the others.

An item's effect is what the target's margin loses without it alone; it can be negative. The area under the ROC curve is
taken within each user, so that users of large effects do not decide. The same number of items is then taken by attention
and by recency: what a graph says that these do not say has to show against them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from explainer.evaluation.statistics import auc
from explainer.graphs import read_heads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explainer.evaluation.subject import Signals
    from explainer.settings import Settings

UNION = "any head"
ALPHAS = (0.001, 0.01, 0.05, 0.1)


@dataclass(frozen=True, slots=True, order=True)
class Choice:
    """One way to learn the graph."""

    alpha: float
    n_samples: int
    temporal: bool

    @classmethod
    def of(cls, settings: Settings) -> Choice:
        """The choice that settings make, once nothing in them is left to the model."""
        return cls(settings.alpha, settings.n_samples or 0, bool(settings.temporal))

    def __str__(self) -> str:
        return f"alpha {self.alpha:g}, d {self.n_samples}, {'temporal' if self.temporal else 'not temporal'}"


@dataclass(frozen=True, slots=True)
class Reach:
    """How one head's neighbours of the target did, for one user."""

    share: float
    """Share of the items that are adjacent to the target."""

    auc: float
    """Chance that an adjacent item has the larger effect; NaN without adjacent or without other items."""

    hits: float
    """1 when an adjacent item takes the target from its place alone, 0 when only others do, NaN when none does."""

    size_auc: float
    """As ``auc``, for the size of the effect without its sign."""


def grid(hidden_size: int, heads: int) -> list[Choice]:
    """The choices that are compared: alpha, d = hidden or head size, temporal or not."""
    sizes = sorted({hidden_size, hidden_size // heads})
    return [Choice(*chosen) for chosen in product(ALPHAS, sizes, (False, True))]


def adjacent(signals: Signals, choice: Choice) -> dict[str, NDArray[np.bool_]]:
    """Which items (n,) are adjacent to the target in each head's graph, and in any."""
    settings = replace(signals.settings, alpha=choice.alpha, n_samples=choice.n_samples, temporal=choice.temporal)
    by_head = {
        f"head {reading.head}": reading.pag.marks[-1, :-1] != 0 for reading in read_heads(signals.matrices, settings)
    }
    return {**by_head, UNION: np.any(list(by_head.values()), axis=0)}


def reach(members: NDArray[np.bool_], effects: NDArray[np.float64], decides: NDArray[np.bool_]) -> Reach:
    """How a choice of items does.

    Args:
        members: (n,) the choice.
        effects: (n,) what the margin loses without each item.
        decides: (n,) whether the target falls without it.
    """
    hits = float((members & decides).any()) if decides.any() else float("nan")
    return Reach(float(members.mean()), auc(effects, members), hits, auc(np.abs(effects), members))


def rivals(
    signals: Signals, chosen: dict[str, NDArray[np.bool_]], random: np.random.Generator
) -> dict[str, NDArray[np.bool_]]:
    """As many items as any head's graph has neighbours, chosen without the graph."""
    n, count = signals.case.n, int(chosen[UNION].sum())
    scores = {
        "attention, as many": signals.attention,
        "recency, as many": np.arange(n),
        "shuffled, as many": random.permutation(n),
    }
    return {name: np.argsort(np.argsort(-score, kind="stable")) < count for name, score in scores.items()}
