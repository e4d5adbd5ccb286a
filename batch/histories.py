"""Histories as they are kept: Parquet with a list for each user, or Parquet, CSV and RecBole's .inter with a row for each item.

Files with a list are read as a stream, whatever their size. Rows for each item have to be brought together first, which
takes place in memory: at a scale where that does not fit, let the warehouse that holds them do it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv, parquet

from batch.errors import HistoriesError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_PARQUET: Final = (".parquet", ".pq")
_ATOMIC: Final = ".inter"
_AT_ONCE: Final = 1000
LIST_FIELD: Final = "history"


@dataclass(frozen=True, slots=True)
class Fields:
    """Names of the columns."""

    user: str = "user_id"
    item: str = "item_id"
    """Item tokens, or a list of them for each user; where there is no such column, ``history`` is taken as the list."""

    time: str = "timestamp"
    """Seconds; with lists it is that of the last change, and may be missing."""


@dataclass(frozen=True, slots=True)
class UserHistory:
    """A user with their history, or with what is wrong with it."""

    user_id: str | None
    items: tuple[str, ...]
    """Oldest first."""

    time: float | None = None
    """Of the newest item, in the file's seconds."""

    error: str | None = None


def history_files(source: Path) -> list[Path]:
    """The files of a source.

    Raises:
        HistoriesError: there are none.
    """
    if source.is_file():
        return [source]
    for suffixes in (_PARQUET, (_ATOMIC,), (".csv",)):
        found = sorted(path for path in source.glob("*") if path.suffix in suffixes)
        if found:
            return found
    raise HistoriesError(
        f"There are no histories at {source}; give a Parquet, CSV or .inter file, or a folder with some."
    )


def read_histories(source: Path, fields: Fields) -> Iterator[UserHistory]:
    """Read every user's history.

    Raises:
        HistoriesError: a file cannot be read, or lacks a column.
    """
    files = history_files(source)
    try:
        if files[0].suffix in _PARQUET:
            item, has_lists = _item_column(files[0], fields)
            if has_lists:
                for file in files:
                    yield from _lists(file, fields, item)
                return
        yield from _grouped([_interactions(file, fields) for file in files])
    except (OSError, pa.ArrowException) as error:
        raise HistoriesError(f"{source} cannot be read ({error}); give a Parquet, CSV or .inter file.") from error


def _item_column(file: Path, fields: Fields) -> tuple[str, bool]:
    with parquet.ParquetFile(file) as opened:
        schema = opened.schema_arrow
    for name in (fields.item, LIST_FIELD):
        if name in schema.names:
            kind = schema.field(name).type
            return name, pa.types.is_list(kind) or pa.types.is_large_list(kind)
    raise _missing(file, fields.item, schema.names)


def _lists(file: Path, fields: Fields, item: str) -> Iterator[UserHistory]:
    with parquet.ParquetFile(file) as opened:
        names = opened.schema_arrow.names
        for field in (fields.user, item):
            if field not in names:
                raise _missing(file, field, names)
        columns = [fields.user, item, *([fields.time] if fields.time in names else [])]
        for some in opened.iter_batches(_AT_ONCE, columns=columns):
            for row in some.to_pylist():
                yield _from_list(row[fields.user], row[item], row.get(fields.time))


def _from_list(user: Any, items: Any, time: Any) -> UserHistory:
    name = None if user is None or user == "" else str(user)
    seconds = _seconds(time)
    if name is None:
        return UserHistory(None, (), seconds, "The row has no user id.")
    if items is None or any(item is None for item in items):
        return UserHistory(name, (), seconds, "The history is missing, or one of its items is.")
    return UserHistory(name, tuple(map(str, items)), seconds)


@dataclass(slots=True)
class _Interactions:
    """Columns of the same length; a value that cannot be read is null, a time NaN."""

    users: pa.Array
    items: pa.Array
    times: NDArray[np.float64]
    unreadable: int = 0
    """Lines with too many or too few cells."""


def _interactions(file: Path, fields: Fields) -> _Interactions:
    if file.suffix in _PARQUET:
        with parquet.ParquetFile(file) as opened:
            names = opened.schema_arrow.names
            _check(file, fields, names)
            table, unreadable = opened.read([fields.user, fields.item, fields.time]), 0
    else:
        table, unreadable = _text(file, fields)
    users, items, times = (table[field].combine_chunks() for field in (fields.user, fields.item, fields.time))
    return _Interactions(_tokens(users), _tokens(items), _times(times), unreadable)


