"""What the explainer asks of a model.

Any model that can rank a history, rank it again without some of its items, and give one attention matrix can be
explained; nothing here knows about recommenders' insides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from explainer.settings import Intervention

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

NEAR_TIE = 1e-4
"""Score difference below which two items count as level: far above the noise of float32 arithmetic, far below any
difference that decides a real list."""

Removal = tuple[int, ...]
"""Positions of ``History.items`` to go without, ascending and without repeats."""


@dataclass(frozen=True, slots=True)
class History:
    """One user's item tokens, oldest first, cut where the model's window begins."""

    items: tuple[str, ...]
    """What the model sees. Positions count from 0 here. The same item twice is two positions."""

    older: tuple[str, ...] = ()
    """What came before the window: never recommended again, and what DELETE_BACKFILL brings in."""


@dataclass(frozen=True, slots=True)
class ScoredItem:
    """An item token and its score."""

    item: str
    score: float


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What happens to the target in m counterfactual histories, one entry each."""

    target_score: NDArray[np.float64]
    """(m,) the target's score."""

    target_rank: NDArray[np.int64]
    """(m,) 1 + the number of other candidates whose score is higher by more than NEAR_TIE."""

    target_probability: NDArray[np.float64]
    """(m,) softmax of the scores over the candidates, at the target."""

    margin: NDArray[np.float64]
    """(m,) the target's score minus that of the top_k-th best other candidate; inf where there are fewer."""

    @property
    def left(self) -> NDArray[np.bool_]:
        """(m,) whether the target has left the top k, by more than a near-tie."""
        return self.margin < -NEAR_TIE


class ExplainableModel(Protocol):
    """A model whose output is to be explained.

    Candidates are always the catalogue without every item of the *given* history (window and older); what a
    counterfactual removes stays excluded too, since otherwise removing an item would "recommend" that very item.
    Scores are deterministic: a history has the same scores, bit for bit, whatever it is computed together with.
    """

    @property
    def version(self) -> str:
        """Digest that names the model's content, as in ``sha256:...``."""
        ...

    @property
    def hidden_size(self) -> int:
        """Width of the deepest layer: the default sample size of the independence test."""
        ...

    @property
    def causal(self) -> bool:
        """Whether no token attends to later ones, so that the order of the tokens is a causal order."""
        ...

    @property
    def ranks_nothing(self) -> bool:
        """Whether the model can rank a history from which every item was removed."""
        ...

    def supports(self, intervention: Intervention) -> bool:
        """Whether the model has a way to carry out the intervention."""
        ...

    def top(
        self,
        history: History,
        k: int,
        removal: Removal = (),
        intervention: Intervention = Intervention.MASK_OUT,
    ) -> tuple[ScoredItem, ...]:
        """The k candidates of highest score, best first; equal scores in catalogue order. Fewer when there are fewer."""
        ...

    def places(self, history: History, items: Sequence[str]) -> tuple[tuple[int, float], ...]:
        """Rank (by the order of ``top``) and score of each of these candidates in the full list for the history."""
        ...

    def attention(self, history: History, target: str) -> NDArray[np.float64]:
        """Deepest attention of the abductive pass [s1 ... sn, target], no mask token: (heads, n + 1, n + 1), rows sum to 1."""
        ...

    def without(
        self,
        history: History,
        target: str,
        removals: Sequence[Removal],
        *,
        top_k: int = 1,
        intervention: Intervention = Intervention.MASK_OUT,
    ) -> Outcomes:
        """Score the history once per removal. An empty removal is the history as it stands."""
        ...

    def shifted(self, history: History, target: str, *, top_k: int = 1) -> Outcomes:
        """One outcome: every position one later with nothing removed, the control for position effects."""
        ...
