"""A PAG as a picture (SVG) and as lines of text.

The picture is an arc diagram: the history along a time axis, oldest at the left, the target at the right, every edge an
arc above the axis with its two marks where it meets the nodes. Each end of an edge has a place of its own, so that no
mark hides another. Edges of the target stand out; where support is given it is the width of the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from explainer.errors import InvalidParameterError
from explainer.pag import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from explainer.pag import Pag
    from explainer.support import EdgeSupport

_INK, _FAINT, _TARGET, _OTHER = "#1f2933", "#9aa5b1", "#c2410c", "#52606d"
_PORT = 11.0  # between two ends at one node, in pixels: a mark is 7 wide
_GAP = 16.0  # between two nodes
_MARGIN = 30.0
_HEIGHT = 300.0  # of the highest arc
_CAPTION = 840.0  # the line under the graph, which is wider than a small graph
_LABEL = 34  # characters
_LETTER = 6.8  # width of one at this size, on average
_COS, _SIN = 0.58, 0.82  # of the 55 degrees that names are turned by
_LEFT_GLYPH = {Mark.CIRCLE: "o", Mark.ARROWHEAD: "<", Mark.TAIL: "-"}
_RIGHT_GLYPH = {Mark.CIRCLE: "o", Mark.ARROWHEAD: ">", Mark.TAIL: "-"}


@dataclass(frozen=True, slots=True)
class _Edge:
    source: int
    target: int
    mark_at_source: Mark
    mark_at_target: Mark
    support: float | None

    @property
    def ends(self) -> tuple[int, int]:
        return self.source, self.target

    @property
    def glyph(self) -> str:
        return f"{_LEFT_GLYPH[self.mark_at_source]}-{_RIGHT_GLYPH[self.mark_at_target]}"


def draw_text(pag: Pag, labels: Sequence[str], target: int, support: EdgeSupport | None = None) -> str:
    """The graph for a terminal: edges of the target first, then the others, then the nodes without any.

    Args:
        pag: the graph over n nodes.
        labels: n names.
        target: the node that is being explained.
        support: shares to print beside the edges.

    Raises:
        InvalidParameterError: labels or target do not fit the graph.
    """
    _check(pag, labels, target)
    edges = _edges(pag, support)
    width = max((len(_short(labels[edge.source])) for edge in edges), default=0)

    def line(edge: _Edge) -> str:
        share = "" if edge.support is None else f"   {edge.support:4.0%}"
        return f"  {_short(labels[edge.source]):<{width}}  {edge.glyph}  {_short(labels[edge.target])}{share}"

    to_target = [line(edge) for edge in edges if target in edge.ends]
    others = [line(edge) for edge in edges if target not in edge.ends]
    alone = [_short(labels[node]) for node in np.flatnonzero(~pag.marks.any(axis=0)).tolist()]
    blocks = [
        [f"Edges of {_short(labels[target])}:", *(to_target or ["  none"])],
        ["Other edges:", *others] if others else [],
        ["Without edges: " + ", ".join(alone)] if alone else [],
        [_caption(pag)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def draw_svg(pag: Pag, labels: Sequence[str], target: int, support: EdgeSupport | None = None) -> str:
    """The graph as one self-contained SVG document.

    Args:
        pag: the graph over n nodes, in order of time.
        labels: n names.
        target: the node that is being explained; it is drawn at the right wherever it stands in the order.
        support: shares that set the width of the lines.

    Raises:
        InvalidParameterError: labels or target do not fit the graph.
    """
    _check(pag, labels, target)
    edges = _edges(pag, support)
    place = [node for node in range(len(labels)) if node != target] + [target]
    letters = max(len(_short(label)) for label in labels)
    left = max(_MARGIN, letters * _LETTER * _COS)
    ports, spans, width = _layout(edges, place, left)
    spread = max((abs(ports[edge, 1] - ports[edge, 0]) for edge in edges), default=1.0)
    axis = _MARGIN + min(_HEIGHT, spread / 2) + 20
    height = axis + letters * _LETTER * _SIN + 90
    ordered = sorted(edges, key=lambda edge: (target in edge.ends, edge.support or 0.0))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="system-ui, Helvetica, Arial, sans-serif" role="group">'
    )
    return "\n".join(
        [
            head,
            f"<title>What may have led to {escape(labels[target])}</title>",
            '<rect width="100%" height="100%" fill="white"/>',
            f'<path d="M {left - 14:.1f} {axis:.1f} H {spans[target][1] + 14:.1f}" stroke="{_FAINT}"/>',
            *(
                _spoken(edge, labels, _arc(edge, (ports[edge, 0], ports[edge, 1]), axis, spread, target in edge.ends))
                for edge in ordered
            ),
            *(_node(_short(labels[node]), spans[node], axis, _look(pag, node, target)) for node in place),
            *_legend(pag, height, weighted=support is not None),
            "</svg>\n",
        ]
    )


def _check(pag: Pag, labels: Sequence[str], target: int) -> None:
    n = len(pag.marks)
    if len(labels) != n:
        raise InvalidParameterError(
            "labels", f"labels must name the {n} nodes of the graph, but there are {len(labels)}."
        )
    if not 0 <= target < n:
        raise InvalidParameterError("target", f"target must be a node of the graph, 0 to {n - 1}, but it is {target}.")


def _edges(pag: Pag, support: EdgeSupport | None) -> list[_Edge]:
    shares = None if support is None else support.edge
    return [
        _Edge(
            int(i),
            int(j),
            Mark(int(pag.marks[j, i])),
            Mark(int(pag.marks[i, j])),
            None if shares is None else float(shares[i, j]),
        )
        for i, j in np.argwhere(np.triu(pag.marks))
    ]


def _layout(
    edges: list[_Edge], place: list[int], left: float
) -> tuple[dict[tuple[_Edge, int], float], dict[int, tuple[float, float]], float]:
    """Where each end of each edge meets the axis, from where to where each node reaches, and the width of the whole."""
    rank = {node: at for at, node in enumerate(place)}
    ports: dict[tuple[_Edge, int], float] = {}
    spans: dict[int, tuple[float, float]] = {}
    x = left
    for node in place:
        ends = sorted(_ends(edges, node), key=lambda end: _nesting(rank[node], rank[end[1]]))
        for at, (edge, _) in enumerate(ends):
            ports[edge, int(edge.target == node)] = x + at * _PORT
        spans[node] = (x, x + max(len(ends) - 1, 0) * _PORT)
        x = spans[node][1] + _GAP
    return ports, spans, max(x - _GAP + _MARGIN, _CAPTION)


def _ends(edges: list[_Edge], node: int) -> Iterator[tuple[_Edge, int]]:
    """The edges of a node, each with the node at its other end."""
    for edge in edges:
        if edge.source == node:
            yield edge, edge.target
        elif edge.target == node:
            yield edge, edge.source


def _nesting(here: int, there: int) -> tuple[bool, int]:
    """Left-going arcs first; in both groups the order in which arcs lie within one another and do not cross."""
    return there > here, -there


def _arc(edge: _Edge, meets: tuple[float, float], axis: float, spread: float, touches: bool) -> str:  # noqa: FBT001 - one of five facts
    start, end = meets
    colour = _TARGET if touches else _OTHER
    share = 0.5 if edge.support is None else edge.support
    stroke = (1.6 if touches else 0.9) + 2.4 * share * (1.0 if touches else 0.6)
    opacity = 1.0 if touches else 0.35 + 0.3 * share
    rx = abs(end - start) / 2
    ry = min(_HEIGHT, spread / 2) * (abs(end - start) / spread) ** 0.75
    top = axis - 12
    path = (
        f'<path d="M {start:.1f} {axis - 3:.1f} V {top:.1f} A {rx:.1f} {ry:.1f} 0 0 {int(end > start)} {end:.1f} {top:.1f} '
        f'V {axis - 3:.1f}" fill="none" stroke="{colour}" stroke-width="{stroke:.2f}" stroke-opacity="{opacity:.2f}"/>'
    )
    return path + _end(edge.mark_at_source, start, axis, colour) + _end(edge.mark_at_target, end, axis, colour)


def _spoken(edge: _Edge, labels: Sequence[str], drawn: str) -> str:
    """An arc that says in words what it is, to a pointer that rests on it and to a keyboard that reaches it."""
    words = escape(_words(edge, labels))
    return f'<g class="edge" tabindex="0" role="img" aria-label="{words}"><title>{words}</title>{drawn}</g>'


def _words(edge: _Edge, labels: Sequence[str]) -> str:
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


def _end(mark: Mark, x: float, axis: float, colour: str) -> str:
    """The mark where an arc comes down on the axis; a tail is the bare end of the line."""
    if mark is Mark.ARROWHEAD:
        return f'<path d="M {x:.1f} {axis - 1:.1f} l -4 -9 h 8 z" fill="{colour}"/>'
    if mark is Mark.CIRCLE:
        return f'<circle cx="{x:.1f}" cy="{axis - 5:.1f}" r="3.4" fill="white" stroke="{colour}" stroke-width="1.4"/>'
    return ""


@dataclass(frozen=True, slots=True)
class _Look:
    colour: str
    weight: int
    thickness: float


def _look(pag: Pag, node: int, target: int) -> _Look:
    if node == target:
        return _Look(_TARGET, 700, 8)
    if pag.marks[node, target]:
        return _Look(_INK, 600, 6)
    return _Look(_OTHER if pag.marks[node].any() else _FAINT, 400, 4)


def _node(label: str, span: tuple[float, float], axis: float, look: _Look) -> str:
    """A bar under all ends that belong to the node, and its name."""
    start, end = span
    middle = (start + end) / 2
    return (
        f'<line x1="{start:.1f}" y1="{axis + 7:.1f}" x2="{end + 0.1:.1f}" y2="{axis + 7:.1f}" stroke="{look.colour}" '
        f'stroke-width="{look.thickness}" stroke-linecap="round"/>'
        f'<text x="{middle:.1f}" y="{axis + 22:.1f}" transform="rotate(-55 {middle:.1f} {axis + 22:.1f})" font-size="12" '
        f'font-weight="{look.weight}" fill="{look.colour}" text-anchor="end">{escape(label)}</text>'
    )


def _legend(pag: Pag, height: float, *, weighted: bool) -> list[str]:
    words = "arrowhead: not a cause of the other end  ·  bare end: a cause  ·  circle: not determined"
    words += "  ·  line width: share of heads and settings" if weighted else ""
    return [
        f'<text x="{_MARGIN:.0f}" y="{height - 32:.0f}" font-size="11" fill="{_OTHER}">older → newer  ·  {words}</text>',
        f'<text x="{_MARGIN:.0f}" y="{height - 14:.0f}" font-size="11" fill="{_OTHER}">{escape(_caption(pag))}</text>',
    ]


def _caption(pag: Pag) -> str:
    """How the graph came about and how far to trust it, in one line."""
    reach = "complete" if pag.complete else f"stopped by {pag.stopped.value.lower().replace('_', ' ')}"
    facts = [f"radius {pag.radius}, {reach}", f"{pag.tests:,} tests", f"cut-off {pag.cutoff:.3f}"]
    if pag.ambiguous or pag.contested:
        facts.append(f"{pag.ambiguous} ambiguous triples, {pag.contested} contested marks")
    if pag.legal is not None:
        facts.append("a legal PAG" if pag.legal else "not a legal PAG")
    return " · ".join(facts)


def _short(label: str) -> str:
    return label if len(label) <= _LABEL else label[: _LABEL - 1].rstrip() + "…"
