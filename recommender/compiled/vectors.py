"""Vectors of the processor in LLVM's terms: what the functions of `tiles` and `lanes` are written with.

Arrays are 32-bit floats, and the values of a row lie side by side. Nothing checks bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Values: TypeAlias = list[Any]

FLOAT: Final = ir.FloatType()
INT: Final = ir.IntType(64)
WORD: Final = ir.IntType(32)


def written(function: Callable[..., Any]) -> Any:
    """A function whose instructions are written by hand. Compiled code calls it without the first argument, the typing context."""
    return intrinsic(function)


def array_of(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """An argument's array: data, shape and strides."""
    return context.make_array(kind)(context, builder, value)


def sizes(builder: Any, packed: Any) -> Values:
    """An array's shape or strides, one by one."""
    return cgutils.unpack_tuple(builder, packed)


def row_pointers(builder: Any, array: Any, rows: Sequence[Any]) -> Values:
    """Where some rows of a matrix begin."""
    stride = sizes(builder, array.strides)[0]
    start = builder.ptrtoint(array.data, INT)
    return [pointer(builder, builder.add(start, builder.mul(stride, row))) for row in rows]


def pointer(builder: Any, address: Any) -> Any:
    """An address as that of a number."""
    return builder.inttoptr(address, FLOAT.as_pointer())


def load(builder: Any, at: Any, width: int) -> Any:
    """A vector of the numbers from one on."""
    found = builder.load(builder.bitcast(at, ir.VectorType(FLOAT, width).as_pointer()))
    found.align = 4
    return found


def store(builder: Any, value: Any, at: Any) -> None:
    """Put a vector where a number is and the ones after it."""
    builder.store(value, builder.bitcast(at, value.type.as_pointer())).align = 4


def filled(value: float, width: int) -> Any:
    """A constant vector of one value."""
    return ir.Constant(ir.VectorType(FLOAT, width), [value] * width)


def spread(builder: Any, number: Any, width: int) -> Any:
    """A vector of one value."""
    nothing = ir.Constant(ir.VectorType(FLOAT, width), ir.Undefined)
    return picked(builder, builder.insert_element(nothing, number, WORD(0)), nothing, [0] * width)


def picked(builder: Any, one: Any, other: Any, places: Sequence[int]) -> Any:
    """A vector of the lanes of two, counted on from the first to the second."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(WORD, len(places)), list(places)))


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """A * b + c of numbers or vectors, rounded once."""
    name = f"llvm.fma.v{a.type.count}f32" if isinstance(a.type, ir.VectorType) else "llvm.fma.f32"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(a.type, [a.type] * 3), name)
    return builder.call(function, [a, b, c])
