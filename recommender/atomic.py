"""Reads RecBole's atomic files: tab-separated text whose header names each column's type, ``item_id:token``.

RecBole reads them with pandas, whose habits are part of the format, since they decide which rows there are: blank lines
are skipped, double quotes group, and a cell such as ``NA`` or ``null`` is missing.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recommender.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

MISSING: Final = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"}
    | {"<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)
"""Cells that pandas reads as missing (``pandas.read_csv``, ``na_values``)."""

TYPES: Final = ("token", "token_seq", "float", "float_seq")


@dataclass(frozen=True, slots=True)
class Table:
    """An atomic file's columns, as text."""

    path: Path
    types: dict[str, str]
    """RecBole's type of each column that was read, in file order."""

    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def numbers(self, field: str) -> NDArray[np.float64]:
        """A float column; a missing cell is NaN.

        Raises:
            DatasetError: a cell is no number.
        """
        try:
            return np.array([np.nan if cell in MISSING else float(cell) for cell in self.columns[field]], np.float64)
        except ValueError as error:
            raise DatasetError(f"{self.path} has a {field} that is no number ({error}); correct the file.") from error

    def rows(self, keep: NDArray[np.bool_]) -> Table:
        """The table with only these rows."""
        chosen = np.flatnonzero(keep).tolist()
        return Table(
            self.path, self.types, {field: [cells[row] for row in chosen] for field, cells in self.columns.items()}
        )


def find_atomic_file(data: Path, suffix: str, dataset: str = "") -> Path | None:
    """The data set's file of this suffix (``inter``, ``item``, ``user``), in a folder or named by it; None if it has none.

    Args:
        data: the data set's folder, or its .inter file.
        suffix: what stands after the dot.
        dataset: the data set's name, needed where a folder holds several.

    Raises:
        DatasetError: the folder does not exist, or it holds several files of this kind and none of the data set's name.
    """
    if data.is_file():
        beside = data.with_suffix(f".{suffix}")
        return beside if beside.is_file() else None
    if not data.is_dir():
        raise DatasetError(f"There is no data set at {data}; give the folder that holds its .inter file.")
    found = sorted(data.glob(f"*.{suffix}"))
    named = [path for path in found if path.stem in {dataset, data.name}]
    if len(found) > 1 and not named:
        raise DatasetError(
            f"{data} holds several .{suffix} files; give the path of the .inter file that was trained on."
        )
    return next(iter(named or found), None)


def read_table(path: Path, separator: str = "\t", only: Collection[str] | None = None) -> Table:
    """Read an atomic file.

    Args:
        path: the file, UTF-8.
        separator: RecBole's field_separator, one character.
        only: the columns to read; None stands for all.

    Raises:
        DatasetError: it cannot be read, its header is not RecBole's, or a row has more cells than the header.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file, delimiter=separator)
            header = _header(next(lines, []), path)
            wanted = [(index, field) for index, field in enumerate(header) if only is None or field in only]
            cells = _cells(lines, wanted, len(header), path)
    except (OSError, UnicodeDecodeError, csv.Error, TypeError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); give RecBole's atomic file as UTF-8 text.") from error
    return Table(path, {field: header[field] for _, field in wanted}, cells)


def _header(cells: list[str], path: Path) -> dict[str, str]:
    header: dict[str, str] = {}
    for cell in cells:
        field, colon, kind = cell.partition(":")
        if not colon or kind not in TYPES or field in header:
            raise DatasetError(
                f"{path} has the column {cell[:40]!r}; give RecBole's atomic file, whose first line names each column "
                "once and with its type, as in item_id:token."
            )
        header[field] = kind
    if not header:
        raise DatasetError(f"{path} is empty; give RecBole's atomic file.")
    return header


def _cells(lines: Iterable[list[str]], wanted: list[tuple[int, str]], width: int, path: Path) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {field: [] for _, field in wanted}
    targets = [(index, columns[field].append) for index, field in wanted]
    for number, row in enumerate(lines, 2):
        if not row or (len(row) == 1 and not row[0].strip()):
            continue
        if len(row) > width:
            raise DatasetError(f"{path} has {len(row)} cells in line {number} and {width} columns; correct the line.")
        for index, append in targets:
            append(row[index] if index < len(row) else "")
    return columns
