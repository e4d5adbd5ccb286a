"""The stored graph of a head as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from explainer.drawing import draw_svg, draw_text
from explainer.pag import Mark, Pag
from explainer.support import EdgeSupport

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explainer.explanation import Explanation, HeadGraph

LONGEST_LABEL = 28


def draw_graph(told: Explanation, graph: HeadGraph) -> str:
    """As SVG."""
    pag, support = _learnt(graph, len(told.history) + 1, len(told.graphs))
    return draw_svg(pag, _labels(told), len(told.history), support)


def graph_lines(told: Explanation, graph: HeadGraph) -> str:
    """As lines of text."""
    pag, support = _learnt(graph, len(told.history) + 1, len(told.graphs))
    return draw_text(pag, _labels(told), len(told.history), support)


def _learnt(graph: HeadGraph, n: int, heads: int) -> tuple[Pag, EdgeSupport]:
    marks: NDArray[np.int8] = np.zeros((n, n), dtype=np.int8)
    share = np.zeros((len(Mark), n, n))
    share[Mark.NONE] = 1.0
    for edge in graph.edges:
        marks[edge.target, edge.source], marks[edge.source, edge.target] = edge.mark_at_source, edge.mark_at_target
        share[Mark.NONE, edge.source, edge.target] = share[Mark.NONE, edge.target, edge.source] = 1.0 - edge.support
        share[edge.mark_at_source, edge.target, edge.source] = edge.support_of_marks[0]
        share[edge.mark_at_target, edge.source, edge.target] = edge.support_of_marks[1]
    pag = Pag(
        marks=marks,
        radius=graph.radius,
        complete=graph.complete,
        stopped=graph.stopped,
        tests=graph.tests,
        cutoff=graph.cutoff,
        ambiguous=graph.ambiguous,
        contested=graph.contested,
        legal=graph.legal,
    )
    return pag, EdgeSupport(share, heads)


def _labels(told: Explanation) -> list[str]:
    names = [title or item for title, item in zip(told.titles, told.history, strict=True)]
    return [_short(name) for name in (*names, told.target.title or told.target.item)]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
