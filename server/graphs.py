"""The graph of one head, as it stands in a message, as a picture and as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from becausal.v1 import explanation_pb2 as pb
from explainer.drawing import draw_svg, draw_text
from explainer.pag import Mark, Pag, Stop
from explainer.support import EdgeSupport

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST_LABEL = 28


def graph_svg(explanation: pb.Explanation, head: int) -> str:
    """The graph of a head that there is as SVG."""
    pag, support = _learnt(explanation, head)
    return draw_svg(pag, _labels(explanation), len(explanation.history), support)


def graph_text(explanation: pb.Explanation, head: int) -> str:
    """The same for a terminal."""
    pag, support = _learnt(explanation, head)
    return draw_text(pag, _labels(explanation), len(explanation.history), support)


def _learnt(explanation: pb.Explanation, head: int) -> tuple[Pag, EdgeSupport]:
    graph = explanation.graphs[head]
    n = len(explanation.history) + 1
    marks: NDArray[np.int8] = np.zeros((n, n), dtype=np.int8)
    share = np.zeros((len(Mark), n, n))
    share[Mark.NONE] = 1.0
    for edge in graph.edges:
        at_source, at_target = _mark(edge.mark_at_source), _mark(edge.mark_at_target)
        marks[edge.target, edge.source], marks[edge.source, edge.target] = at_source, at_target
        share[Mark.NONE, edge.source, edge.target] = share[Mark.NONE, edge.target, edge.source] = 1.0 - edge.support
        share[at_source, edge.target, edge.source] = edge.support_at_source
        share[at_target, edge.source, edge.target] = edge.support_at_target
    pag = Pag(
        marks=marks,
        radius=graph.radius,
        complete=graph.complete,
        stopped=Stop(pb.Graph.Stop.Name(graph.stopped)),
        tests=graph.tests,
        cutoff=graph.cutoff,
        ambiguous=graph.ambiguous,
        contested=graph.contested,
        legal=graph.legal if graph.HasField("legal") else None,
    )
    return pag, EdgeSupport(share, len(explanation.graphs))


def _mark(mark: pb.Edge.Mark.ValueType) -> Mark:
    return Mark[pb.Edge.Mark.Name(mark)]


def _labels(explanation: pb.Explanation) -> list[str]:
    names = [title or item for title, item in zip(explanation.history_titles, explanation.history, strict=True)]
    target = explanation.target
    return [_short(name) for name in (*names, target.title or target.item)]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
