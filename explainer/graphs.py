"""One PAG for each attention head, and what it says about each item of the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from explainer.attention import attention_correlation
from explainer.explanation import GraphEdge, HeadGraph, Relation
from explainer.icd import learn_pag
from explainer.pag import Mark, Pag
from explainer.relation import relation_to_target
from explainer.tree import UNREACHED, possible_influence_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from explainer.settings import Settings
    from explainer.support import EdgeSupport


@dataclass(frozen=True, slots=True)
class HeadReading:
    """What one head's graph says. Node n, the last, is the target."""

    head: int
    pag: Pag
    distance: NDArray[np.int64]
    """(n,) distance of each position from the target in the possible-influence tree, UNREACHED where there is none."""

    def relation(self, position: int) -> Relation:
        """How the item at a position stands to the target."""
        return relation_to_target(self.pag, position, self.distance.tolist())

    def graph(self, support: EdgeSupport) -> HeadGraph:
        """The graph as it is stored, edges by source, then target, each with its support."""
        pag = self.pag
        ends = zip(*(nodes.tolist() for nodes in np.nonzero(np.triu(pag.marks))), strict=True)
        return HeadGraph(
            head=self.head,
            radius=pag.radius,
            complete=pag.complete,
            tests=pag.tests,
            cutoff=pag.cutoff,
            stopped=pag.stopped,
            ambiguous=pag.ambiguous,
            contested=pag.contested,
            legal=pag.legal,
            edges=tuple(_edge(pag, source, target, support) for source, target in ends),
        )


def _edge(pag: Pag, source: int, target: int, support: EdgeSupport) -> GraphEdge:
    at_source, at_target = Mark(int(pag.marks[target, source])), Mark(int(pag.marks[source, target]))
    return GraphEdge(
        source=source,
        target=target,
        mark_at_source=at_source,
        mark_at_target=at_target,
        support=float(support.edge[source, target]),
        support_of_marks=support.of_marks(source, target, at_source, at_target),
    )


def read_heads(attention: NDArray[np.float64], settings: Settings) -> list[HeadReading]:
    """Learn one graph for each head of the abductive pass's attention (heads, n + 1, n + 1).

    Raises:
        InvalidAttentionError: a head's matrix is no attention matrix.
    """
    return [_read(head, matrix, settings) for head, matrix in enumerate(attention)]


def nearest(readings: Sequence[HeadReading]) -> list[int]:
    """Each position's least distance from the target over the heads, UNREACHED where no head reaches it."""
    distances = np.stack([reading.distance for reading in readings])
    far = np.iinfo(np.int64).max
    least = np.where(distances == UNREACHED, far, distances).min(axis=0)
    return [UNREACHED if one == far else one for one in least.tolist()]


def _read(head: int, attention: NDArray[np.float64], settings: Settings) -> HeadReading:
    pag = learn_pag(
        attention_correlation(attention),
        n_samples=settings.n_samples or 1,
        alpha=settings.alpha,
        max_radius=settings.max_radius,
        max_tests=settings.max_tests,
        temporal=bool(settings.temporal),
    )
    tree = possible_influence_tree(pag, root=len(pag.marks) - 1)
    return HeadReading(head, pag, tree.distance[:-1])
