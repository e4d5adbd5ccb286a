"""The edges of a PAG as they are read: two ends, two marks, and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from explainer.pag import Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from explainer.pag import Pag
    from explainer.support import EdgeSupport

_LEFT_GLYPH = {Mark.CIRCLE: "o", Mark.ARROWHEAD: "<", Mark.TAIL: "-"}
_RIGHT_GLYPH = {Mark.CIRCLE: "o", Mark.ARROWHEAD: ">", Mark.TAIL: "-"}


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge, from the earlier node to the later one."""

    source: int
    target: int
    mark_at_source: Mark
    mark_at_target: Mark
    support: float | None
    """Share of the graphs that have it, where that is known."""

    @property
    def ends(self) -> tuple[int, int]:
        """Both nodes."""
        return self.source, self.target

    @property
    def glyph(self) -> str:
        """Its marks, for a terminal."""
        return f"{_LEFT_GLYPH[self.mark_at_source]}-{_RIGHT_GLYPH[self.mark_at_target]}"


def edges_of(pag: Pag, support: EdgeSupport | None) -> list[Edge]:
    """All edges of a graph, by source, then target."""
    shares = None if support is None else support.edge
    return [
        Edge(
            int(i),
            int(j),
            Mark(int(pag.marks[j, i])),
            Mark(int(pag.marks[i, j])),
            None if shares is None else float(shares[i, j]),
        )
        for i, j in np.argwhere(np.triu(pag.marks))
    ]


def words_of(edge: Edge, labels: Sequence[str]) -> str:
    """What the two marks of an edge say (Zhang 2008, section 2)."""
    a, b = labels[edge.source], labels[edge.target]
    marks = (edge.mark_at_source, edge.mark_at_target)
    sentence = {
        (Mark.TAIL, Mark.ARROWHEAD): f"{a} is a cause of {b}",
        (Mark.ARROWHEAD, Mark.TAIL): f"{b} is a cause of {a}",
        (Mark.ARROWHEAD, Mark.ARROWHEAD): f"{a} and {b} share a cause that the graph does not show",
        (Mark.CIRCLE, Mark.ARROWHEAD): f"{a} may be a cause of {b}; {b} is none of {a}",
        (Mark.ARROWHEAD, Mark.CIRCLE): f"{b} may be a cause of {a}; {a} is none of {b}",
        (Mark.TAIL, Mark.TAIL): f"{a} and {b} are connected by selection",
    }.get(marks, f"{a} and {b} are connected; which way is not determined")
    return sentence if edge.support is None else f"{sentence} (in {edge.support:.0%} of heads and settings)"
