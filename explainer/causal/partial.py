"""Partial correlation of a pair while the conditioning set grows node by node: one elimination step per node.

With S held fixed, cov(u, v | S + w) = cov(u, v | S) - cov(u, w | S) cov(v, w | S) / var(w | S). The steps of a growing set
are kept on a stack, so that taking the last node back costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from explainer.causal.independence import SINGULAR
from explainer.compiling import allocating, inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Elimination(NamedTuple):
    """The stack. Entry s of the last three: with the first s nodes held fixed."""

    pair: NDArray[np.int64]
    """(2,) the nodes x and y in question."""
    scaled: Floats
    """(r, r) [s, i]: cov(node s, node i | nodes before i) / var(node i | nodes before i), i < s."""
    plain: Floats
    """(r,) scratch: the same without the division, of the node being added."""
    variance: Floats
    """(r,) [s]: var(node s | nodes before it)."""
    with_x: Floats
    """(r,) [s]: cov(node s, x | nodes before it)."""
    with_y: Floats
    var_x: Floats
    var_y: Floats
    cov_xy: Floats


@allocating
def new_elimination(n: int) -> Elimination:
    """Room for sets of up to n nodes."""
    rows = np.empty((4, n))
    states = np.empty((3, n + 1))
    pair = np.zeros(2, np.int64)
    return Elimination(pair, np.empty((n, n)), rows[0], rows[1], rows[2], rows[3], states[0], states[1], states[2])


@inner
def begin_pair(stack: Elimination, correlation: Floats, x: int, y: int) -> None:
    """Start with nothing held fixed."""
    stack.pair[0] = x
    stack.pair[1] = y
    stack.var_x[0] = 1.0
    stack.var_y[0] = 1.0
    stack.cov_xy[0] = correlation[x, y]


@inner
def hold_fixed(stack: Elimination, correlation: Floats, members: NDArray[np.int64], size: int) -> bool:
    """Hold the member after the first ``size`` fixed too; False when it, x or y is then as good as determined."""
    node = members[size]
    variance = 1.0
    cov_x = correlation[node, stack.pair[0]]
    cov_y = correlation[node, stack.pair[1]]
    for s in range(size):
        cov = correlation[members[s], node]
        for i in range(s):
            cov -= stack.scaled[s, i] * stack.plain[i]
        share = cov / stack.variance[s]
        stack.plain[s] = cov
        stack.scaled[size, s] = share
        variance -= share * cov
        cov_x -= share * stack.with_x[s]
        cov_y -= share * stack.with_y[s]
    if variance < SINGULAR:
        return False
    var_x = stack.var_x[size] - cov_x * cov_x / variance
    var_y = stack.var_y[size] - cov_y * cov_y / variance
    stack.variance[size] = variance
    stack.with_x[size] = cov_x
    stack.with_y[size] = cov_y
    stack.var_x[size + 1] = var_x
    stack.var_y[size + 1] = var_y
    stack.cov_xy[size + 1] = stack.cov_xy[size] - cov_x * cov_y / variance
    return bool(var_x >= SINGULAR and var_y >= SINGULAR)


@inner
def independent(stack: Elimination, size: int, cutoff: float) -> bool:
    """Whether the partial correlation with the first ``size`` nodes held fixed is below the cut-off."""
    cov = stack.cov_xy[size]
    return bool(cov * cov < cutoff * cutoff * stack.var_x[size] * stack.var_y[size])
