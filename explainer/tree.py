"""The possible-influence tree: what may influence a node, and through what (Rohekar et al. 2023, section 4.3).

The tree of the paper is rooted at the recommended item and holds every possible-d-sep path that leaves it: paths on
which each inner node is a collider or the middle of a triangle. Only two things are asked of it: how near a node is to
the root, and whether a set of nodes hangs together, each reachable from the root through members of the set alone. Both
are answered on the graph itself. Deviation: the authors' code grows the tree breadth first and uses every edge once;
here an edge may be used once in each direction, so that the answer does not depend on the order of the nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from explainer.errors import InvalidParameterError
from explainer.pag import Mark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray

    from explainer.pag import Pag

UNREACHED = -1


@dataclass(frozen=True, slots=True, eq=False)
class InfluenceTree:
    """Distances in, and connected subsets of, the possible-influence tree of one root."""

    pag: Pag
    root: int
    distance: NDArray[np.int64]
    """(n,) least number of edges from the root; 0 at the root, UNREACHED (-1) where no possible-d-sep path leads."""

    def is_connected(self, nodes: Collection[int]) -> bool:
        """Whether every node is reached from the root through nodes of the set alone ("tree-legal")."""
        members = frozenset(nodes)
        return members <= set(_walk(self.pag.marks, self.root, members))

    def connected_sets(self, size: int) -> Iterator[tuple[int, ...]]:
        """All tree-legal sets of this size, by summed distance, then lexicographically."""
        nodes = [int(node) for node in np.flatnonzero(self.distance > 0)]
        by_distance = sorted(
            combinations(nodes, size), key=lambda chosen: (int(self.distance[list(chosen)].sum()), chosen)
        )
        return (chosen for chosen in by_distance if self.is_connected(chosen))


def possible_influence_tree(pag: Pag, root: int) -> InfluenceTree:
    """The possible-influence tree of a node.

    Args:
        pag: the graph, over n nodes.
        root: index of the node that is being explained, 0 <= root < n.

    Raises:
        InvalidParameterError: root is not a node of the graph.
    """
    n = len(pag.marks)
    if not 0 <= root < n:
        raise InvalidParameterError("root", f"root must be a node of the graph, 0 to {n - 1}, but it is {root}.")
    distance = np.full(n, UNREACHED, dtype=np.int64)
    distance[root] = 0
    for node, depth in _walk(pag.marks, root, range(n)).items():
        distance[node] = depth
    return InfluenceTree(pag, root, distance)


def _walk(marks: NDArray[np.int8], root: int, inner: Collection[int]) -> dict[int, int]:
    """Least depth of every node reached from the root by possible-d-sep walks with all inner nodes in ``inner``."""
    depth: dict[int, int] = {}
    frontier = [(root, int(node)) for node in np.flatnonzero(marks[root])]
    reached = set(frontier)
    level = 1
    while frontier:
        for _, node in frontier:
            depth.setdefault(node, level)
        level += 1
        frontier = [
            (b, int(c))
            for a, b in frontier
            if b in inner
            for c in np.flatnonzero(marks[b])
            if c not in (a, root) and _passes(marks, a, b, int(c))
        ]
        frontier = [edge for edge in dict.fromkeys(frontier) if edge not in reached]
        reached.update(frontier)
    return depth


def _passes(marks: NDArray[np.int8], a: int, b: int, c: int) -> bool:
    """Whether a possible-d-sep path may go a, b, c: a triangle, or a collider at b."""
    return bool(marks[a, c]) or bool(marks[a, b] == Mark.ARROWHEAD == marks[c, b])
