"""Whether marks are those of an equivalence class at all (Zhang 2008, theorem 2 and what follows it).

A legal PAG yields a maximal ancestral graph (MAG) of its own class: o-> and --o become -->, and the o-o edges are
directed so that no new collider comes about. So: build that graph, check that it is ancestral and maximal, orient its
skeleton by R0-R10 with its own colliders in place of separating sets, and compare. One difference, and there is no
class that the marks describe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from explainer.causal.arrowheads import Evidence, orient_arrowheads
from explainer.causal.bits import add, discard, following, following_both, has, overlap
from explainer.causal.graph import new_graph, put_head, put_tail, reset
from explainer.causal.tails import orient_tails
from explainer.compiling import allocating, inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explainer.causal.bits import Words
    from explainer.causal.graph import Graph


@allocating
def is_legal(graph: Graph, rank: NDArray[np.int64], temporal: bool, selection_bias: bool) -> bool:  # noqa: FBT001 - compiled
    """Whether the finished graph is the PAG of some MAG (under the order of time, where that was given)."""
    n, words = graph.adjacent.shape
    mag = new_graph(n, words)
    reset(mag, graph.adjacent, rank, False)  # noqa: FBT003 - compiled
    if not _member(graph, mag) or not _ancestral(mag) or not _maximal(mag):
        return False
    again = new_graph(n, words)
    reset(again, graph.adjacent, rank, temporal)
    inside = _inside(mag)
    orient_arrowheads(again, Evidence(inside, np.zeros_like(inside), mag.heads_at))
    orient_tails(again, selection_bias)
    for j in range(n):
        for k in range(words):
            if again.circles_at[j, k] != graph.circles_at[j, k] or again.heads_at[j, k] != graph.heads_at[j, k]:
                return False
    return True


@allocating
def _member(graph: Graph, mag: Graph) -> bool:
    """Turn ``mag`` from all circles into the member of the class; False when the o-o edges admit none."""
    n = len(graph.adjacent)
    position = _elimination_order(graph)
    for j in range(n):
        i = following(graph.adjacent[j], 0)
        while i >= 0:
            if has(graph.heads_at[j], i):
                put_head(mag, i, j)
            elif has(graph.tails_at[j], i):
                put_tail(mag, i, j)
            elif has(graph.circles_from[j], i):  # o-o: from the later to the earlier in elimination order
                if position[i] > position[j]:
                    put_head(mag, i, j)
                else:
                    put_tail(mag, i, j)
            elif has(graph.heads_from[j], i):  # j o-> i
                put_tail(mag, i, j)
            else:  # i --o j
                put_head(mag, i, j)
            i = following(graph.adjacent[j], i + 1)
    return _no_new_collider(graph, mag)


@allocating
def _elimination_order(graph: Graph) -> NDArray[np.int64]:
    """Maximum cardinality search on the o-o edges: if they are chordal, parents of a node are all adjacent."""
    n = len(graph.adjacent)
    position = np.full(n, -1, np.int64)
    weight = np.zeros(n, np.int64)
    for place in range(n):
        best = -1
        for node in range(n):
            if position[node] < 0 and (best < 0 or weight[node] > weight[best]):
                best = node
        position[best] = n - place
        other = following_both(graph.circles_at[best], graph.circles_from[best], 0)
        while other >= 0:
            weight[other] += 1
            other = following_both(graph.circles_at[best], graph.circles_from[best], other + 1)
    return position


@allocating
def _no_new_collider(graph: Graph, mag: Graph) -> bool:
    """Whether every unshielded collider of the MAG has both its arrowheads in the PAG."""
    for b in range(len(graph.adjacent)):
        a = following(mag.heads_at[b], 0)
        while a >= 0:
            if not has(graph.heads_at[b], a):
                c = following(mag.heads_at[b], 0)
                while c >= 0:
                    if c != a and not has(graph.adjacent[a], c):
                        return False
                    c = following(mag.heads_at[b], c + 1)
            a = following(mag.heads_at[b], a + 1)
    return True


@allocating
def _ancestors(mag: Graph) -> Words:
    """[y]: the proper ancestors of y."""
    n, words = mag.adjacent.shape
    found = np.empty((n, words), np.uint64)
    for y in range(n):
        for k in range(words):
            found[y, k] = mag.heads_at[y, k] & mag.tails_from[y, k]
    for middle in range(n):
        for y in range(n):
            if has(found[y], middle):
                for k in range(words):
                    found[y, k] |= found[middle, k]
    return found


@allocating
def _ancestral(mag: Graph) -> bool:
    """No node is an ancestor of one that has an arrowhead toward it, and undirected edges meet no arrowhead."""
    ancestors = _ancestors(mag)
    for y in range(len(ancestors)):
        if has(ancestors[y], y):
            return False
        for k in range(ancestors.shape[1]):
            if mag.heads_at[y, k] & mag.heads_from[y, k] & ancestors[y, k] != np.uint64(0):
                return False
        if overlap(mag.tails_at[y], mag.tails_from[y]) and following(mag.heads_at[y], 0) >= 0:
            return False
    return True


@allocating
def _maximal(mag: Graph) -> bool:
    """No two non-adjacent nodes are joined by an inducing path: colliders all along, each an ancestor of an end."""
    n, words = mag.adjacent.shape
    ancestors = _ancestors(mag)
    todo = np.empty(words, np.uint64)
    allowed = np.empty(words, np.uint64)
    for x in range(n):
        for y in range(x + 1, n):
            if has(mag.adjacent[x], y):
                continue
            for k in range(words):
                allowed[k] = ancestors[x, k] | ancestors[y, k]
                todo[k] = mag.heads_from[x, k] & allowed[k]
                allowed[k] &= ~todo[k]
            if _joined(mag, y, todo, allowed):
                return False
    return True


@inner
def _joined(mag: Graph, y: int, todo: Words, allowed: Words) -> bool:
    """Whether y is met from the nodes to do over colliders among the nodes still allowed."""
    v = following(todo, 0)
    while v >= 0:
        discard(todo, v)
        if has(mag.heads_at[v], y):
            return True
        for k in range(len(todo)):
            fresh = mag.heads_at[v, k] & mag.heads_from[v, k] & allowed[k]
            allowed[k] &= ~fresh
            todo[k] |= fresh
        v = following(todo, 0)
    return False


@allocating
def _inside(mag: Graph) -> Words:
    """[a, c] has b for every unshielded triple a, b, c of which b is no collider: what separating sets would say."""
    n, words = mag.adjacent.shape
    inside = np.zeros((n, n, words), np.uint64)
    for a in range(n):
        for c in range(n):
            if a == c or has(mag.adjacent[a], c):
                continue
            b = following_both(mag.adjacent[a], mag.adjacent[c], 0)
            while b >= 0:
                if not (has(mag.heads_at[b], a) and has(mag.heads_at[b], c)):
                    add(inside[a, c], b)
                b = following_both(mag.adjacent[a], mag.adjacent[c], b + 1)
    return inside
