"""One PAG for each attention head, and what it says about each item of the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from explainer.attention import attention_correlation
from explainer.explanation import GraphEdge, HeadGraph, Relation
from explainer.icd import learn_pag
from explainer.pag import Mark, Pag
from explainer.relation import relation_to_target
from explainer.tree import UNREACHED, possible_influence_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from explainer.settings import Settings
    from explainer.support import EdgeSupport

_MARKS: Final = tuple(Mark)
"""By value: an enum looks values up far more slowly than a tuple."""


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
            edges=tuple(_edges(pag, support)),
        )


def _edges(pag: Pag, support: EdgeSupport) -> Iterator[GraphEdge]:
    sources, targets = np.nonzero(np.triu(pag.marks))
    at_source, at_target = pag.marks[targets, sources], pag.marks[sources, targets]
    shares = support.of_marks(sources, targets, at_source, at_target)
    columns = (sources, targets, at_source, at_target, support.edge[sources, targets], *shares)
    # All at once: an explanation has hundreds of edges, and numpy is slow by the element.
    for source, target, mark, other, edge, share, other_share in zip(*(each.tolist() for each in columns), strict=True):
        yield GraphEdge(source, target, _MARKS[mark], _MARKS[other], edge, (share, other_share))


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
