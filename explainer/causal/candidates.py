"""Which nodes may separate a pair: the conditions of ICD-Sep (Rohekar et al. 2021, arXiv 2111.04095, section 3).

A set Z is tried for the pair x, y when (a) every node of Z is at the end of a possible-d-sep path from x (or from y)
whose inner nodes are all in Z, and (b) every node of Z is a possible ancestor of x or y. Such a path has at most |Z|
edges, so the paper's bound on its length holds by itself. Deviation: walks stand for paths in (a), which admits some
more sets, none of them wrong, and makes the condition cheap to decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from explainer.causal.bits import discard, has
from explainer.compiling import inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explainer.causal.bits import Words
    from explainer.causal.graph import Graph
    from explainer.causal.search import Scratch


@inner
def possible_ancestors(graph: Graph, ancestors: Words) -> None:
    """Write [y]: the nodes with a possibly directed path to y, y itself included."""
    n, words = ancestors.shape
    for y in range(n):
        for k in range(words):
            leaving = graph.circles_from[y, k] | graph.tails_from[y, k]  # the mark at the other node on y *-* other
            ancestors[y, k] = leaving & (graph.circles_at[y, k] | graph.heads_at[y, k])
        ancestors[y, y >> 6] |= np.uint64(1) << np.uint64(y & 63)
    for middle in range(n):  # Warshall's closure, a row of words at a time
        for y in range(n):
            if has(ancestors[y], middle):
                for k in range(words):
                    ancestors[y, k] |= ancestors[middle, k]


@inner
def pds_reached(graph: Graph, work: Scratch, root: int, size: int, reached: Words) -> None:
    """Write the allowed nodes at the end of possible-d-sep walks from the root with all inner nodes among the members.

    On such a walk every three nodes in a row are a triangle or have a collider in the middle.

    Args:
        graph: the graph as it stood when the radius began.
        work: ``members`` is the set; ``allowed`` the nodes that a walk may touch after the root, without the pair itself;
            ``visited`` is overwritten: [b] collects c for every walk that ends b, c.
        root: the node that walks start from.
        size: number of members.
        reached: (words,) the answer.
    """
    members, visited = work.members, work.visited
    for k in range(len(reached)):
        visited[root, k] = graph.adjacent[root, k] & work.allowed[k]
        reached[k] = visited[root, k]
    for at in range(size):
        visited[members[at], :] = np.uint64(0)
    fresh = True
    while fresh:
        fresh = False
        for source in range(-1, size):
            a = root if source < 0 else members[source]
            for at in range(size):
                b = members[at]
                if has(visited[a], b):
                    fresh |= _step(graph, work, a, b, reached)


@inner
def _step(graph: Graph, work: Scratch, a: int, b: int, reached: Words) -> bool:
    """Go on from a, b to every c that makes a triangle or a collider at b; say whether any walk is new."""
    fresh = False
    visited = work.visited[b]
    into = has(graph.heads_at[b], a)
    back = has(visited, a)
    for k in range(len(reached)):
        through = graph.adjacent[a, k]
        if into:
            through |= graph.heads_at[b, k]
        onward = graph.adjacent[b, k] & through & work.allowed[k]
        before = visited[k]
        visited[k] |= onward
        if k == a >> 6 and not back:  # no turning round: a, b, a is no path
            discard(visited, a)
        fresh |= visited[k] != before
        reached[k] |= onward
    return fresh


@inner
def all_among(members: NDArray[np.int64], size: int, nodes: Words) -> bool:
    """Whether every member is in the set of nodes."""
    for at in range(size):  # noqa: SIM110 - generators do not compile
        if not has(nodes, members[at]):
            return False
    return True
