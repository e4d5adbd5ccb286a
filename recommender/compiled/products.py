"""Matrix products from register tiles. The sums of a row are the same whatever the number of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explainer.compiling import inner
from recommender.compiled.tiles import COLUMNS, ROWS, WIDE, add_narrow, add_tiles, set_narrow, set_tiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommender.compiled.weights import Floats


def _over_rows(tiles: Mapping[int, Any]) -> Any:
    two, three, four, five, six = (tiles[rows] for rows in range(2, ROWS + 1))

    @inner
    def over_rows(a: Floats, b: Floats, panel: int, start: Floats, out: Floats) -> None:
        # Tiles of nearly equal height: six rows and one take longer than four and three.
        row, count = 0, (len(a) + ROWS - 1) // ROWS
        for tile in range(count):
            height = (len(a) - row) // (count - tile)
            if height == 6:  # noqa: PLR2004 - as it says, and below
                six(a, row, b, panel, start, out)
            elif height == 5:  # noqa: PLR2004
                five(a, row, b, panel, start, out)
            elif height == 4:  # noqa: PLR2004
                four(a, row, b, panel, start, out)
            elif height == 3:  # noqa: PLR2004
                three(a, row, b, panel, start, out)
            else:
                two(a, row, b, panel, start, out)
            row += height

    return over_rows


def _over_tiles(tiles: Mapping[int, Any], narrow: Any) -> Any:
    one, over_rows = tiles[1], _over_rows(tiles)

    @inner
    def over_tiles(a: Floats, b: Floats, start: Floats, out: Floats) -> None:
        panels = len(b) if b.ndim == 3 else b.shape[1] // COLUMNS  # noqa: PLR2004 - panels, rows, columns
        if len(a) > 1:
            for panel in range(panels):
                over_rows(a, b, panel, start, out)
            return
        single = panels - panels % WIDE
        for panel in range(0, single, WIDE):
            one(a, 0, b, panel, start, out)
        for panel in range(single, panels):
            narrow(a, 0, b, panel, start, out)

    return over_tiles


product = _over_tiles(set_tiles, set_narrow)
"""``(a, b, bias, out)``: out = bias + a @ b.

a: (M, >= K), M >= 1. b: (K, N), K >= 1, or the same in panels, (N / COLUMNS, K, COLUMNS). bias: (N,). out: (M, >= N). N is a multiple
of COLUMNS.
"""

_add = _over_tiles(add_tiles, add_narrow)


@inner
def add_product(a: Floats, b: Floats, out: Floats) -> None:
    """Out += a @ b; shapes as in `product`."""
    _add(a, b, out, out)
