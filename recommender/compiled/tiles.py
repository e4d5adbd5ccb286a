"""Vectors of the processor, which Python has no words for: what numba is to make of a few functions, in LLVM's terms.

Arrays are 32-bit floats, and the values of a row lie side by side. Nothing checks bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

    Values = list[Any]

LANES: Final = 16 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 8
"""32-bit numbers in one register."""

COLUMNS: Final = 2 * LANES
"""Width of a tile: two registers for each of its rows."""

ROWS: Final = 6
"""Most rows of a tile: 12 sums, as many as hide how long an addition takes and leave registers for what is added."""

WIDE: Final = 4
"""Tiles side by side that a single row takes, for the same reason."""

SUMS: Final = 16
"""Partial sums of a sum over a row, on every processor."""

ITEMS: Final = 8
"""Rows of the catalogue that are scored at once."""

_FLOAT: Final = ir.FloatType()
_INT: Final = ir.IntType(64)


def _tile(rows: int, panels: int, *, onto: bool) -> Any:
    """A product of ``rows`` rows with ``panels`` panels of COLUMNS columns, all of whose sums stay in registers.

    The function made is ``(a, row, b, panel, bias, out)``: ``out[row:row + rows]`` becomes, at the panels' columns, ``bias``
    (with ``onto``, what it is) plus ``a[row:row + rows] @ b``, added up in the order of b's rows by fused multiplications.
    b is (K, N), or (N / COLUMNS, K, COLUMNS) in panels; a has K columns or more.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def tile(_typing: Any, a: Any, row: Any, b: Any, panel: Any, bias: Any, out: Any) -> Any:
        return types.void(a, row, b, panel, bias, out), _TileWriter(rows, panels, onto=onto).write

    return tile


class _TileWriter:
    """Writes the instructions of one kind of tile."""

    def __init__(self, rows: int, panels: int, *, onto: bool) -> None:
        self.rows = rows
        self.vectors = panels * COLUMNS // LANES
        self.onto = onto

    def write(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (a, row, b, panel, bias, out), kinds = args, signature.args
        a_rows = _row_pointers(builder, _array(context, builder, kinds[0], a), row, self.rows)
        out_rows = _row_pointers(builder, _array(context, builder, kinds[5], out), row, self.rows)
        first = builder.mul(panel, _INT(COLUMNS))
        out_rows = [builder.gep(pointer, [first]) for pointer in out_rows]
        if self.onto:
            starts = [self._loaded(builder, pointer) for pointer in out_rows]
        else:
            bias_at = builder.gep(_array(context, builder, kinds[4], bias).data, [first])
            starts = [self._loaded(builder, bias_at)] * self.rows
        sums = self._added(builder, a_rows, _Panels(context, builder, kinds[2], b, panel), starts)
        for pointer, values in zip(out_rows, sums, strict=True):
            for place, value in enumerate(values):
                _store(builder, value, builder.gep(pointer, [_INT(place * LANES)]))
        return context.get_dummy_value()

    def _loaded(self, builder: Any, pointer: Any) -> Values:
        return [_load(builder, builder.gep(pointer, [_INT(place * LANES)]), LANES) for place in range(self.vectors)]

    def _added(self, builder: Any, a_rows: Values, b: _Panels, starts: list[Values]) -> list[Values]:
        """The sums after a loop over the inner dimension, which has one step at least."""
        before, loop, after = builder.block, builder.append_basic_block("inner"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        step = builder.phi(_INT)
        step.add_incoming(_INT(0), before)
        sums = [[builder.phi(start.type) for start in row] for row in starts]
        columns = [b.load(builder, step, place) for place in range(self.vectors)]
        added = []
        for pointer, row in zip(a_rows, sums, strict=True):
            factor = _spread(builder, builder.load(builder.gep(pointer, [step])), LANES)
            added.append([_fma(builder, factor, column, value) for column, value in zip(columns, row, strict=True)])
        following = builder.add(step, _INT(1))
        step.add_incoming(following, loop)
        for phis, start, end in zip(sums, starts, added, strict=True):
            for phi, first, last in zip(phis, start, end, strict=True):
                phi.add_incoming(first, before)
                phi.add_incoming(last, loop)
        builder.cbranch(builder.icmp_signed("<", following, b.depth), loop, after)
        builder.position_at_end(after)
        return added


class _Panels:
    """The right side of a product, from one panel on."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any, panel: Any) -> None:
        array = _array(context, builder, kind, value)
        shape, strides = cgutils.unpack_tuple(builder, array.shape), cgutils.unpack_tuple(builder, array.strides)
        self.depth = shape[-2]
        self._row = strides[-2]
        self._panel = strides[0] if kind.ndim == 3 else _INT(COLUMNS * 4)  # noqa: PLR2004 - panels, rows, columns
        self._start = builder.add(builder.ptrtoint(array.data, _INT), builder.mul(panel, self._panel))

    def load(self, builder: Any, step: Any, place: int) -> Any:
        """A row's values at one register's columns."""
        panel, within = divmod(place * LANES, COLUMNS)
        address = builder.add(self._start, builder.mul(step, self._row))
        address = builder.add(address, builder.add(builder.mul(self._panel, _INT(panel)), _INT(within * 4)))
        return _load(builder, builder.inttoptr(address, _FLOAT.as_pointer()), LANES)


def _over_lanes(count: int, start: float, step: Callable[..., Any], join: Callable[..., Any]) -> Any:
    """A function ``(rows..., scalar, blocks)`` that runs over ``blocks`` blocks of SUMS values of ``count`` rows.

    Each lane takes ``step(builder, lane, values, scalar)``; in the end the lanes are joined pairwise.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointers = [
            _array(context, builder, kind, value).data
            for kind, value in zip(signature.args[:count], args[:count], strict=True)
        ]
        scalar, blocks = _spread(builder, args[count], SUMS), args[count + 1]
        lanes = cgutils.alloca_once_value(builder, ir.Constant(ir.VectorType(_FLOAT, SUMS), [start] * SUMS))
        with cgutils.for_range(builder, blocks, intp=_INT) as loop:
            at = builder.mul(loop.index, _INT(SUMS))
            values = [_load(builder, builder.gep(pointer, [at]), SUMS) for pointer in pointers]
            builder.store(step(builder, builder.load(lanes), values, scalar), lanes)
        vector = builder.load(lanes)
        width = SUMS
        while width > 1:
            width //= 2
            lower, upper = (
                builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(ir.IntType(32), width), list(places)))
                for places in (range(width), range(width, 2 * width))
            )
            vector = join(builder, lower, upper)
        return builder.extract_element(vector, ir.IntType(32)(0))

    if count == 1:

        @intrinsic  # type: ignore[untyped-decorator]
        def over_one(_typing: Any, row: Any, scalar: Any, blocks: Any) -> Any:
            return types.float32(row, scalar, blocks), generate

        return over_one

    @intrinsic  # type: ignore[untyped-decorator]
    def over_two(_typing: Any, row: Any, other: Any, scalar: Any, blocks: Any) -> Any:
        return types.float32(row, other, scalar, blocks), generate

    return over_two


