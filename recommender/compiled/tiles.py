"""Register tiles: small matrix products whose sums stay in registers from the first addition to the last."""

from __future__ import annotations

from itertools import chain, product
from typing import Any, Final

import llvmlite.binding
from numba.core import cgutils, types

from recommender.compiled.vectors import (
    INT,
    Values,
    array_of,
    filled,
    load,
    multiply_add,
    picked,
    pointer,
    row_pointers,
    sizes,
    spread,
    store,
    written,
)

LANES: Final = 16 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 8
"""Numbers in one register."""

COLUMNS: Final = 2 * LANES
"""Width of a tile: two registers for each of its rows."""

ROWS: Final = 6
"""Most rows of a tile: 12 sums, as many as hide how long an addition takes and leave registers for what is added."""

WIDE: Final = 4
"""Tiles side by side that a single row takes, for the same reason."""

ITEMS: Final = 8
"""Scores that are computed at once, and numbers of a row that are multiplied at once."""


def whole(size: int) -> int:
    """The next multiple of a tile's width."""
    return -(-size // COLUMNS) * COLUMNS


def _tile(rows: int, panels: int, *, onto: bool) -> Any:
    """A product of ``rows`` rows with ``panels`` panels of COLUMNS columns.

    The function made is ``(a, row, b, panel, bias, out)``: ``out[row:row + rows]`` becomes, at the panels' columns, ``bias``
    (with ``onto``, what it is) plus ``a[row:row + rows] @ b``, added up in the order of b's rows by fused multiplications.
    b is (K, N), or (N / COLUMNS, K, COLUMNS) in panels; a has K columns or more.
    """

    def tile(_typing: Any, a: Any, row: Any, b: Any, panel: Any, bias: Any, out: Any) -> Any:
        return types.void(a, row, b, panel, bias, out), _TileWriter(rows, panels, onto=onto).write

    return written(tile)


class _TileWriter:
    """Writes the instructions of one kind of tile."""

    def __init__(self, rows: int, panels: int, *, onto: bool) -> None:
        self.rows = rows
        self.vectors = panels * COLUMNS // LANES
        self.onto = onto

    def write(self, context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (a, row, b, panel, bias, out), kinds = args, signature.args
        rows = [builder.add(row, INT(place)) for place in range(self.rows)]
        first = builder.mul(panel, INT(COLUMNS))
        a_rows = row_pointers(builder, array_of(context, builder, kinds[0], a), rows)
        out_rows = row_pointers(builder, array_of(context, builder, kinds[5], out), rows)
        out_rows = [builder.gep(at, [first]) for at in out_rows]
        if self.onto:
            starts = [self._loaded(builder, at) for at in out_rows]
        else:
            bias_at = builder.gep(array_of(context, builder, kinds[4], bias).data, [first])
            starts = [self._loaded(builder, bias_at)] * self.rows
        sums = self._added(builder, a_rows, _Panels(context, builder, kinds[2], b, panel), starts)
        for at, values in zip(out_rows, sums, strict=True):
            for place, value in enumerate(values):
                store(builder, value, builder.gep(at, [INT(place * LANES)]))
        return context.get_dummy_value()

    def _loaded(self, builder: Any, at: Any) -> Values:
        return [load(builder, builder.gep(at, [INT(place * LANES)]), LANES) for place in range(self.vectors)]

    def _added(self, builder: Any, a_rows: Values, b: _Panels, starts: list[Values]) -> list[Values]:
        """The sums after a loop over the inner dimension, which has one step at least."""
        before, loop, after = builder.block, builder.append_basic_block("inner"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        step = builder.phi(INT)
        sums = [[builder.phi(start.type) for start in row] for row in starts]
        columns = [b.load(builder, step, place) for place in range(self.vectors)]
        added = []
        for at, row in zip(a_rows, sums, strict=True):
            factor = spread(builder, builder.load(builder.gep(at, [step])), LANES)
            added.append([multiply_add(builder, factor, *pair) for pair in zip(columns, row, strict=True)])
        following = builder.add(step, INT(1))
        phis, firsts, lasts = ([*chain.from_iterable(rows)] for rows in (sums, starts, added))
        for phi, first, last in zip([step, *phis], [INT(0), *firsts], [following, *lasts], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(last, loop)
        builder.cbranch(builder.icmp_signed("<", following, b.depth), loop, after)
        builder.position_at_end(after)
        return added


class _Panels:
    """The right side of a product, from one panel on."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any, panel: Any) -> None:
        array = array_of(context, builder, kind, value)
        strides = sizes(builder, array.strides)
        self.depth = sizes(builder, array.shape)[-2]
        self._row = strides[-2]
        self._panel = strides[0] if kind.ndim == 3 else INT(COLUMNS * 4)  # noqa: PLR2004 - panels, rows, columns
        self._start = builder.add(builder.ptrtoint(array.data, INT), builder.mul(panel, self._panel))

    def load(self, builder: Any, step: Any, place: int) -> Any:
        """A row's values at one register's columns."""
        panel, within = divmod(place * LANES, COLUMNS)
        address = builder.add(self._start, builder.mul(step, self._row))
        address = builder.add(address, builder.add(builder.mul(self._panel, INT(panel)), INT(within * 4)))
        return load(builder, pointer(builder, address), LANES)


set_tiles = {rows: _tile(rows, WIDE if rows == 1 else 1, onto=False) for rows in range(1, ROWS + 1)}
add_tiles = {rows: _tile(rows, WIDE if rows == 1 else 1, onto=True) for rows in range(1, ROWS + 1)}
set_narrow, add_narrow = _tile(1, 1, onto=False), _tile(1, 1, onto=True)


def _item_products(histories: int) -> Any:
    """Inner products of rows of a matrix with ``histories`` rows of another, ITEMS in all.

    The function made is ``(items, first, states, row, blocks, bias, out)``: ``out[row:row + histories, :ITEMS / histories]`` becomes
    ``bias`` plus the products of the items from ``first`` on with ``states[row:row + histories]``. Beyond the matrix's end it is the last
    item again. Each product is summed over ``blocks`` blocks of ITEMS columns, lane by lane, and the lanes then pairwise.
    """
    count = ITEMS // histories

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        matrix, states, bias, out = (
            array_of(context, builder, signature.args[place], args[place]) for place in (0, 2, 5, 6)
        )
        last = builder.sub(sizes(builder, matrix.shape)[0], INT(1))
        places = [builder.add(args[1], INT(place)) for place in range(count)]
        items = row_pointers(
            builder, matrix, [builder.select(builder.icmp_signed("<", at, last), at, last) for at in places]
        )
        rows = [builder.add(args[3], INT(place)) for place in range(histories)]
        factors = row_pointers(builder, states, rows)
        sums = [cgutils.alloca_once_value(builder, filled(0.0, ITEMS)) for _ in range(ITEMS)]
        with cgutils.for_range(builder, args[4], intp=INT) as loop:
            at = [builder.mul(loop.index, INT(ITEMS))]
            values = [load(builder, builder.gep(item, at), ITEMS) for item in items]
            shared = [load(builder, builder.gep(factor, at), ITEMS) for factor in factors]
            for total, (factor, value) in zip(sums, product(shared, values), strict=True):
                builder.store(multiply_add(builder, value, factor, builder.load(total)), total)
        products = _over_lanes(builder, [builder.load(total) for total in sums])
        start = load(builder, bias.data, count)
        for place, end in enumerate(row_pointers(builder, out, rows)):
            own = picked(builder, products, products, range(place * count, (place + 1) * count))
            store(builder, builder.fadd(own, start), end)
        return context.get_dummy_value()

    def item_products(
        _typing: Any, items: Any, first: Any, states: Any, row: Any, blocks: Any, bias: Any, out: Any
    ) -> Any:
        return types.void(items, first, states, row, blocks, bias, out), generate

    return written(item_products)


def _over_lanes(builder: Any, vectors: Values) -> Any:
    """The sums over ITEMS vectors' lanes, in one vector: two vectors become one of half as many lanes for each, in turns."""
    owners = [[place] * ITEMS for place in range(ITEMS)]
    while len(vectors) > 1:
        joined, owned = [], []
        for one, other, first, second in zip(vectors[::2], vectors[1::2], owners[::2], owners[1::2], strict=True):
            lower, upper = _halves([*first, *second])
            joined.append(builder.fadd(picked(builder, one, other, lower), picked(builder, one, other, upper)))
            owned.append([[*first, *second][place] for place in lower])
        vectors, owners = joined, owned
    return picked(builder, vectors[0], vectors[0], [owners[0].index(place) for place in range(ITEMS)])


def _halves(owners: list[int]) -> tuple[list[int], list[int]]:
    """Places of the lower and of the upper half of each owner's lanes."""
    lower, upper = [], []
    for owner in dict.fromkeys(owners):
        places = [place for place, other in enumerate(owners) if other == owner]
        lower += places[: len(places) // 2]
        upper += places[len(places) // 2 :]
    return lower, upper


item_products, item_products_of_two = _item_products(1), _item_products(2)
