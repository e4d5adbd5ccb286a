"""What the model is fed for a history without some of its items, by the intervention that says what "without" means.

Every intervention but MASK_OUT gives an ordinary sequence of items. Sequences are grouped by their length, because the
network computes histories of one length at a time; the order of the answers is kept.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np

from explainer.settings import Intervention
from recommender.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from explainer.model import Removal


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences of one length."""

    places: tuple[int, ...]
    """Which of the removals each is the answer to."""

    sequences: tuple[tuple[int, ...], ...]
    """Item numbers, oldest first, without the mask at the end."""


def check_removals(removals: Sequence[Removal], length: int) -> None:
    """Make sure that every removal is a set of positions of a history of this length.

    Raises:
        HistoryError: one is not ascending, repeats a position, or leaves the history.
    """
    if not any(removals):
        return
    rows, positions = flat_positions(removals)
    descending = (np.diff(positions) <= 0) & (np.diff(rows) == 0)
    if not descending.any() and positions.min() >= 0 and positions.max() < length:
        return
    for removal in removals:
        ascending = all(first < second for first, second in pairwise(removal))
        if removal and not (ascending and removal[0] >= 0 and removal[-1] < length):
            raise HistoryError(
                f"{removal} is no set of positions of a history of {length} items; give ascending positions from 0, each once."
            )


def flat_positions(removals: Sequence[Removal]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and position of every removed item, row by row."""
    rows = np.repeat(np.arange(len(removals)), np.array([len(removal) for removal in removals], np.intp))
    return rows, np.fromiter(chain.from_iterable(removals), np.intp, len(rows))


def edited(
    items: Sequence[int], older: Sequence[int], removals: Sequence[Removal], intervention: Intervention, mask: int
) -> Iterator[Group]:
    """The sequences of a history without each removal, grouped by length.

    Args:
        items: item numbers of the history, oldest first.
        older: those from before the model's window, oldest first.
        removals: positions to go without.
        intervention: DELETE, DELETE_BACKFILL or MASK_TOKEN.
        mask: number of the mask token, for MASK_TOKEN.
    """
    by_length: defaultdict[int, list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    for place, removal in enumerate(removals):
        gone = set(removal)
        if intervention is Intervention.MASK_TOKEN:
            sequence = tuple(mask if position in gone else item for position, item in enumerate(items))
        else:
            sequence = tuple(item for position, item in enumerate(items) if position not in gone)
            if intervention is Intervention.DELETE_BACKFILL and gone:
                sequence = (*older[max(len(older) - len(gone), 0) :], *sequence)
        by_length[len(sequence)].append((place, sequence))
    for group in by_length.values():
        places, sequences = zip(*group, strict=True)
        yield Group(places, sequences)
