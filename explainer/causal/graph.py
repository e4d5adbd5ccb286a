"""A graph with circles, arrowheads and tails, as sets of nodes; and the wishes of the rules, granted together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from explainer.causal.bits import add, discard, following, has
from explainer.compiling import allocating, inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explainer.causal.bits import Words

_CIRCLE, _HEAD, _TAIL = np.int8(1), np.int8(2), np.int8(3)


class Graph(NamedTuple):
    """Ends of edges. ``*_at[j]`` has i, and ``*_from[i]`` has j, when the mark at j on the edge i *-* j is of the kind."""

    adjacent: Words
    circles_at: Words
    circles_from: Words
    heads_at: Words
    heads_from: Words
    tails_at: Words
    tails_from: Words
    noncollider: Words
    """(n, n, words): [a, b] has c when a, b, c is an unshielded triple with b in the separating sets of a and c."""
    want_head: Words
    want_tail: Words
    """What the rules of the present sweep wish for: [j] has i for a mark at j on i *-* j."""
    contested: Words
    """Ends that were wished to be both; they stay circles."""


@allocating
def new_graph(n: int, words: int) -> Graph:
    """A graph over n nodes without edges."""
    zeros = np.zeros((10, n, words), np.uint64)
    triples = np.zeros((n, n, words), np.uint64)
    return Graph(
        zeros[0], zeros[1], zeros[2], zeros[3], zeros[4], zeros[5], zeros[6], triples, zeros[7], zeros[8], zeros[9]
    )


@allocating
def reset(graph: Graph, adjacent: Words, rank: NDArray[np.int64], temporal: bool) -> None:  # noqa: FBT001 - compiled
    """Erase all orientations: circles on the given skeleton, arrowheads where an end is the later one in time."""
    graph.adjacent[:] = adjacent
    graph.circles_at[:] = adjacent
    graph.circles_from[:] = adjacent
    for kind in (graph.heads_at, graph.heads_from, graph.tails_at, graph.tails_from, graph.contested):
        kind[:] = np.uint64(0)
    graph.noncollider[:] = np.uint64(0)
    if temporal:
        for j in range(len(rank)):
            i = following(adjacent[j], 0)
            while i >= 0:
                if rank[i] < rank[j]:
                    put_head(graph, i, j)
                i = following(adjacent[j], i + 1)


@inner
def put_head(graph: Graph, i: int, j: int) -> None:
    """Turn the circle at j on i *-o j into an arrowhead."""
    discard(graph.circles_at[j], i)
    discard(graph.circles_from[i], j)
    add(graph.heads_at[j], i)
    add(graph.heads_from[i], j)


@inner
def put_tail(graph: Graph, i: int, j: int) -> None:
    """Turn the circle at j on i *-o j into a tail."""
    discard(graph.circles_at[j], i)
    discard(graph.circles_from[i], j)
    add(graph.tails_at[j], i)
    add(graph.tails_from[i], j)


@inner
def clear_wishes(graph: Graph) -> None:
    """Begin a sweep."""
    graph.want_head[:] = np.uint64(0)
    graph.want_tail[:] = np.uint64(0)


@inner
def grant(graph: Graph) -> bool:
    """Put the marks wished for, all at once, where there are circles; say whether any mark changed.

    An end that two rules want to be arrowhead and tail is contested: it stays a circle for good, which reads "not
    determined" and depends on no order of rules or nodes.
    """
    changed = False
    for j in range(len(graph.adjacent)):
        for k in range(graph.adjacent.shape[1]):
            clash = graph.want_head[j, k] & graph.want_tail[j, k] & graph.circles_at[j, k]
            graph.contested[j, k] |= clash
            open_ends = graph.circles_at[j, k] & ~graph.contested[j, k]
            graph.want_head[j, k] &= open_ends
            graph.want_tail[j, k] &= open_ends
        changed |= _put_all(graph, j)
    return changed


@inner
def _put_all(graph: Graph, j: int) -> bool:
    changed = False
    i = following(graph.want_head[j], 0)
    while i >= 0:
        put_head(graph, i, j)
        changed = True
        i = following(graph.want_head[j], i + 1)
    i = following(graph.want_tail[j], 0)
    while i >= 0:
        put_tail(graph, i, j)
        changed = True
        i = following(graph.want_tail[j], i + 1)
    return changed


@inner
def size_of(sets: Words) -> int:
    """Members of all the sets together."""
    total = 0
    for j in range(len(sets)):
        i = following(sets[j], 0)
        while i >= 0:
            total += 1
            i = following(sets[j], i + 1)
    return total


@inner
def write_marks(graph: Graph, order: NDArray[np.int64], marks: NDArray[np.int8]) -> None:
    """Write the marks into an (n, n) array, node k of the graph as ``order[k]``."""
    for j in range(len(order)):
        for i in range(len(order)):
            if has(graph.circles_at[j], i):
                marks[order[i], order[j]] = _CIRCLE
            elif has(graph.heads_at[j], i):
                marks[order[i], order[j]] = _HEAD
            elif has(graph.tails_at[j], i):
                marks[order[i], order[j]] = _TAIL
