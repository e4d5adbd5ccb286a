"""A PAG as a picture (SVG) and as lines of text.

The picture is an arc diagram: the history along a time axis, oldest at the left, the target at the right, every edge an
arc above the axis with its two marks where it meets the nodes. Each end of an edge has a place of its own, so that no
mark hides another. Edges of the target stand out; where support is given it is the width of the line. Every
edge says in words what it is, to a pointer and to a keyboard.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from explainer.edges import edges_of, words_of
from explainer.errors import InvalidParameterError
from explainer.pag import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from explainer.edges import Edge
    from explainer.pag import Pag
    from explainer.support import EdgeSupport

LEGEND = (
    "older → newer",
    "arrowhead: not a cause of the other end",
    "bare end: a cause",
    "circle: not determined",
    "line width: share of heads and settings",
)
"""What the marks of the picture mean."""

_INK, _FAINT, _TARGET, _OTHER = "#1f2933", "#9aa5b1", "#c2410c", "#52606d"
_PORT = 11.0  # between two ends at one node, in pixels: a mark is 7 wide
_GAP = 16.0  # between two nodes
_MARGIN = 30.0
_HEIGHT = 300.0  # of the highest arc
_CAPTION = 840.0  # the line under the graph, which is wider than a small graph
_LABEL = 34  # characters
_LINE = 40  # characters of a sentence that stand side by side, even on a phone
_LETTER = 6.8  # width of one at this size, on average
_COS, _SIN = 0.58, 0.82  # of the 55 degrees that names are turned by


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all arcs of a picture share: where the axis is, the distance of the widest arc, the width of the whole."""

    axis: float
    spread: float
    width: float


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
    edges = edges_of(pag, support)
    width = max((len(_short(labels[edge.source])) for edge in edges), default=0)

    def line(edge: Edge) -> str:
        share = "" if edge.support is None else f"   {edge.support:4.0%}"
        return f"  {_short(labels[edge.source]):<{width}}  {edge.glyph}  {_short(labels[edge.target])}{share}"

    to_target = [line(edge) for edge in edges if target in edge.ends]
    others = [line(edge) for edge in edges if target not in edge.ends]
    alone = [_short(labels[node]) for node in np.flatnonzero(~pag.marks.any(axis=0)).tolist()]
    blocks = [
        [f"Edges of {_short(labels[target])}:", *(to_target or ["  none"])],
        ["Other edges:", *others] if others else [],
        ["Without edges: " + ", ".join(alone)] if alone else [],
        [caption(pag)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def draw_svg(
    pag: Pag, labels: Sequence[str], target: int, support: EdgeSupport | None = None, *, legend: bool = True
) -> str:
    """The graph as one self-contained SVG document.

    Args:
        pag: the graph over n nodes, in order of time.
        labels: n names.
        target: the node that is being explained; it is drawn at the right wherever it stands in the order.
        support: shares that set the width of the lines.
        legend: whether to say below what the marks mean and how the graph came about; else see `LEGEND` and `caption`.

    Raises:
        InvalidParameterError: labels or target do not fit the graph.
    """
    _check(pag, labels, target)
    edges = edges_of(pag, support)
    place = [node for node in range(len(labels)) if node != target] + [target]
    letters = max(len(_short(label)) for label in labels)
    left = max(_MARGIN, letters * _LETTER * _COS)
    ports, spans, width = _layout(edges, place, left)
    width = max(width, _CAPTION if legend else (_LINE + 2) * _LETTER)
    spread = max((abs(ports[edge, 1] - ports[edge, 0]) for edge in edges), default=1.0)
    axis = _MARGIN + min(_HEIGHT, spread / 2) + 20
    frame = _Frame(axis, spread, width)
    height = axis + letters * _LETTER * _SIN + (90 if legend else 45)
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
                _spoken(
                    edge, words_of(edge, labels), (ports[edge, 0], ports[edge, 1]), frame, touches=target in edge.ends
                )
                for edge in ordered
            ),
            *(_node(_short(labels[node]), spans[node], axis, _look(pag, node, target)) for node in place),
            *(_legend(pag, height, weighted=support is not None) if legend else ()),
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


def _layout(
    edges: list[Edge], place: list[int], left: float
) -> tuple[dict[tuple[Edge, int], float], dict[int, tuple[float, float]], float]:
    """Where each end of each edge meets the axis, from where to where each node reaches, and the width of the whole."""
    rank = {node: at for at, node in enumerate(place)}
    ports: dict[tuple[Edge, int], float] = {}
    spans: dict[int, tuple[float, float]] = {}
    x = left
    for node in place:
        ends = sorted(_ends(edges, node), key=lambda end: _nesting(rank[node], rank[end[1]]))
        for at, (edge, _) in enumerate(ends):
            ports[edge, int(edge.target == node)] = x + at * _PORT
        spans[node] = (x, x + max(len(ends) - 1, 0) * _PORT)
        x = spans[node][1] + _GAP
    return ports, spans, x - _GAP + _MARGIN


def _ends(edges: list[Edge], node: int) -> Iterator[tuple[Edge, int]]:
    """The edges of a node, each with the node at its other end."""
    for edge in edges:
        if edge.source == node:
            yield edge, edge.target
        elif edge.target == node:
            yield edge, edge.source


def _nesting(here: int, there: int) -> tuple[bool, int]:
    """Left-going arcs first; in both groups the order in which arcs lie within one another and do not cross."""
    return there > here, -there


def _spoken(edge: Edge, words: str, meets: tuple[float, float], frame: _Frame, *, touches: bool) -> str:
    """An arc that says in words what it is: to a pointer that rests on or beside it, and to a keyboard that reaches it."""
    start, end = meets
    lines = _lines(words, (start + end) / 2, frame.width)
    words, path, axis = escape(words), _arc(meets, frame), frame.axis
    colour = _TARGET if touches else _OTHER
    share = 0.5 if edge.support is None else edge.support
    stroke = (1.6 if touches else 0.9) + 2.4 * share * (1.0 if touches else 0.6)
    opacity = 1.0 if touches else 0.35 + 0.3 * share
    return (
        f'<g class="edge" tabindex="0" role="img" aria-label="{words}"><title>{words}</title>'
        f'<path class="reach" d="{path}" fill="none" stroke="white" stroke-opacity="0" stroke-width="11"/>'
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{stroke:.2f}" stroke-opacity="{opacity:.2f}"/>'
        f"{_end(edge.mark_at_source, start, axis, colour)}{_end(edge.mark_at_target, end, axis, colour)}"
        f"{lines}</g>"
    )


def _lines(words: str, middle: float, width: float) -> str:
    """The sentence as lines at the top, as near above its arc as there is room, on a ground that hides other arcs."""
    half = _LINE * _LETTER / 2
    x = max(min(middle, width - half), half)
    lines = textwrap.wrap(words, _LINE)
    spans = "".join(
        f'<tspan x="{x:.0f}" y="{16 + 15 * place}">{escape(line)}{" " if line is not lines[-1] else ""}</tspan>'
        for place, line in enumerate(lines)
    )
    return (
        f'<text class="words" visibility="hidden" font-size="12" text-anchor="middle" fill="{_INK}" stroke="white" '
        f'stroke-width="5" paint-order="stroke" aria-hidden="true">{spans}</text>'
    )


def _arc(meets: tuple[float, float], frame: _Frame) -> str:
    """The line from one place on the axis to another."""
    start, end = meets
    axis, spread = frame.axis, frame.spread
    rx = abs(end - start) / 2
    ry = min(_HEIGHT, spread / 2) * (abs(end - start) / spread) ** 0.75
    top = axis - 12
    return (
        f"M {start:.1f} {axis - 3:.1f} V {top:.1f} A {rx:.1f} {ry:.1f} 0 0 {int(end > start)} {end:.1f} {top:.1f} "
        f"V {axis - 3:.1f}"
    )


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
    words = "  ·  ".join(LEGEND if weighted else LEGEND[:-1])
    return [
        f'<text x="{_MARGIN:.0f}" y="{height - 32:.0f}" font-size="11" fill="{_OTHER}">{words}</text>',
        f'<text x="{_MARGIN:.0f}" y="{height - 14:.0f}" font-size="11" fill="{_OTHER}">{escape(caption(pag))}</text>',
    ]


def caption(pag: Pag) -> str:
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
