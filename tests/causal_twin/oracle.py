"""Random linear Gaussian models with latent variables, and what is true of them by definition."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Model:
    """A DAG over observed nodes 0..n-1 and latent ones after them, with its population correlation."""

    parents: NDArray[np.bool_]
    """(m, m) parents[i, j]: i --> j."""

    observed: int
    correlation: NDArray[np.float64]
    """(n, n) of the observed nodes."""

    @cached_property
    def ancestors(self) -> NDArray[np.bool_]:
        """(m, m) [i, j]: i is j or an ancestor of j."""
        reach = self.parents | np.eye(len(self.parents), dtype=np.bool_)
        for _ in range(len(reach).bit_length()):
            reach |= reach @ reach
        return reach

    @cached_property
    def _neighbours(self) -> tuple[list[list[int]], list[list[int]]]:
        """Children and parents of every node."""
        return [np.flatnonzero(row).tolist() for row in self.parents], [
            np.flatnonzero(column).tolist() for column in self.parents.T
        ]

    def separated(self, x: int, y: int, given: frozenset[int]) -> bool:
        """d-separation, by reachability over (node, arrived against an arrow?) states."""
        opened = self.ancestors[:, sorted(given)].any(axis=1) if given else np.zeros(len(self.parents), dtype=np.bool_)
        children, parents = self._neighbours
        seen: set[tuple[int, bool]] = set()
        todo = [(x, True)]
        while todo:
            node, up = todo.pop()
            if (node, up) in seen:
                continue
            seen.add((node, up))
            if node == y:
                return False
            if node not in given:
                todo += [(child, False) for child in children[node]]
            if (up and node not in given) or (not up and opened[node]):
                todo += [(parent, True) for parent in parents[node]]
        return True


def random_model(
    rng: np.random.Generator, observed: int, latent: int, degree: float, *, ordered: bool = False
) -> Model:
    """A model with about ``degree`` edges per observed node; every latent variable has two or more observed children.

    With ``ordered`` the index order of the observed nodes is a causal order.
    """
    order = np.arange(observed) if ordered else rng.permutation(observed)
    size = observed + latent
    weights = np.zeros((size, size))
    for i, j in combinations(range(observed), 2):
        if rng.random() < degree / (observed - 1):
            weights[order[i], order[j]] = _coefficient(rng)
    for hidden in range(observed, size):
        for child in rng.choice(observed, size=rng.integers(2, 4), replace=False):
            weights[hidden, child] = _coefficient(rng)
    total = np.linalg.inv(np.eye(size) - weights)
    noise = rng.uniform(0.5, 1.5, size)
    covariance = (total.T * noise @ total)[:observed, :observed]
    deviation = np.sqrt(np.diag(covariance))
    return Model(weights != 0, observed, covariance / np.multiply.outer(deviation, deviation))


def _coefficient(rng: np.random.Generator) -> float:
    return float(rng.choice([-1, 1]) * rng.uniform(0.4, 1.3))
