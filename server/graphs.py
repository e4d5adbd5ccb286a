"""The graph of one head, as it stands in a message, as a picture and as lines of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from becausal.v1 import explanation_pb2 as pb
from explainer.drawing import caption, draw_svg, draw_text
from explainer.edges import edges_of, words_of
from explainer.neighbourhood import Part, neighbourhood, strongest
from explainer.pag import Mark, Pag, Stop
from explainer.support import EdgeSupport

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST_LABEL = 28

FEW = 30
"""Edges that a person takes in: a graph of no more is shown whole, of a larger one so many around target and causes."""

CROWDED = 100
"""Edges from which on a graph that connects half of all pairs is taken for one that knows nothing."""

MANY = 200
"""Edges of the largest picture: beyond it lines hide one another, and every one is a stop of the keyboard."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph, or a part of it, as a page shows it."""

    head: int
    svg: str
    """Its titles are escaped."""

    words: tuple[str, ...]
    """What its edges say, those of the target first."""

    caption: str
    """How the graph came about, and how far to trust it."""

    edges: int
    whole: int
    """Edges that are shown, and that there are."""

    crowded: bool
    """Whether so many pairs are connected that the graph tells nothing apart."""


def graph_svg(explanation: pb.Explanation, head: int) -> str:
    """The graph of a head that there is as SVG."""
    pag, support = _learnt(explanation, head)
    return draw_svg(pag, _labels(explanation), len(explanation.history), support)


def near_target(explanation: pb.Explanation, place: int) -> Picture:
    """The edges of the target and of its causes, at most `FEW`; the whole graph where it has no more.

    Args:
        explanation: with its graphs.
        place: of the head among them.
    """
    pag, support = _learnt(explanation, place)
    target = len(explanation.history)
    if len(explanation.graphs[place].edges) <= FEW:
        return _picture(explanation, place, strongest(pag, support, FEW))
    causes = {cause.position for cause in explanation.causes}
    return _picture(explanation, place, neighbourhood(pag, support, target, causes, FEW))


def large(explanation: pb.Explanation, place: int) -> Picture:
    """All that is connected, by the `MANY` edges with the most support."""
    pag, support = _learnt(explanation, place)
    return _picture(explanation, place, strongest(pag, support, MANY))


def _picture(explanation: pb.Explanation, place: int, part: Part) -> Picture:
    whole = _names(explanation)
    names = [whole[node] for node in part.nodes]
    labels = [_short(name) for name in names]
    target = len(labels) - 1  # the last node of the whole, and never left out
    edges = sorted(edges_of(part.pag, part.support), key=lambda edge: (target not in edge.ends, -(edge.support or 0.0)))
    return Picture(
        explanation.graphs[place].head,
        draw_svg(part.pag, labels, target, part.support, legend=False),
        tuple(words_of(edge, names) for edge in edges),
        caption(part.pag),
        part.edges,
        part.whole,
        crowded=part.whole > CROWDED and 2 * part.whole > len(whole) * (len(whole) - 1) // 2,
    )


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
    return [_short(name) for name in _names(explanation)]


def _names(explanation: pb.Explanation) -> list[str]:
    names = [title or item for title, item in zip(explanation.history_titles, explanation.history, strict=True)]
    target = explanation.target
    return [*names, target.title or target.item]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
