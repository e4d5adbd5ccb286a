"""One user's question, what methods may look at to answer it, and the memory of what the model was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from explainer.graphs import HeadReading, nearest, read_heads
from explainer.model import Outcomes
from explainer.search import Question
from explainer.tree import InfluenceTree, possible_influence_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from explainer.model import ExplainableModel, History, Removal
    from explainer.settings import Settings

Memory = dict[tuple[int, ...], tuple[float, int, float, float]]
"""Score, rank, probability and margin of the target by removal."""


@runtime_checkable
class MarginGradient(Protocol):
    """What the method `gradient` asks of a model besides `ExplainableModel`; a model without it goes without the method."""

    def margin_gradient(self, history: History, target: str, *, top_k: int = 1) -> NDArray[np.float64]:
        """Slope (n,) of the target's margin over a gate on each item: positive where the item speaks for the target."""
        ...


@dataclass(frozen=True, slots=True)
class Case:
    """A user's history and the item that is to be explained: the top recommendation."""

    user: str
    history: History
    target: str

    @property
    def n(self) -> int:
        """Number of items in the history."""
        return len(self.history.items)


@dataclass(frozen=True, slots=True)
class RememberingQuestion(Question):
    """A question that is put to the model once, however many methods ask it; each method's questions are counted."""

    memory: Memory = field(default_factory=dict)
    """Shared between the methods that answer the same question."""

    asked: set[Removal] = field(default_factory=set)
    """Distinct sets that this method asked about."""

    def ask(self, removals: Sequence[Removal]) -> Outcomes:
        """Score the history without each of the removals, or remember."""
        self.asked.update(removals)
        return self.peek(removals)

    def peek(self, removals: Sequence[Removal]) -> Outcomes:
        """As ``ask``, off the record: for what the evaluation itself wants to know."""
        new = [removal for removal in dict.fromkeys(removals) if removal not in self.memory]
        if new:
            outcomes = super(RememberingQuestion, self).ask(new)
            rows = zip(
                outcomes.target_score.tolist(),
                outcomes.target_rank.tolist(),
                outcomes.target_probability.tolist(),
                outcomes.margin.tolist(),
                strict=True,
            )
            self.memory.update(zip(new, rows, strict=True))
        score, rank, probability, margin = zip(*(self.memory[removal] for removal in removals), strict=True)
        return Outcomes(np.array(score), np.array(rank), np.array(probability), np.array(margin))

    def falls(self, removal: Removal) -> bool:
        """Whether the target leaves its place without these positions."""
        return bool(self.ask([removal]).left[0])


class Signals:
    """What methods look at before they ask: attention, graphs, trees, gradient. Computed when first wanted.

    Args:
        model: The model.
        case: The user.
        settings: How graphs are learnt; ``n_samples`` None stands for the model's hidden size.
        top_k: The place that the gradient is taken of.
    """

    def __init__(self, model: ExplainableModel, case: Case, settings: Settings, top_k: int) -> None:
        self._model = model
        self.case = case
        self.settings = settings
        self._top_k = top_k

    @cached_property
    def matrices(self) -> NDArray[np.float64]:
        """(heads, n + 1, n + 1) attention of the abductive pass."""
        return self._model.attention(self.case.history, self.case.target)

    @cached_property
    def attention(self) -> NDArray[np.float64]:
        """(n,) what the target attends to, mean of the heads."""
        row: NDArray[np.float64] = self.matrices[:, -1, :-1].mean(axis=0)
        return row

    @cached_property
    def readings(self) -> list[HeadReading]:
        """One graph for each head."""
        return read_heads(self.matrices, self.settings)

    @cached_property
    def trees(self) -> list[InfluenceTree]:
        """The possible-influence tree of the target in each head's graph."""
        return [possible_influence_tree(reading.pag, self.case.n) for reading in self.readings]

    @cached_property
    def distance(self) -> list[int]:
        """(n,) least distance from the target over the heads, -1 where no head reaches."""
        return nearest(self.readings)

    @cached_property
    def nearness(self) -> NDArray[np.int64]:
        """(n,) the same with n + 1 where no head reaches, so that it can be sorted."""
        return as_nearness(self.distance)

    @property
    def has_gradient(self) -> bool:
        """Whether the model has a gradient to give."""
        return isinstance(self._model, MarginGradient)

    @cached_property
    def gradient(self) -> NDArray[np.float64]:
        """(n,) slope of the margin over each item's gate.

        Raises:
            TypeError: the model has no gradient to give.
        """
        if not isinstance(self._model, MarginGradient):
            raise TypeError("The model has no margin_gradient; leave out the method `gradient`.")
        return self._model.margin_gradient(self.case.history, self.case.target, top_k=self._top_k)


def as_nearness(distance: Sequence[int]) -> NDArray[np.int64]:
    """Distances (n,) with n + 1 in place of the -1 of what is not reached."""
    given = np.asarray(distance, dtype=np.int64)
    return np.where(given < 0, len(given) + 1, given)