def _text(file: Path, fields: Fields) -> tuple[pa.Table, int]:
    """CSV with a header; a RecBole .inter file is one with tabs and types behind the names."""
    delimiter = "\t" if file.suffix == _ATOMIC else ","
    unreadable = 0

    def skip(_: object) -> str:
        nonlocal unreadable
        unreadable += 1
        return "skip"

    with file.open("rb") as raw:
        line = raw.readline()
        if not line.strip():
            raise HistoriesError(f"{file} is empty; give a file with a header.")
        # In bytes until each cell is looked at: one that is no UTF-8 is one user's misfortune.
        names = [cell.strip().strip('"').partition(":")[0] for cell in line.decode(errors="replace").split(delimiter)]
        _check(file, fields, names)
        if not raw.read(1):
            return pa.table({name: pa.array([], pa.binary()) for name in names}), 0
        raw.seek(len(line))
        table = csv.read_csv(
            raw,
            read_options=csv.ReadOptions(column_names=names),
            # One thread: the handler is Python.
            parse_options=csv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip),
            convert_options=csv.ConvertOptions(
                include_columns=[fields.user, fields.item, fields.time], column_types=dict.fromkeys(names, pa.binary())
            ),
        )
    return table, unreadable


def _check(file: Path, fields: Fields, names: Sequence[str]) -> None:
    for field in (fields.user, fields.item, fields.time):
        if field not in names:
            raise _missing(file, field, names)


def _missing(file: Path, field: str, names: Sequence[str]) -> HistoriesError:
    return HistoriesError(
        f"{file} has no column {field} (its columns: {', '.join(names) or 'none'}); name yours with --user-field and so on."
    )


def _tokens(values: pa.Array) -> pa.Array:
    """As text; null where a value is none or is empty."""
    try:
        texts = values.cast(pa.string())
    except pa.ArrowInvalid:
        texts = pa.array([_decoded(value) for value in values.to_pylist()], pa.string())
    return compute.if_else(compute.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _times(values: pa.Array) -> NDArray[np.float64]:
    if pa.types.is_timestamp(values.type):
        return np.array([math.nan if value is None else value.timestamp() for value in values.to_pylist()])
    try:
        texts = values.cast(pa.string()) if pa.types.is_binary(values.type) else values
        return np.asarray(compute.fill_null(texts.cast(pa.float64()), math.nan), np.float64)
    except pa.ArrowInvalid:
        seconds = map(_seconds, values.to_pylist())
        return np.array([math.nan if value is None else value for value in seconds])


def _seconds(value: Any) -> float | None:
    if hasattr(value, "timestamp"):
        return float(value.timestamp())
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if math.isfinite(seconds) else None


def _grouped(parts: Sequence[_Interactions]) -> Iterator[UserHistory]:
    """One history for each user, users in order of appearance, items by time and then by place in the file."""
    users = pa.concat_arrays([part.users for part in parts]).dictionary_encode()
    items = pa.concat_arrays([part.items for part in parts])
    times = np.concatenate([part.times for part in parts])
    nobody = sum(part.unreadable for part in parts)
    codes = np.asarray(compute.fill_null(users.indices, -1), np.int64)
    order = np.lexsort((times, codes))
    starts = np.flatnonzero(np.diff(codes[order], prepend=-2, append=len(users.dictionary)))
    names = users.dictionary
    for start, end in pairwise(starts.tolist()):
        rows = order[start:end]
        code = int(codes[rows[0]])
        if code < 0:
            nobody += len(rows)
            continue
        yield _history(names[code].as_py(), items.take(pa.array(rows)).to_pylist(), times[rows].tolist())
    for _ in range(nobody):
        yield UserHistory(None, (), None, "The line cannot be read, or names no user.")


def _history(user: str, items: Sequence[str | None], times: Sequence[float]) -> UserHistory:
    if None in items or not all(map(math.isfinite, times)):
        return UserHistory(user, (), None, "An item of the history is missing, or its time is no number.")
    # The same item at the same time is one interaction, as in the table of histories.
    once = dict.fromkeys(zip(times, items, strict=True))
    return UserHistory(user, tuple(str(item) for _, item in once), times[-1])
