"""How well a model predicts held-out items, in the two conventions that must never be mixed.

RecBole scores sequential models over the whole catalogue, items that the user has had included. A service does not
recommend those, and half of a model's raw list can be such items, so figures with the history excluded are about twice
as high. Every figure here says which convention it follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from recommender.dataset import HeldOut
    from recommender.model import Recommender

AT_ONCE: Final = 512
"""Histories that are scored at once."""


def _discount(rank: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 1 / np.log2(rank + 1)
    return result


METRICS: Final[dict[str, Callable[[NDArray[np.float64], int], NDArray[np.float64]]]] = {
    "hit": lambda rank, _: np.ones_like(rank),
    "map": lambda rank, _: 1 / rank,
    "mrr": lambda rank, _: 1 / rank,
    "ndcg": lambda rank, _: _discount(rank),
    "precision": lambda rank, k: np.full_like(rank, 1 / k),
    "recall": lambda rank, _: np.ones_like(rank),
}
"""RecBole's ranking metrics for one held-out item: what a rank within the first k is worth."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Share of held-out items in the first k, and their discounted gain; means over users."""

    users: int
    k: int
    hit: float
    ndcg: float

    def __str__(self) -> str:
        return f"HR@{self.k} {self.hit:.4f}, NDCG@{self.k} {self.ndcg:.4f} over {self.users} users"


def ranks(recommender: Recommender, held_out: Sequence[HeldOut], *, exclude_history: bool) -> NDArray[np.int64]:
    """Rank of each held-out item, from 1.

    Args:
        recommender: the model.
        held_out: what to predict.
        exclude_history: whether items that the user has had are no candidates. Without it the ranks are RecBole's.

    Raises:
        UnknownItemError: a token is not in the catalogue.
    """
    found: list[int] = []
    for start in range(0, len(held_out), AT_ONCE):
        part = held_out[start : start + AT_ONCE]
        scores = recommender.scores([recommender.window(case.history) for case in part])
        scores[:, 0] = -np.inf
        for row, case in zip(scores, part, strict=True):
            target = recommender.bundle.catalogue.number(case.target)
            own = row[target]
            if exclude_history:
                row[[recommender.bundle.catalogue.number(token) for token in case.history]] = -np.inf
            found.append(1 + int((row > own).sum()))
    return np.array(found, np.int64)


def metric(name: str, rank: NDArray[np.int64]) -> float:
    """A RecBole metric such as ``NDCG@10``, from ranks.

    Raises:
        KeyError, ValueError: it is none of `METRICS`.
    """
    kind, _, cut = name.lower().partition("@")
    k = int(cut)
    worth = METRICS[kind](rank.astype(np.float64), k)
    return float(np.where(rank <= k, worth, 0).mean())


def quality(recommender: Recommender, held_out: Sequence[HeldOut], *, exclude_history: bool, k: int = 10) -> Quality:
    """Hit rate and NDCG at k, in the convention that is named."""
    rank = ranks(recommender, held_out, exclude_history=exclude_history)
    return Quality(len(rank), k, metric(f"hit@{k}", rank), metric(f"ndcg@{k}", rank))
