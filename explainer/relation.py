"""Reading the edge between a past item and the target off a PAG's marks (Zhang 2008, section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from explainer.explanation import Relation
from explainer.pag import Mark, Pag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ORDER = list(Relation)

_BY_MARKS = {  # (mark at the item, mark at the target)
    (Mark.TAIL, Mark.ARROWHEAD): Relation.CAUSE,
    (Mark.TAIL, Mark.CIRCLE): Relation.POSSIBLE_CAUSE,
    (Mark.CIRCLE, Mark.ARROWHEAD): Relation.POSSIBLE_CAUSE,
    (Mark.CIRCLE, Mark.CIRCLE): Relation.POSSIBLE_CAUSE,
    (Mark.ARROWHEAD, Mark.ARROWHEAD): Relation.HIDDEN_COMMON_CAUSE,
    (Mark.ARROWHEAD, Mark.TAIL): Relation.NOT_A_CAUSE,
    (Mark.ARROWHEAD, Mark.CIRCLE): Relation.NOT_A_CAUSE,
    (Mark.CIRCLE, Mark.TAIL): Relation.NOT_A_CAUSE,
    (Mark.TAIL, Mark.TAIL): Relation.SELECTION,
}


def relation_to_target(pag: Pag, position: int, distance: Sequence[int]) -> Relation:
    """How the item at ``position`` stands to the last node of the graph.

    Args:
        pag: The graph over the history's items and, last, the target.
        position: The item.
        distance: (n,) distances in the possible-influence tree rooted at the target, -1 where not reached.
    """
    target = len(pag.marks) - 1
    at_target = Mark(int(pag.marks[position, target]))
    at_item = Mark(int(pag.marks[target, position]))
    if at_target is not Mark.NONE:
        return _BY_MARKS[at_item, at_target]
    return Relation.INDIRECT if distance[position] >= 0 else Relation.NOT_CONNECTED


def strongest(relations: Iterable[Relation]) -> Relation:
    """The first of them in the order in which Relation lists them; NOT_CONNECTED when there is none."""
    return min(relations, key=_ORDER.index, default=Relation.NOT_CONNECTED)
