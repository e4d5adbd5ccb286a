"""Several questions at once: what the network predicts for each, computed together where sequences have one length.

A forward pass over a handful of short histories costs little more than over one of them, since most of its time goes into
starting operations. Every history has the same bits as alone (docs/decisions/0203-the-same-bits-in-any-company.md), so
nobody can tell from an answer who else was asking.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from explainer.settings import Intervention
from recommender.counterfactuals import check_removals, edited

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from explainer.model import Removal
    from recommender.engine import Engine

    _Piece: TypeAlias = tuple[Sequence[int], Tensor]


@dataclass(frozen=True, slots=True)
class Question:
    """What is predicted after a history without each of some removals."""

    numbers: tuple[int, ...]
    """Item numbers of the window, oldest first."""

    older: tuple[int, ...]
    """Those from before the window, for DELETE_BACKFILL."""

    removals: Sequence[Removal]
    intervention: Intervention

    def __post_init__(self) -> None:
        """Check the removals.

        Raises:
            HistoryError: one is no set of positions of the history.
        """
        check_removals(self.removals, len(self.numbers))

    @property
    def untouched(self) -> list[int]:
        """Which of the removals take nothing away."""
        return [place for place, removal in enumerate(self.removals) if not removal]

    @property
    def touched(self) -> list[int]:
        """Which of the removals take something away."""
        return [place for place, removal in enumerate(self.removals) if removal]

    @property
    def rows(self) -> int:
        """Histories that it takes to answer."""
        return len(self.removals)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Which candidates come first after a history, or after it without one set of its items."""

    question: Question
    """With one removal."""

    excluded: NDArray[np.int64]
    """Item numbers that are no candidates, the padding item among them."""

    k: int
    """How many are wanted, 1 or more."""

    @property
    def rows(self) -> int:
        """Histories that it takes to answer."""
        return self.question.rows


def answers(engine: Engine, asked: Sequence[Question | Ranking]) -> list[Tensor | list[tuple[int, float]]]:
    """(rows, H) for each question; item numbers and scores, best first and equal ones by number, for each ranking.

    Raises:
        HistoryError: a question leaves nothing to predict from.
    """
    found: list[Any] = [*predictions(engine, [one.question if isinstance(one, Ranking) else one for one in asked])]
    rankings = {place: one for place, one in enumerate(asked) if isinstance(one, Ranking)}
    if rankings:
        lists = engine.scorer.top(
            torch.cat([found[place] for place in rankings]),
            [one.excluded for one in rankings.values()],
            [one.k for one in rankings.values()],
        )
        for place, listed in zip(rankings, lists, strict=True):
            found[place] = listed
    return found


def predictions(engine: Engine, questions: Sequence[Question]) -> list[Tensor]:
    """(rows, H) for each question.

    Raises:
        HistoryError: a question leaves nothing to predict from.
    """
    pieces: list[list[_Piece]] = [[] for _ in questions]
    whole: defaultdict[int, list[tuple[list[_Piece], Sequence[int], Sequence[Sequence[int]]]]] = defaultdict(list)
    hidden: defaultdict[int, list[tuple[list[_Piece], Sequence[int], Question]]] = defaultdict(list)
    for question, found in zip(questions, pieces, strict=True):
        for places, sequences in _sequences(engine, question):
            whole[len(sequences[0])].append((found, places, sequences))
        if question.intervention is Intervention.MASK_OUT and (places := question.touched):
            hidden[len(question.numbers)].append((found, places, question))
    for group in whole.values():
        states = engine.predict(list(chain.from_iterable(sequences for _, _, sequences in group)))
        start = 0
        for found, places, sequences in group:
            found.append((places, states[start : start + len(sequences)]))
            start += len(sequences)
    for parts in hidden.values():
        asked = [(one.numbers, [one.removals[place] for place in places]) for _, places, one in parts]
        for (found, places, _), versions in zip(parts, engine.hide(asked), strict=True):
            found.append((places, versions))
    return [_assembled(engine, question.rows, found) for question, found in zip(questions, pieces, strict=True)]


def _assembled(engine: Engine, rows: int, pieces: Sequence[_Piece]) -> Tensor:
    """One answer of pieces, each of which has its places; a single row may have several."""
    if len(pieces) == 1 and len(pieces[0][1]) == rows:
        return pieces[0][1]
    answer = engine.empty(rows)
    for places, states in pieces:
        answer[list(places)] = states
    return answer


def _sequences(engine: Engine, question: Question) -> Iterator[tuple[Sequence[int], Sequence[Sequence[int]]]]:
    """The places of a question that ordinary sequences answer, and these, by length: one for each place, or one for all."""
    # The history as it stands is computed in one way whatever the intervention, and has the same bits.
    if untouched := question.untouched:
        yield untouched, [question.numbers]
    if question.intervention is Intervention.MASK_OUT:
        return
    rest = question.touched
    removals = [question.removals[place] for place in rest]
    mask = engine.architecture.items
    for group in edited(question.numbers, question.older, removals, question.intervention, mask):
        yield [rest[place] for place in group.places], group.sequences
