"""Orientation rules R0-R10 (Zhang 2008) written out literally over Python loops: the slow twin of the compiled rules.

Every rule is a generator of wishes ``(i, j, mark)``: "mark at j on the edge i *-* j". A sweep collects the wishes of all
rules of its stage on the graph as it stands and grants them together.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

NONE, CIRCLE, HEAD, TAIL = 0, 1, 2, 3
OUT, UNSURE, IN = 0, 1, 2

Wish = tuple[int, int, int]


class Orientation:
    """A graph being oriented.

    ``verdict[x, y, z]`` says whether z belongs to the separating sets of the non-adjacent x and y.
    """

    def __init__(self, adjacent: NDArray[np.bool_], verdict: NDArray[np.int8], *, temporal: bool = False) -> None:
        self.n = len(adjacent)
        self.marks = np.where(adjacent, CIRCLE, NONE).astype(np.int8)
        if temporal:
            self.marks[np.triu(adjacent)] = HEAD
        self.verdict = verdict
        self.locked = np.zeros_like(adjacent)
        self.ambiguous = 0

    def neighbours(self, node: int) -> list[int]:
        """Nodes with an edge to this one, ascending."""
        return [int(other) for other in np.flatnonzero(self.marks[node])]

    def noncollider(self, a: int, b: int, c: int) -> bool:
        """Whether a, b, c is an unshielded triple whose middle is in the separating sets."""
        return a != c and not self.marks[a, c] and bool(self.verdict[a, c, b] == IN)

    def directed(self, a: int, b: int) -> bool:
        """A --> b."""
        return bool(self.marks[a, b] == HEAD and self.marks[b, a] == TAIL)

    def possibly_directed(self, a: int, b: int) -> bool:
        """An edge without an arrowhead at a or a tail at b."""
        return bool(self.marks[a, b] in (CIRCLE, HEAD) and self.marks[b, a] in (CIRCLE, TAIL))

    def sweep(self, rules: list[Callable[[Orientation], Iterator[Wish]]]) -> bool:
        """Grant, together, what the rules wish for on the graph as it stands; say whether any mark changed."""
        wishes = {wish for rule in rules for wish in rule(self) if self.marks[wish[0], wish[1]] == CIRCLE}
        changed = False
        for i, j, mark in wishes:
            if self.locked[i, j]:
                continue
            if (i, j, HEAD + TAIL - mark) in wishes:
                self.locked[i, j] = True
                continue
            self.marks[i, j] = mark
            changed = True
        return changed

    def arrowheads(self) -> None:
        """R0 once, then R1-R4 until nothing changes."""
        self.sweep([r0])
        while self.sweep([r1, r2, r3, r4]):
            pass

    def tails(self, *, selection_bias: bool) -> None:
        """R5, then R6 and R7, then R8-R10, each until nothing changes."""
        stages: list[list[Callable[[Orientation], Iterator[Wish]]]] = [[r8, r9, r10]]
        if selection_bias:
            stages = [[r5], [r6, r7], *stages]
        for stage in stages:
            while self.sweep(stage):
                pass


def r0(g: Orientation) -> Iterator[Wish]:
    """R0: A *-* b *-* c unshielded and b in no separating set: a *-> b <-* c."""
    g.ambiguous = 0
    for b in range(g.n):
        for a, c in permutations(g.neighbours(b), 2):
            if not g.marks[a, c]:
                if g.verdict[a, c, b] == OUT:
                    yield a, b, HEAD
                    yield c, b, HEAD
                g.ambiguous += a < c and g.verdict[a, c, b] == UNSURE


def r1(g: Orientation) -> Iterator[Wish]:
    """R1: A *-> b o-* c unshielded: b --> c."""
    for b in range(g.n):
        for a, c in permutations(g.neighbours(b), 2):
            if g.marks[a, b] == HEAD and g.marks[c, b] == CIRCLE and g.noncollider(a, b, c):
                yield c, b, TAIL
                yield b, c, HEAD


def r2(g: Orientation) -> Iterator[Wish]:
    """R2: A --> b *-> c or a *-> b --> c, and a *-o c: a *-> c."""
    for a, c in np.argwhere(g.marks == CIRCLE):
        for b in g.neighbours(a):
            if g.marks[a, b] == HEAD == g.marks[b, c] and TAIL in (g.marks[b, a], g.marks[c, b]):
                yield int(a), int(c), HEAD


def r3(g: Orientation) -> Iterator[Wish]:
    """R3: A *-> b <-* c, a *-o d o-* c, a and c not adjacent, d *-o b: d *-> b."""
    for d, b in np.argwhere(g.marks == CIRCLE):
        for a, c in permutations(g.neighbours(d), 2):
            into = g.marks[a, b] == HEAD == g.marks[c, b] and g.marks[a, d] == CIRCLE == g.marks[c, d]
            if into and g.noncollider(a, d, c):
                yield int(d), int(b), HEAD


def r4(g: Orientation) -> Iterator[Wish]:
    """R4: <t, ..., a, b, c> discriminates for b, and b o-* c: b --> c if b separates t and c, else a <-> b <-> c."""
    for c, b in np.argwhere(g.marks == CIRCLE):
        for a in g.neighbours(b):
            if g.marks[b, a] != HEAD or not g.directed(a, c):
                continue
            ends = {int(g.verdict[t, c, b]) for t in _discriminating_ends(g, a, b, c)}
            if IN in ends:
                yield int(c), int(b), TAIL
                if OUT not in ends:
                    yield int(b), int(c), HEAD
            if OUT in ends:
                yield int(c), int(b), HEAD
                if IN not in ends:
                    yield a, int(b), HEAD
                    yield int(b), int(c), HEAD


def _discriminating_ends(g: Orientation, a: int, b: int, c: int) -> set[int]:
    """Far ends t of the paths <t, ..., a, b, c>: every inner node but b a collider and a parent of c."""
    ends: set[int] = set()
    inner, todo = {a}, [a]
    while todo:
        v = todo.pop()
        for t in g.neighbours(v):
            if g.marks[t, v] != HEAD or t in (b, c):
                continue
            if not g.marks[t, c]:
                ends.add(t)
            elif t not in inner and g.marks[v, t] == HEAD and g.directed(t, c):
                inner.add(t)
                todo.append(t)
    return ends


def _uncovered(g: Orientation, a: int, b: int, step: Callable[[int, int], bool]) -> set[tuple[int, int]]:
    """Edges that end an uncovered walk starting a, b and never back through a, every edge of which passes ``step``."""
    reached = {(a, b)}
    todo = [(a, b)]
    while todo:
        u, v = todo.pop()
        for w in g.neighbours(v):
            if w != a and (v, w) not in reached and step(v, w) and g.noncollider(u, v, w):
                reached.add((v, w))
                todo.append((v, w))
    return reached


def r5(g: Orientation) -> Iterator[Wish]:
    """R5: A o-o b, and an uncovered circle path <a, c, ..., d, b> with a, d and b, c not adjacent: all of it undirected."""

    def circles(u: int, v: int) -> bool:
        return bool(g.marks[u, v] == CIRCLE == g.marks[v, u])

    for a, b in np.argwhere(np.triu((g.marks == CIRCLE) & (g.marks.T == CIRCLE))):
        forward = _circle_walks(g, int(a), int(b), circles)
        backward = _circle_walks(g, int(b), int(a), circles)
        both = {(u, v) for u, v in forward if (v, u) in backward}
        for u, v in both | ({(int(a), int(b))} if both else set()):
            yield u, v, TAIL
            yield v, u, TAIL


def _circle_walks(g: Orientation, a: int, b: int, circles: Callable[[int, int], bool]) -> set[tuple[int, int]]:
    """Edges on uncovered circle walks that leave a for a node not adjacent to b; walks end where they meet b."""
    reached: set[tuple[int, int]] = set()

    def step(u: int, v: int) -> bool:
        return circles(u, v) and u != b

    for c in g.neighbours(a):
        if c != b and circles(a, c) and g.noncollider(c, a, b):
            reached |= _uncovered(g, a, c, step)
    return reached


def r6(g: Orientation) -> Iterator[Wish]:
    """R6: A --- b o-* c: b --* c."""
    for c, b in np.argwhere(g.marks == CIRCLE):
        if any(g.marks[a, b] == TAIL == g.marks[b, a] for a in g.neighbours(b) if a != c):
            yield int(c), int(b), TAIL


def r7(g: Orientation) -> Iterator[Wish]:
    """R7: A --o b o-* c, a and c not adjacent: b --* c."""
    for c, b in np.argwhere(g.marks == CIRCLE):
        if any(
            g.marks[a, b] == CIRCLE and g.marks[b, a] == TAIL and g.noncollider(a, b, c)
            for a in g.neighbours(b)
            if a != c
        ):
            yield int(c), int(b), TAIL


def r8(g: Orientation) -> Iterator[Wish]:
    """R8: A --> b --> c or a --o b --> c, and a o-> c: a --> c."""
    for c, a in np.argwhere((g.marks == CIRCLE) & (g.marks.T == HEAD)):
        if any(g.marks[b, a] == TAIL and g.marks[a, b] != TAIL and g.directed(b, c) for b in g.neighbours(a)):
            yield int(c), int(a), TAIL


def r9(g: Orientation) -> Iterator[Wish]:
    """R9: A o-> c, and an uncovered potentially directed path <a, b, d, ..., c> with b, c not adjacent: a --> c."""
    for c, a in np.argwhere((g.marks == CIRCLE) & (g.marks.T == HEAD)):
        for b in g.neighbours(a):
            # The edge c, a, b is an unshielded triple that a is not a collider of, like those on the path itself.
            if b != c and g.possibly_directed(a, b) and g.noncollider(c, a, b):
                walks = _uncovered(g, int(a), b, g.possibly_directed)
                if any(v == c for _, v in walks):
                    yield int(c), int(a), TAIL


def r10(g: Orientation) -> Iterator[Wish]:
    """R10: A o-> c, b --> c <-- d, uncovered potentially directed paths <a, m, ..., b>, <a, o, ..., d>, m, o not adjacent: a --> c."""
    for c, a in np.argwhere((g.marks == CIRCLE) & (g.marks.T == HEAD)):
        first = [
            m
            for m in g.neighbours(a)
            if m != c
            and g.possibly_directed(a, m)
            and any(g.directed(v, c) for _, v in _uncovered(g, int(a), m, g.possibly_directed))
        ]
        if any(g.noncollider(m, a, o) for m, o in permutations(first, 2)):
            yield int(c), int(a), TAIL
