"""What would be recommended if the history were another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from explainer.explanation import RankedItem
from server.errors import InvalidFieldError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from explainer.model import History, Removal, ScoredItem
    from explainer.settings import Intervention
    from recommender import Recommender


@dataclass(frozen=True, slots=True)
class Edit:
    """A history and what to change in it."""

    items: Sequence[str]
    remove: Sequence[int]
    """Positions of ``items``, counted from 0."""

    add: Sequence[str]
    """Item tokens to come after the newest item, oldest first."""

    intervention: Intervention


@dataclass(frozen=True, slots=True)
class Movement:
    """An item that stands in the list before or after; a rank is None where it is no candidate."""

    item: str
    title: str
    rank_before: int | None
    rank_after: int | None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Recommendations before and after an edit."""

    before: tuple[RankedItem, ...]
    after: tuple[RankedItem, ...]
    movements: tuple[Movement, ...]
    model_version: str
    unknown_items: tuple[str, ...]


def what_if(recommender: Recommender, edit: Edit, k: int) -> WhatIf:
    """Rank the catalogue for a history and for the same history edited.

    Raises:
        InvalidFieldError: a position is not one of the history, or nothing would be left.
    """
    knows = recommender.bundle.catalogue.knows
    unknown = tuple(dict.fromkeys(item for item in (*edit.items, *edit.add) if not knows(item)))
    known = [position for position, item in enumerate(edit.items) if knows(item)]
    before = recommender.window([edit.items[position] for position in known])
    added = [item for item in edit.add if knows(item)]
    after = recommender.window([*(edit.items[position] for position in known), *added])
    removal = _removal(edit, known, after)
    return _compared(recommender, _Side(before), _Side(after, removal, edit.intervention), k, unknown)


@dataclass(frozen=True, slots=True)
class _Side:
    """A history as it is ranked."""

    history: History
    removal: Removal = ()
    intervention: Intervention | None = None

    def top(self, recommender: Recommender, k: int) -> tuple[ScoredItem, ...]:
        if self.intervention is None:
            return recommender.top(self.history, k)
        return recommender.top(self.history, k, self.removal, self.intervention)

    def rank(self, recommender: Recommender, item: str) -> int | None:
        """The item's rank, None where it is no candidate."""
        if item in self.history.items or item in self.history.older:
            return None
        if self.intervention is None:
            return recommender.places(self.history, [item])[0][0]
        outcome = recommender.without(self.history, item, [self.removal], intervention=self.intervention)
        return int(outcome.target_rank[0])


def _removal(edit: Edit, known: Sequence[int], after: History) -> Removal:
    """The removed positions as they stand in the window of the edited history; those before it are out of sight anyway."""
    for position in edit.remove:
        if not 0 <= position < len(edit.items):
            raise InvalidFieldError(
                "remove", f"remove has {position}, which is no position of a history of {len(edit.items)} items."
            )
    start = len(after.older)
    place = {position: index - start for index, position in enumerate(known)}
    removal = tuple(sorted({place[position] for position in edit.remove if place.get(position, -1) >= 0}))
    if len(removal) == len(after.items):
        raise InvalidFieldError("remove", "remove leaves nothing of the history; keep or add at least one item.")
    return removal


def _compared(recommender: Recommender, before: _Side, after: _Side, k: int, unknown: tuple[str, ...]) -> WhatIf:
    title = recommender.bundle.catalogue.title
    lists = [side.top(recommender, k) for side in (before, after)]
    ranks = [{scored.item: rank for rank, scored in enumerate(ranked, start=1)} for ranked in lists]
    movements = [
        Movement(
            item,
            title(item),
            ranks[0].get(item) or before.rank(recommender, item),
            ranks[1].get(item) or after.rank(recommender, item),
        )
        for item in dict.fromkeys([*ranks[1], *ranks[0]])
    ]
    shown = [
        tuple(RankedItem(scored.item, title(scored.item), rank, scored.score) for rank, scored in enumerate(ranked, 1))
        for ranked in lists
    ]
    return WhatIf(shown[0], shown[1], tuple(sorted(movements, key=_distance)), recommender.version, unknown)


def _distance(movement: Movement) -> float:
    """Sorts what appeared or vanished first, then what moved most."""
    if movement.rank_before is None or movement.rank_after is None:
        return float("-inf")
    return -abs(movement.rank_after - movement.rank_before)
