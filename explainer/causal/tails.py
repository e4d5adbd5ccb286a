"""R5-R10 (Zhang 2008, section 4): the tails, once no separating set is left to find.

Where the paper asks for an uncovered path, a walk is looked for: every three nodes in a row form an unshielded
non-collider, but a node may come twice. That is polynomial. In the graph of an equivalence class such a walk exists
exactly when a path does; elsewhere the rules' arguments hold for walks as they stand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from explainer.causal.bits import add, following, following_both, has, overlap, overlap_three
from explainer.causal.graph import clear_wishes, grant
from explainer.compiling import allocating, inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explainer.causal.bits import Words
    from explainer.causal.graph import Graph


class Room(NamedTuple):
    """Memory for walks over a graph of n nodes."""

    steps: Words
    """(n, words) [u]: where a walk may go from u."""
    forward: Words
    """(n, words) [u] has v: some walk ends u, v."""
    backward: Words
    reach: Words
    """(n, words) [m]: the ends of all walks by m."""
    queue: NDArray[np.int64]


@allocating
def orient_tails(graph: Graph, selection_bias: bool) -> None:  # noqa: FBT001 - compiled
    """R5, then R6 and R7, when selection is possible; then R8-R10; each until nothing changes."""
    n, words = graph.adjacent.shape
    sets = np.empty((4, n, words), np.uint64)
    room = Room(sets[0], sets[1], sets[2], sets[3], np.empty((n * n, 2), np.int64))
    changed = selection_bias
    while changed:
        clear_wishes(graph)
        _r5(graph, room)
        changed = grant(graph)
    changed = selection_bias
    while changed:
        clear_wishes(graph)
        _r6(graph)
        _r7(graph)
        changed = grant(graph)
    changed = True
    while changed:
        clear_wishes(graph)
        _r8(graph)
        _r9_r10(graph, room)
        changed = grant(graph)


@inner
def _walk(graph: Graph, room: Room, a: int, last: int, walks: Words) -> None:
    """Extend the walks in ``walks`` from a, never back to a, never on from ``last``."""
    steps, queue = room.steps, room.queue
    begin = 0
    end = 0
    v = following(walks[a], 0)
    while v >= 0:
        queue[end, 0], queue[end, 1] = a, v
        end += 1
        v = following(walks[a], v + 1)
    while begin < end:
        u, v = queue[begin]
        begin += 1
        if v == last:
            continue
        w = following_both(steps[v], graph.noncollider[u, v], 0)
        while w >= 0:
            if w != a and not has(walks[v], w):
                add(walks[v], w)
                queue[end, 0], queue[end, 1] = v, w
                end += 1
            w = following_both(steps[v], graph.noncollider[u, v], w + 1)


@inner
def _r5(graph: Graph, room: Room) -> None:
    """R5: a o-o b and an uncovered circle path <a, c, ..., d, b>, a, d and b, c not adjacent: all of it undirected."""
    circles = room.steps
    for j in range(len(graph.adjacent)):
        for k in range(circles.shape[1]):
            circles[j, k] = graph.circles_at[j, k] & graph.circles_from[j, k]
    for a in range(len(graph.adjacent)):
        b = following(circles[a], a + 1)
        while b >= 0:
            if overlap(circles[a], graph.noncollider[b, a]) and overlap(circles[b], graph.noncollider[a, b]):
                _circle_walks(graph, room, a, b, room.forward)
                _circle_walks(graph, room, b, a, room.backward)
                if _wish_undirected(graph, room.forward, room.backward):
                    add(graph.want_tail[a], b)
                    add(graph.want_tail[b], a)
            b = following(circles[a], b + 1)


@inner
def _circle_walks(graph: Graph, room: Room, a: int, b: int, walks: Words) -> None:
    """Uncovered circle walks that leave a for a node not adjacent to b and go no further than b."""
    walks[:] = np.uint64(0)
    for k in range(walks.shape[1]):
        walks[a, k] = room.steps[a, k] & graph.noncollider[b, a, k]
    _walk(graph, room, a, b, walks)


@inner
def _wish_undirected(graph: Graph, walks: Words, back: Words) -> bool:
    """Wish tails on every edge that is walked from both ends."""
    found = False
    for u in range(len(walks)):
        v = following(walks[u], 0)
        while v >= 0:
            if has(back[v], u):
                found = True
                add(graph.want_tail[u], v)
                add(graph.want_tail[v], u)
            v = following(walks[u], v + 1)
    return found


@inner
def _r6(graph: Graph) -> None:
    """R6: a --- b o-* c: b --* c."""
    for b in range(len(graph.adjacent)):
        if overlap(graph.tails_at[b], graph.tails_from[b]):
            for k in range(graph.adjacent.shape[1]):
                graph.want_tail[b, k] |= graph.circles_at[b, k]


@inner
def _r7(graph: Graph) -> None:
    """R7: a --o b o-* c, a and c not adjacent: b --* c."""
    for b in range(len(graph.adjacent)):
        a = following_both(graph.circles_at[b], graph.tails_from[b], 0)
        while a >= 0:
            for k in range(graph.adjacent.shape[1]):
                graph.want_tail[b, k] |= graph.circles_at[b, k] & graph.noncollider[a, b, k]
            a = following_both(graph.circles_at[b], graph.tails_from[b], a + 1)


@allocating
def _r8(graph: Graph) -> None:
    """R8: a --> b --> c or a --o b --> c, and a o-> c: a --> c."""
    n, words = graph.adjacent.shape
    toward = np.empty(words, np.uint64)
    for a in range(n):
        for k in range(words):
            toward[k] = graph.tails_at[a, k] & (graph.heads_from[a, k] | graph.circles_from[a, k])
        c = following_both(graph.circles_at[a], graph.heads_from[a], 0)
        while c >= 0:
            if overlap_three(toward, graph.heads_at[c], graph.tails_from[c]):
                add(graph.want_tail[a], c)
            c = following_both(graph.circles_at[a], graph.heads_from[a], c + 1)


@allocating
def _r9_r10(graph: Graph, room: Room) -> None:
    """For every a o-> c, look at all uncovered potentially directed walks that leave a, by their second node m.

    R9: m and c not adjacent and a walk reaches c: a --> c.
    R10: walks by m and by o, not adjacent to one another, reach parents of c: a --> c. (The paper's two parents may be
    one here: at least one of m, o is a child of a in any case, and that is all its argument needs.)
    """
    n, words = graph.adjacent.shape
    for v in range(n):
        for k in range(words):
            leaving = graph.circles_at[v, k] | graph.tails_at[v, k]
            room.steps[v, k] = leaving & (graph.circles_from[v, k] | graph.heads_from[v, k])
    for a in range(n):
        if not overlap(graph.circles_at[a], graph.heads_from[a]):
            continue
        m = following(room.steps[a], 0)
        while m >= 0:
            _reach(graph, room, a, m)
            c = following_both(graph.circles_at[a], graph.heads_from[a], 0)
            while c >= 0:
                if has(room.reach[m], c) and has(graph.noncollider[m, a], c):
                    add(graph.want_tail[a], c)
                c = following_both(graph.circles_at[a], graph.heads_from[a], c + 1)
            m = following(room.steps[a], m + 1)
        _r10(graph, room, a)


@inner
def _reach(graph: Graph, room: Room, a: int, m: int) -> None:
    """All nodes at the end of an uncovered potentially directed walk a, m, ..."""
    room.forward[:] = np.uint64(0)
    add(room.forward[a], m)
    _walk(graph, room, a, -1, room.forward)
    room.reach[m, :] = np.uint64(0)
    for u in range(len(room.forward)):
        for k in range(room.forward.shape[1]):
            room.reach[m, k] |= room.forward[u, k]


@allocating
def _r10(graph: Graph, room: Room, a: int) -> None:
    first = np.empty(room.steps.shape[1], np.uint64)
    c = following_both(graph.circles_at[a], graph.heads_from[a], 0)
    while c >= 0:
        first[:] = np.uint64(0)
        m = following(room.steps[a], 0)
        while m >= 0:
            if m != c and overlap_three(room.reach[m], graph.heads_at[c], graph.tails_from[c]):
                add(first, m)
            m = following(room.steps[a], m + 1)
        m = following(first, 0)
        while m >= 0:
            if overlap(first, graph.noncollider[m, a]):
                add(graph.want_tail[a], c)
                break
            m = following(first, m + 1)
        c = following_both(graph.circles_at[a], graph.heads_from[a], c + 1)
