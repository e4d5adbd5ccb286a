"""R0-R4 (Zhang 2008, doi 10.1016/j.artint.2008.08.001, section 3.1): the arrowheads, and the tails that come with them.

Each rule reads the graph as it stands and only wishes; ``grant`` puts all marks of a sweep at once. With a perfect
oracle every wish is true of every graph in the equivalence class, so the fixpoint is the one that any order of
application reaches. On finite data, where rules may disagree, the result depends on no order at all.

Two departures from the letter, neither of which an oracle can tell: a rule that takes an unshielded triple for a
non-collider asks that the middle *is* in the separating sets, so that a triple on which they are divided moves nothing;
and R4 finds discriminating paths as a closure over the parents of their last node, in polynomial time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from explainer.causal.bits import add, discard, following, following_both, has, overlap, overlap_three
from explainer.causal.graph import clear_wishes, grant
from explainer.compiling import allocating, inner

if TYPE_CHECKING:
    from explainer.causal.bits import Words
    from explainer.causal.graph import Graph

_SILENT, _NONCOLLIDER, _COLLIDER = 0, 1, 2


class Evidence(NamedTuple):
    """What decides whether the middle of a triple is a collider."""

    inside: Words
    """(n, n, words) [x, y]: the nodes in most separating sets of x and y."""
    unsure: Words
    """(n, n, words) [x, y]: the nodes in exactly half of them."""
    true_heads: Words
    """(n, words) [j]: the arrowheads at j of a maximal ancestral graph that decides R4 instead; no rows if none."""


@allocating
def orient_arrowheads(graph: Graph, evidence: Evidence) -> int:
    """R0 once, then R1-R4 until nothing changes; ``graph`` is as ``reset`` leaves it. Returns the ambiguous triples."""
    ambiguous = _r0(graph, evidence)
    while True:
        clear_wishes(graph)
        _r1(graph)
        _r2(graph)
        _r3(graph)
        _r4(graph, evidence)
        if not grant(graph):
            return ambiguous


@inner
def _r0(graph: Graph, evidence: Evidence) -> int:
    """R0: a *-* b *-* c unshielded: a *-> b <-* c when b separates them in fewer than half of the separating sets."""
    adjacent = graph.adjacent
    ambiguous = 0
    clear_wishes(graph)
    for a in range(len(adjacent)):
        for c in range(a + 1, len(adjacent)):
            if has(adjacent[a], c):
                continue
            b = following_both(adjacent[a], adjacent[c], 0)
            while b >= 0:
                if has(evidence.inside[a, c], b):
                    add(graph.noncollider[a, b], c)
                    add(graph.noncollider[c, b], a)
                elif has(evidence.unsure[a, c], b):
                    ambiguous += 1
                else:
                    add(graph.want_head[b], a)
                    add(graph.want_head[b], c)
                b = following_both(adjacent[a], adjacent[c], b + 1)
    grant(graph)
    return ambiguous


@inner
def _r1(graph: Graph) -> None:
    """R1: a *-> b o-* c, a and c not adjacent: b --> c."""
    for b in range(len(graph.adjacent)):
        a = following(graph.heads_at[b], 0)
        while a >= 0:
            c = following_both(graph.circles_at[b], graph.noncollider[a, b], 0)
            while c >= 0:
                add(graph.want_tail[b], c)
                add(graph.want_head[c], b)
                c = following_both(graph.circles_at[b], graph.noncollider[a, b], c + 1)
            a = following(graph.heads_at[b], a + 1)


@inner
def _r2(graph: Graph) -> None:
    """R2: a --> b *-> c or a *-> b --> c, and a *-o c: a *-> c."""
    for c in range(len(graph.adjacent)):
        a = following(graph.circles_at[c], 0)
        while a >= 0:
            if overlap_three(graph.heads_from[a], graph.heads_at[c], graph.tails_at[a]) or overlap_three(
                graph.heads_from[a], graph.heads_at[c], graph.tails_from[c]
            ):
                add(graph.want_head[c], a)
            a = following(graph.circles_at[c], a + 1)


@inner
def _r3(graph: Graph) -> None:
    """R3: a *-> b <-* c, a *-o d o-* c, a and c not adjacent, d *-o b: d *-> b."""
    for b in range(len(graph.adjacent)):
        d = following(graph.circles_at[b], 0)
        while d >= 0:
            a = following_both(graph.heads_at[b], graph.circles_at[d], 0)
            while a >= 0:
                if overlap_three(graph.heads_at[b], graph.circles_at[d], graph.noncollider[a, d]):
                    add(graph.want_head[b], d)
                    break
                a = following_both(graph.heads_at[b], graph.circles_at[d], a + 1)
            d = following(graph.circles_at[b], d + 1)


@allocating
def _r4(graph: Graph, evidence: Evidence) -> None:
    """R4: <t, ..., a, b, c> discriminates for b, and b o-* c: b --> c if b separates t and c, else a <-> b <-> c."""
    words = graph.adjacent.shape[1]
    parents = np.empty(words, np.uint64)
    ends = np.empty(words, np.uint64)
    for c in range(len(graph.adjacent)):
        for k in range(words):
            parents[k] = graph.heads_at[c, k] & graph.tails_from[c, k]
        b = following(graph.circles_from[c], 0)
        while b >= 0:
            a = following_both(parents, graph.heads_from[b], 0)
            while a >= 0:
                _discriminating_ends(graph, a, c, parents, ends)
                _r4_conclude(graph, a, b, c, _ruling(evidence, ends, a, b, c))
                a = following_both(parents, graph.heads_from[b], a + 1)
            b = following(graph.circles_from[c], b + 1)


@inner
def _ruling(evidence: Evidence, ends: Words, a: int, b: int, c: int) -> int:
    """What the far ends of the paths say of b. When they do not agree, both answers at once."""
    if len(evidence.true_heads) > 0:
        if not overlap(ends, ends):
            return _SILENT
        collider = has(evidence.true_heads[b], a) and has(evidence.true_heads[b], c)
        return _COLLIDER if collider else _NONCOLLIDER
    ruling = _SILENT
    t = following(ends, 0)
    while t >= 0:
        if has(evidence.inside[t, c], b):
            ruling |= _NONCOLLIDER
        elif not has(evidence.unsure[t, c], b):
            ruling |= _COLLIDER
        t = following(ends, t + 1)
    return ruling


@inner
def _r4_conclude(graph: Graph, a: int, b: int, c: int, ruling: int) -> None:
    if ruling == _SILENT:
        return
    if ruling & _NONCOLLIDER:
        add(graph.want_tail[b], c)
    if ruling & _COLLIDER:
        add(graph.want_head[b], c)
    if ruling == _COLLIDER:
        add(graph.want_head[b], a)
    if ruling != _COLLIDER | _NONCOLLIDER:  # where they disagree, the mark at b is contested and nothing follows
        add(graph.want_head[c], b)


@allocating
def _discriminating_ends(graph: Graph, a: int, c: int, parents: Words, ends: Words) -> None:
    """Far ends t of the paths <t, ..., a, b, c>, all of whose inner nodes but b are colliders and parents of c."""
    words = len(ends)
    inner_nodes = np.zeros(words, np.uint64)
    todo = np.zeros(words, np.uint64)
    ends[:] = np.uint64(0)
    add(inner_nodes, a)
    add(todo, a)
    v = a
    while v >= 0:
        discard(todo, v)
        for k in range(words):
            ends[k] |= graph.heads_at[v, k] & ~graph.adjacent[c, k]
            fresh = graph.heads_at[v, k] & graph.heads_from[v, k] & parents[k] & ~inner_nodes[k]
            inner_nodes[k] |= fresh
            todo[k] |= fresh
        v = following(todo, 0)
