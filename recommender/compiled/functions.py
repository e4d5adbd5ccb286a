"""Functions of single numbers and of rows, in 32 bits, written so that LLVM turns their loops into vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from explainer.compiling import inner
from recommender.architecture import ACTIVATIONS
from recommender.compiled.lanes import (
    SUMS,
    fma,
    lanes_highest_kept,
    lanes_product,
    lanes_spread,
    lanes_total,
    power_of_two,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from recommender.compiled.weights import Floats

GELU, _RELU, _SWISH, _TANH = (ACTIVATIONS.index(name) for name in ("gelu", "relu", "swish", "tanh"))

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_TINY = np.finfo(np.float32).tiny

# exp x = 2^n exp r, with |r| <= log(2) / 2. Log 2 is subtracted in two parts, the first of which leaves no rest.
LEAST, _MOST = np.float32(-87), np.float32(88)
"""LEAST: where an exponential is taken to be 0 in sums."""
_LOG2_E, _LN2_HIGH, _LN2_LOW = np.float32(1.4426950408889634), np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUNDING = np.float32(1.5 * 2**23)
# exp r = 1 + r + r^2 (e2 + e3 r + ...), to 4e-9; least squares on Chebyshev points.
_E2, _E3, _E4, _E5, _E6 = (np.float32(c) for c in (0.49999989, 0.16666518, 0.04166953, 0.00836892, 0.00137514))

# The normal distribution's share below x is 1/2 + x P(x^2) / Q(x^2) to 7e-8 for |x| <= 5.3, beyond which it is 0 or 1 to 6e-8;
# Lawson's iteration on Chebyshev points.
_END = np.float32(5.3)
_P0, _P1, _P2 = np.float32(3.98941828e-1), np.float32(5.20564602e-2), np.float32(5.69840879e-3)
_P3, _P4 = np.float32(3.41454437e-4), np.float32(6.26156774e-6)
_Q1, _Q2, _Q3 = np.float32(2.97145562e-1), np.float32(3.88214114e-2), np.float32(2.86256744e-3)
_Q4, _Q5 = np.float32(1.22467663e-4), np.float32(5.29571143e-7)


@inner
def exponential(x: np.float32) -> np.float32:
    """Exp x to 2e-7 of itself, for -87 <= x <= 88; beyond, the value at the end."""
    x = min(max(x, LEAST), _MOST)
    shifted = fma(x, _LOG2_E, _ROUNDING)
    n = shifted - _ROUNDING
    r = fma(-n, _LN2_LOW, fma(-n, _LN2_HIGH, x))
    rest = fma(r, fma(r, fma(r, fma(r, _E6, _E5), _E4), _E3), _E2)
    return fma(r * r, rest, r + _ONE) * power_of_two(np.int32(n))


@inner
def _gelu(x: np.float32) -> np.float32:
    """X times the normal distribution's share below x, to 2e-7 of x."""
    z = min(max(x, -_END), _END)
    u = z * z
    p = fma(u, fma(u, fma(u, fma(u, _P4, _P3), _P2), _P1), _P0)
    q = fma(u, fma(u, fma(u, fma(u, fma(u, _Q5, _Q4), _Q3), _Q2), _Q1), _ONE)
    return x * (z * p / q + _HALF)


@inner
def _relu(x: np.float32) -> np.float32:
    return max(x, _ZERO)


@inner
def _swish(x: np.float32) -> np.float32:
    return x / (_ONE + exponential(-x))


@inner
def _tanh(x: np.float32) -> np.float32:
    return _ONE - _TWO / (exponential(_TWO * x) + _ONE)


@inner
def _sigmoid(x: np.float32) -> np.float32:
    return _ONE / (_ONE + exponential(-x))


def _over_row(function: Callable[[np.float32], np.float32]) -> Callable[[Floats], None]:
    @inner
    def over_row(row: Floats) -> None:
        for c in range(len(row)):
            row[c] = function(row[c])

    return over_row


_gelus, _relus, _swishes, _tanhs, _sigmoids = (_over_row(each) for each in (_gelu, _relu, _swish, _tanh, _sigmoid))


@inner
def activate(kind: int, row: Floats) -> None:
    """Apply an activation, by its place in `ACTIVATIONS`, to a row in place."""
    if kind == GELU:
        _gelus(row)
    elif kind == _RELU:
        _relus(row)
    elif kind == _SWISH:
        _swishes(row)
    elif kind == _TANH:
        _tanhs(row)
    else:
        _sigmoids(row)


@inner
def normalise(rows: Floats, norm: Floats, eps: np.float32, means: Floats, factors: Floats) -> None:
    """LayerNorm of each row in place. norm: (2, H) weight and bias; values of a row after the first H stay.

    means, factors: as many as there are rows, for own use. Step by step for all rows: within a row each step waits for the last one.
    """
    hidden = norm.shape[1]
    blocks, whole, size = hidden // SUMS, hidden - hidden % SUMS, np.float32(hidden)
    for t in range(len(rows)):
        total = lanes_total(rows[t], _ZERO, blocks)
        for c in range(whole, hidden):
            total += rows[t, c]
        means[t] = total / size
    for t in range(len(rows)):
        spread = lanes_spread(rows[t], means[t], blocks)
        for c in range(whole, hidden):
            spread += (rows[t, c] - means[t]) * (rows[t, c] - means[t])
        factors[t] = _ONE / np.sqrt(spread / size + eps)
    for t in range(len(rows)):
        mean, factor = means[t], factors[t]
        for c in range(hidden):
            rows[t, c] = fma((rows[t, c] - mean) * factor, norm[0, c], norm[1, c])


@inner
def weigh(scores: Floats, keep: Floats, weights: Floats, totals: Floats) -> None:
    """Exponentials of rows of scores of those keys that are kept, less the row's largest, and their sums, 0 with no key.

    Rows have a multiple of SUMS places; keep is 0 at those that are no keys. A score of minus infinity is no key either. totals: one
    for each row. Step by step as in `normalise`.
    """
    blocks = scores.shape[1] // SUMS
    for t in range(len(scores)):
        totals[t] = lanes_highest_kept(scores[t], keep, _ZERO, blocks)
    for t in range(len(scores)):
        highest = totals[t]
        for j in range(scores.shape[1]):
            distance = scores[t, j] - highest
            weight = exponential(distance)
            weights[t, j] = weight if (keep[j] != _ZERO) & (distance >= LEAST) else _ZERO
        totals[t] = lanes_total(weights[t], _ZERO, blocks)


@inner
def scale(rows: Floats, totals: Floats) -> None:
    """Divide each row by its sum; a row without weight stays without."""
    for t in range(len(rows)):
        factor = _ONE / max(totals[t], _TINY)
        for c in range(rows.shape[1]):
            rows[t, c] *= factor


@inner
def dot(row: Floats, other: Floats) -> np.float32:
    """Inner product of two rows of a multiple of SUMS places."""
    return lanes_product(row, other, _ZERO, len(row) // SUMS)


@inner
def copy(row: Floats, source: Floats) -> None:
    """Fill a row from another."""
    for c in range(len(row)):
        row[c] = source[c]


@inner
def add_scaled(row: Floats, factor: np.float32, out: Floats) -> None:
    """Out += factor * row, each value rounded once."""
    for c in range(len(out)):
        out[c] = fma(row[c], factor, out[c])