@intrinsic  # type: ignore[untyped-decorator]
def item_products(_typing: Any, items: Any, first: Any, row: Any, blocks: Any, bias: Any, out: Any) -> Any:
    """Inner products of ITEMS rows of a matrix from ``first`` on, the last row again beyond its end, with one row; ``out`` = ``bias`` + they.

    Each is summed over ``blocks`` blocks of ITEMS columns, lane by lane, and the lanes then pairwise, those of all rows at once.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        matrix = _array(context, builder, kinds[0], args[0])
        count, stride = (cgutils.unpack_tuple(builder, sizes)[0] for sizes in (matrix.shape, matrix.strides))
        last, start = builder.sub(count, _INT(1)), builder.ptrtoint(matrix.data, _INT)
        pointers = []
        for place in range(ITEMS):
            at = builder.add(args[1], _INT(place))
            at = builder.select(builder.icmp_signed("<", at, last), at, last)
            pointers.append(builder.inttoptr(builder.add(start, builder.mul(at, stride)), _FLOAT.as_pointer()))
        factor = _array(context, builder, kinds[2], args[2]).data
        zero = ir.Constant(ir.VectorType(_FLOAT, ITEMS), [0.0] * ITEMS)
        sums = [cgutils.alloca_once_value(builder, zero) for _ in pointers]
        with cgutils.for_range(builder, args[3], intp=_INT) as loop:
            at = builder.mul(loop.index, _INT(ITEMS))
            shared = _load(builder, builder.gep(factor, [at]), ITEMS)
            for pointer, total in zip(pointers, sums, strict=True):
                values = _load(builder, builder.gep(pointer, [at]), ITEMS)
                builder.store(_fma(builder, values, shared, builder.load(total)), total)
        start, end = (_array(context, builder, kinds[place], args[place]).data for place in (4, 5))
        products = _joined(builder, [builder.load(total) for total in sums])
        _store(builder, builder.fadd(products, _load(builder, start, ITEMS)), end)
        return context.get_dummy_value()

    return types.void(items, first, row, blocks, bias, out), generate


def _joined(builder: Any, vectors: Values) -> Any:
    """The sums over ITEMS vectors' lanes, in one vector: two vectors become one of half as many lanes for each, in turns."""
    owners = [[place] * ITEMS for place in range(ITEMS)]
    while len(vectors) > 1:
        joined, owned = [], []
        for one, other, first, second in zip(vectors[::2], vectors[1::2], owners[::2], owners[1::2], strict=True):
            lower, upper = _halves([*first, *second])
            joined.append(builder.fadd(_picked(builder, one, other, lower), _picked(builder, one, other, upper)))
            owned.append([[*first, *second][place] for place in lower])
        vectors, owners = joined, owned
    order = [owners[0].index(place) for place in range(ITEMS)]
    return _picked(builder, vectors[0], vectors[0], order)


