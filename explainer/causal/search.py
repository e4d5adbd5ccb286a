"""One radius of ICD: every remaining edge is tested with every legal set of that size (Rohekar et al. 2021, algorithm 1).

Legal sets are grown, never filtered out of all combinations. The sets that one root reaches by possible-d-sep walks have
two properties: a union of two is one, and each can be emptied node by node without leaving the family (take the node
farthest from the root). So every set of r nodes grows out of legal smaller ones, and splitting on "with this node, or
never with it" meets each exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from explainer.causal.bits import add, discard, following
from explainer.causal.candidates import all_among, pds_reached, possible_ancestors
from explainer.causal.partial import Elimination, begin_pair, hold_fixed, independent, new_elimination
from explainer.compiling import allocating, inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explainer.causal.arrowheads import Evidence
    from explainer.causal.bits import Words
    from explainer.causal.graph import Graph

FINISHED, OVER_BUDGET, CANCELLED, OUT_OF_TIME = 0, 1, 2, 3

_POLL_EVERY = 1024  # nodes tried between two looks at the flags: about a tenth of a millisecond


class Flags(NamedTuple):
    """One-byte arrays that another thread sets to stop the search."""

    cancel: NDArray[np.uint8]
    expired: NDArray[np.uint8]


class Scratch(NamedTuple):
    """Memory of the search, allocated once per graph. Row s belongs to sets of s nodes."""

    members: NDArray[np.int64]
    cursor: NDArray[np.int64]
    frontier: Words
    passed: Words
    ancestors: Words
    visited: Words
    allowed: Words
    reached: Words
    votes: NDArray[np.int64]
    counts: NDArray[np.int64]
    """Tests of the radius, separating sets of the present pair, nodes tried."""
    stack: Elimination


@allocating
def new_scratch(n: int, words: int) -> Scratch:
    """Memory for graphs of n nodes."""
    nodes = np.zeros((3, n + 1), np.int64)
    sets = np.zeros((4, n + 1, words), np.uint64)
    pair = np.zeros((2, words), np.uint64)
    counts = np.zeros(3, np.int64)
    return Scratch(
        nodes[0],
        nodes[1],
        sets[0],
        sets[1],
        sets[2, :n],
        sets[3],
        pair[0],
        pair[1],
        nodes[2],
        counts,
        new_elimination(n),
    )


class Radius(NamedTuple):
    """One radius to be searched."""

    graph: Graph
    """The graph that the previous radius left, frozen."""
    correlation: NDArray[np.float64]
    size: int
    """Nodes in the conditioning sets."""
    cutoff: float
    """Absolute partial correlations below it count as independence."""
    max_tests: int
    """Give up beyond this many."""
    flags: Flags
    work: Scratch


@inner
def search_radius(task: Radius, adjacent: Words, evidence: Evidence) -> int:
    """Test every edge with every legal set of this size; nothing that is found here changes what is legal here.

    A test that would rest on a singular matrix is no test: its set is passed over, as are all that contain it.

    Args:
        task: what to search; ``work.counts[0]`` is the number of tests afterwards.
        adjacent: (n, words) the skeleton to remove edges from.
        evidence: filled for the pairs that are separated.

    Returns:
        FINISHED, or why not; then the last two arguments are half done.
    """
    work = task.work
    work.counts[0] = 0
    work.counts[2] = 0
    possible_ancestors(task.graph, work.ancestors)
    for x in range(len(task.correlation)):
        y = following(task.graph.adjacent[x], x + 1)
        while y >= 0:
            status = _search_pair(task, x, y)
            if status != FINISHED:
                return status
            if work.counts[1] > 0:
                discard(adjacent[x], y)
                discard(adjacent[y], x)
                _record_votes(work, x, y, evidence)
            y = following(task.graph.adjacent[x], y + 1)
    return FINISHED


@inner
def _record_votes(work: Scratch, x: int, y: int, evidence: Evidence) -> None:
    """Majority over all separating sets of the pair; integers, so that no rounding can turn a vote."""
    for z in range(len(work.votes) - 1):
        if 2 * work.votes[z] > work.counts[1]:
            add(evidence.inside[x, y], z)
            add(evidence.inside[y, x], z)
        elif 2 * work.votes[z] == work.counts[1]:
            add(evidence.unsure[x, y], z)
            add(evidence.unsure[y, x], z)


@inner
def _search_pair(task: Radius, x: int, y: int) -> int:
    """Test one edge with the sets that x reaches, then with those that only y reaches; votes and counts in ``work``."""
    work = task.work
    work.votes[:] = 0
    work.counts[1] = 0
    begin_pair(work.stack, task.correlation, x, y)
    if task.size == 0:
        work.counts[0] += 1
        work.counts[1] = int(independent(work.stack, 0, task.cutoff))
        return OVER_BUDGET if work.counts[0] > task.max_tests else FINISHED
    for k in range(len(work.allowed)):
        work.allowed[k] = work.ancestors[x, k] | work.ancestors[y, k]
    discard(work.allowed, x)
    discard(work.allowed, y)
    status = _grow(task, x, x)
    if status == FINISHED:
        status = _grow(task, x, y)
    return status


@inner
def _grow(task: Radius, x: int, root: int) -> int:
    """Depth-first over the sets that the root reaches; ``passed`` holds what a branch may never take again."""
    work = task.work
    depth = 0
    work.cursor[0] = 0
    work.passed[0, :] = np.uint64(0)
    pds_reached(task.graph, work, root, 0, work.frontier[0])
    while depth >= 0:
        node = following(work.frontier[depth], work.cursor[depth])
        if node < 0:
            depth -= 1
            continue
        work.cursor[depth] = node + 1
        work.members[depth] = node
        status = _told_to_stop(task)
        if status != FINISHED:
            return status
        grown = depth + 1 == task.size
        known = grown and root != x and _also_from(task, x)
        if not known and hold_fixed(work.stack, task.correlation, work.members, depth):
            if not grown:
                depth = _descend(task, root, depth)
                continue
            work.counts[0] += 1
            if work.counts[0] > task.max_tests:
                return OVER_BUDGET
            if independent(work.stack, task.size, task.cutoff):
                _vote(task)
        add(work.passed[depth], node)
    return FINISHED


@inner
def _told_to_stop(task: Radius) -> int:
    """Look at the flags now and then."""
    task.work.counts[2] += 1
    if task.work.counts[2] % _POLL_EVERY == 0:
        if task.flags.cancel[0] != 0:
            return CANCELLED
        if task.flags.expired[0] != 0:
            return OUT_OF_TIME
    return FINISHED


@inner
def _descend(task: Radius, root: int, depth: int) -> int:
    """Open the branch of sets that contain the node just added; its elder siblings are closed to it."""
    work = task.work
    pds_reached(task.graph, work, root, depth + 1, work.frontier[depth + 1])
    for k in range(work.frontier.shape[1]):
        work.passed[depth + 1, k] = work.passed[depth, k]
        work.frontier[depth + 1, k] &= ~work.passed[depth, k]
    for at in range(depth + 1):
        discard(work.frontier[depth + 1], work.members[at])
    add(work.passed[depth], work.members[depth])
    work.cursor[depth + 1] = 0
    return depth + 1


@inner
def _also_from(task: Radius, x: int) -> bool:
    """Whether the set, grown from y, was met from x already. Neighbours of x need no walk to tell."""
    work = task.work
    if all_among(work.members, task.size, task.graph.adjacent[x]):
        return True
    pds_reached(task.graph, work, x, task.size, work.reached)
    return all_among(work.members, task.size, work.reached)


@inner
def _vote(task: Radius) -> None:
    task.work.counts[1] += 1
    for at in range(task.size):
        task.work.votes[task.work.members[at]] += 1
