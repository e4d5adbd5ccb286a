"""The part of a PAG that a person can read: the edges of the target and of what is asked about, the best supported first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from explainer.edges import edges_of
from explainer.pag import Mark
from explainer.support import EdgeSupport

if TYPE_CHECKING:
    from collections.abc import Collection

    from explainer.pag import Pag


@dataclass(frozen=True, slots=True)
class Part:
    """A graph over some of the nodes of another."""

    pag: Pag
    support: EdgeSupport
    nodes: tuple[int, ...]
    """Which nodes of the whole these are, in its order."""

    edges: int
    whole: int
    """Edges of the part, and of the whole."""


def neighbourhood(pag: Pag, support: EdgeSupport, target: int, about: Collection[int], most: int) -> Part:
    """Keep the target, the nodes asked about, and what is connected to them.

    Edges between these come first, then the target's, then those of the others; among equals those with more support, then
    those of newer items.

    Args:
        pag: the graph over n nodes.
        support: shares by edge.
        target: the node that is being explained.
        about: other nodes that stay whatever they are connected to.
        most: edges to keep.
    """
    core = {target, *about}
    near = [edge for edge in _ends(pag) if core & set(edge)]
    near.sort(key=lambda edge: (not core.issuperset(edge), target not in edge, *_weight(edge, support)))
    return _part(pag, support, near[:most], core)


def strongest(pag: Pag, support: EdgeSupport, most: int) -> Part:
    """Keep all nodes, and the edges with the most support; among equals those of newer items."""
    edges = sorted(_ends(pag), key=lambda edge: _weight(edge, support))
    return _part(pag, support, edges[:most], set(range(len(pag.marks))))


def _weight(edge: tuple[int, int], support: EdgeSupport) -> tuple[float, int, int]:
    return -float(support.edge[edge]), -edge[1], -edge[0]


def _ends(pag: Pag) -> list[tuple[int, int]]:
    return [edge.ends for edge in edges_of(pag, None)]


def _part(pag: Pag, support: EdgeSupport, edges: list[tuple[int, int]], core: set[int]) -> Part:
    nodes = sorted(core.union(*edges))
    marks = np.full_like(pag.marks, Mark.NONE)
    for i, j in edges:
        marks[i, j], marks[j, i] = pag.marks[i, j], pag.marks[j, i]
    among = np.ix_(nodes, nodes)
    shares = EdgeSupport(np.stack([share[among] for share in support.share]), support.graphs)
    whole = int(np.count_nonzero(np.triu(pag.marks)))
    return Part(replace(pag, marks=marks[among]), shares, tuple(nodes), len(edges), whole)