def _halves(owners: list[int]) -> tuple[list[int], list[int]]:
    """Places of the lower and of the upper half of each owner's lanes."""
    lower, upper = [], []
    for owner in dict.fromkeys(owners):
        places = [place for place, other in enumerate(owners) if other == owner]
        lower += places[: len(places) // 2]
        upper += places[len(places) // 2 :]
    return lower, upper


def _picked(builder: Any, one: Any, other: Any, places: list[int]) -> Any:
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))


@intrinsic  # type: ignore[untyped-decorator]
def fma(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """A * b + c, rounded once."""
    if not a == b == c == types.float32:
        raise TypingError(f"fma multiplies and adds 32-bit numbers, not {a}, {b} and {c}")
    return types.float32(a, b, c), lambda _context, builder, _signature, args: _fma(builder, *args)


@intrinsic  # type: ignore[untyped-decorator]
def power_of_two(_typing: Any, exponent: Any) -> Any:
    """2 to an exponent of 32 bits from -126 to 127."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word = ir.IntType(32)
        return builder.bitcast(builder.shl(builder.add(args[0], word(127)), word(23)), _FLOAT)

    return types.float32(exponent), generate


def _array(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.make_array(kind)(context, builder, value)


def _row_pointers(builder: Any, array: Any, row: Any, rows: int) -> Values:
    stride = cgutils.unpack_tuple(builder, array.strides)[0]
    start = builder.add(builder.ptrtoint(array.data, _INT), builder.mul(row, stride))
    addresses = [builder.add(start, builder.mul(stride, _INT(place))) for place in range(rows)]
    return [builder.inttoptr(address, _FLOAT.as_pointer()) for address in addresses]


def _load(builder: Any, pointer: Any, width: int) -> Any:
    found = builder.load(builder.bitcast(pointer, ir.VectorType(_FLOAT, width).as_pointer()))
    found.align = 4
    return found


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer())).align = 4


def _spread(builder: Any, scalar: Any, width: int) -> Any:
    """A vector of one value."""
    nothing = ir.Constant(ir.VectorType(_FLOAT, width), ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width))


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    name = f"llvm.fma.v{a.type.count}f32" if isinstance(a.type, ir.VectorType) else "llvm.fma.f32"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(a.type, [a.type] * 3), name)
    return builder.call(function, [a, b, c])


def _larger(builder: Any, one: Any, other: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", one, other), one, other)


def _square_onto(builder: Any, lanes: Any, values: Values, mean: Any) -> Any:
    away = builder.fsub(values[0], mean)
    return _fma(builder, away, away, lanes)


set_tiles = {rows: _tile(rows, WIDE if rows == 1 else 1, onto=False) for rows in range(1, ROWS + 1)}
add_tiles = {rows: _tile(rows, WIDE if rows == 1 else 1, onto=True) for rows in range(1, ROWS + 1)}
set_narrow, add_narrow = _tile(1, 1, onto=False), _tile(1, 1, onto=True)

lanes_total = _over_lanes(
    1, 0.0, lambda builder, lanes, values, _: builder.fadd(lanes, values[0]), lambda builder, a, b: builder.fadd(a, b)
)
lanes_spread = _over_lanes(1, 0.0, _square_onto, lambda builder, a, b: builder.fadd(a, b))
lanes_highest = _over_lanes(1, float("-inf"), lambda builder, lanes, values, _: _larger(builder, values[0], lanes), _larger)
lanes_product = _over_lanes(
    2, 0.0, lambda builder, lanes, values, _: _fma(builder, *values, lanes), lambda builder, a, b: builder.fadd(a, b)
)
