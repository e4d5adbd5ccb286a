"""Sums, largest values and inner products of rows, in an order of addition that is the same on every processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from numba.core import cgutils, types
from numba.core.errors import TypingError

from recommender.compiled.vectors import (
    FLOAT,
    INT,
    WORD,
    Values,
    array_of,
    filled,
    load,
    multiply_add,
    picked,
    spread,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SUMS: Final = 16
"""Partial sums of a sum over a row, whatever the width of the processor's registers."""


def _over_rows(rows: int, start: float, step: Callable[..., Any], join: Callable[..., Any]) -> Any:
    """A function ``(rows..., scalar, blocks)`` that runs over ``blocks`` blocks of SUMS values of one or two rows.

    Each lane takes ``step(builder, lane, values, scalar)``; in the end the lanes are joined pairwise.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointers = [
            array_of(context, builder, kind, value).data
            for kind, value in zip(signature.args[:rows], args[:rows], strict=True)
        ]
        scalar = spread(builder, args[rows], SUMS)
        lanes = cgutils.alloca_once_value(builder, filled(start, SUMS))
        with cgutils.for_range(builder, args[rows + 1], intp=INT) as loop:
            at = [builder.mul(loop.index, INT(SUMS))]
            values = [load(builder, builder.gep(pointer, at), SUMS) for pointer in pointers]
            builder.store(step(builder, builder.load(lanes), values, scalar), lanes)
        return _joined(builder, builder.load(lanes), join)

    def over_one(_typing: Any, row: Any, scalar: Any, blocks: Any) -> Any:
        return types.float32(row, scalar, blocks), generate

    def over_two(_typing: Any, row: Any, other: Any, scalar: Any, blocks: Any) -> Any:
        return types.float32(row, other, scalar, blocks), generate

    return written(over_one if rows == 1 else over_two)


def _joined(builder: Any, vector: Any, join: Callable[..., Any]) -> Any:
    width = SUMS
    while width > 1:
        width //= 2
        halves = (range(width), range(width, 2 * width))
        vector = join(builder, *(picked(builder, vector, vector, places) for places in halves))
    return builder.extract_element(vector, WORD(0))


def _sum(builder: Any, one: Any, other: Any) -> Any:
    return builder.fadd(one, other)


def _larger(builder: Any, one: Any, other: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", one, other), one, other)


def _add(builder: Any, lanes: Any, values: Values, _: Any) -> Any:
    return _sum(builder, lanes, values[0])


def _add_square(builder: Any, lanes: Any, values: Values, mean: Any) -> Any:
    away = builder.fsub(values[0], mean)
    return multiply_add(builder, away, away, lanes)


def _add_product(builder: Any, lanes: Any, values: Values, _: Any) -> Any:
    return multiply_add(builder, values[0], values[1], lanes)


def _raise(builder: Any, lanes: Any, values: Values, _: Any) -> Any:
    return _larger(builder, values[0], lanes)


def _raise_kept(builder: Any, lanes: Any, values: Values, _: Any) -> Any:
    kept = builder.fcmp_ordered("!=", values[1], filled(0.0, SUMS))
    return _larger(builder, builder.select(kept, values[0], filled(float("-inf"), SUMS)), lanes)


lanes_total = _over_rows(1, 0.0, _add, _sum)
lanes_spread = _over_rows(1, 0.0, _add_square, _sum)
lanes_product = _over_rows(2, 0.0, _add_product, _sum)
lanes_highest = _over_rows(1, float("-inf"), _raise, _larger)
lanes_highest_kept = _over_rows(2, float("-inf"), _raise_kept, _larger)


@written
def fma(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """A * b + c, rounded once."""
    if not a == b == c == types.float32:
        raise TypingError(f"fma multiplies and adds 32-bit numbers, not {a}, {b} and {c}")
    return types.float32(a, b, c), lambda _context, builder, _signature, args: multiply_add(builder, *args[:3])


@written
def power_of_two(_typing: Any, exponent: Any) -> Any:
    """2 to an exponent of 32 bits from -126 to 127."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.shl(builder.add(args[0], WORD(127)), WORD(23)), FLOAT)

    return types.float32(exponent), generate
