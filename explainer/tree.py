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


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Neighbours of each node, and those toward which it has an arrowhead, as integers with one bit per node."""

    adjacent: tuple[int, ...]
    heads: tuple[int, ...]

    def walk(self, root: int, inner: int) -> dict[int, int]:
        """Least depth of every node that a possible-d-sep walk from the root ends at, all inner nodes in ``inner``."""
        depth: dict[int, int] = {}
        ended = [0] * len(self.adjacent)  # [b]: every c that some walk has gone on to from b
        ended[root] = self.adjacent[root]
        frontier = [(root, node) for node in _members(self.adjacent[root])]
        level = 1
        while frontier:
            onward: list[tuple[int, int]] = []
            for a, b in frontier:
                depth.setdefault(b, level)
                if inner >> b & 1:
                    # A walk may go a, b, c when a and c are adjacent, or when b is a collider between them.
                    through = self.adjacent[a] | (self.heads[b] if self.heads[b] >> a & 1 else 0)
                    fresh = self.adjacent[b] & through & ~(1 << a | 1 << root | ended[b])
                    ended[b] |= fresh
                    onward.extend((b, c) for c in _members(fresh))
            frontier = onward
            level += 1
        return depth


@dataclass(frozen=True, slots=True, eq=False)
class InfluenceTree:
    """Distances in, and connected subsets of, the possible-influence tree of one root."""

    pag: Pag
    root: int
    distance: NDArray[np.int64]
    """(n,) least number of edges from the root; 0 at the root, UNREACHED (-1) where no possible-d-sep path leads."""

    skeleton: Skeleton

    def is_connected(self, nodes: Collection[int]) -> bool:
        """Whether every node is reached from the root through nodes of the set alone ("tree-legal")."""
        inner = 0
        for node in nodes:
            inner |= 1 << int(node)
        return set(nodes) <= self.skeleton.walk(self.root, inner).keys()

    def connected_sets(self, size: int) -> Iterator[tuple[int, ...]]:
        """All tree-legal sets of this size, by summed distance, then lexicographically."""
        nodes = [int(node) for node in np.flatnonzero(self.distance > 0)]
        depth = self.distance.tolist()
        by_distance = sorted(
            combinations(nodes, size), key=lambda chosen: (sum(depth[node] for node in chosen), chosen)
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
    skeleton = Skeleton(_rows(pag.marks != Mark.NONE), _rows((pag.marks == Mark.ARROWHEAD).T))
    distance = np.full(n, UNREACHED, dtype=np.int64)
    distance[root] = 0
    for node, depth in skeleton.walk(int(root), (1 << n) - 1).items():
        distance[node] = depth
    return InfluenceTree(pag, int(root), distance, skeleton)


def _rows(matrix: NDArray[np.bool_]) -> tuple[int, ...]:
    """Each row as an integer, bit j for column j."""
    packed = np.packbits(matrix, axis=1, bitorder="little")
    return tuple(int.from_bytes(row.tobytes(), "little") for row in packed)


def _members(bits: int) -> Iterator[int]:
    """Positions of the bits that are set, ascending."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
