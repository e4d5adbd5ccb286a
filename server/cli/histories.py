"""`becausal load-histories`: interactions from a file into the database, for calls with a user id alone."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

import storage
from server.cli.failure import CommandError
from server.cli.options import ConfigFile, Database, config_with
from storage import Interaction

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Rows = Iterator[tuple[Any, Any, Any]]

_AT_ONCE = 5000
_PARQUET = {".parquet", ".pq"}
_ATOMIC = ".inter"


def load_histories(
    source: Annotated[
        Path, typer.Argument(help="RecBole data set (its folder or .inter file), CSV file, or Parquet file.")
    ],
    *,
    user_field: Annotated[str, typer.Option("--user-field", help="Column with user ids.")] = "user_id",
    item_field: Annotated[str, typer.Option("--item-field", help="Column with item tokens.")] = "item_id",
    time_field: Annotated[str, typer.Option("--time-field", help="Column with times, in seconds.")] = "timestamp",
    config: ConfigFile = None,
    database: Database = None,
) -> None:
    """Store users' interactions. What is there already is passed over, so loading again is harmless."""
    file, fields = _file(source), (user_field, item_field, time_field)
    url = config_with(config, database=database).database_url
    storage.check(url)
    with storage.Database(url) as opened, _bar() as bar:
        histories = storage.HistoryRepository(opened)
        task = bar.add_task("Loading", total=None)
        read = new = 0
        rows = _interactions(file, fields)
        while batch := list(islice(rows, _AT_ONCE)):
            new += histories.add(batch)
            read += len(batch)
            bar.update(task, completed=read)
        bar.update(task, total=read)
    typer.echo(f"{read} interactions read, {new} of them new.")


def _file(source: Path) -> Path:
    if source.is_file():
        return source
    found = sorted(source.glob(f"*{_ATOMIC}")) if source.is_dir() else []
    if len(found) != 1:
        raise CommandError(f"{source} is no file and no folder with one {_ATOMIC} file; give the file itself.")
    return found[0]


def _interactions(file: Path, fields: tuple[str, str, str]) -> Iterator[Interaction]:
    rows = _parquet_rows(file, fields) if file.suffix in _PARQUET else _text_rows(file, fields)
    for number, (user, item, time) in enumerate(rows, 1):
        try:
            yield Interaction(str(user), str(item), float(time))
        except (TypeError, ValueError):
            raise CommandError(f"Row {number} of {file} has the time {time!r}; give seconds as a number.") from None


def _text_rows(file: Path, fields: tuple[str, str, str]) -> Rows:
    """CSV with a header; a RecBole .inter file is one with tabs and types behind the names."""
    try:
        with file.open(encoding="utf-8", newline="") as text:
            rows = csv.reader(text, delimiter="\t" if file.suffix == _ATOMIC else ",")
            header = [cell.partition(":")[0] for cell in next(rows, [])]
            places = [_place(header, field, file) for field in fields]
            for row in rows:
                if row:
                    yield row[places[0]], row[places[1]], row[places[2]]
    except (OSError, UnicodeDecodeError, csv.Error, IndexError) as error:
        raise CommandError(f"{file} cannot be read ({error}); give a UTF-8 file with a header.") from error


def _parquet_rows(file: Path, fields: tuple[str, str, str]) -> Rows:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CommandError("Parquet needs pyarrow; run `pip install becausal-server[parquet]`.") from error
    try:
        with parquet.ParquetFile(file) as table:
            for field in fields:
                _place(table.schema_arrow.names, field, file)
            for batch in table.iter_batches(columns=list(fields)):
                columns = batch.to_pydict()
                yield from zip(*(columns[field] for field in fields), strict=True)
    except (OSError, ArrowException) as error:
        raise CommandError(f"{file} cannot be read ({error}); give a Parquet file.") from error


def _place(header: list[str], field: str, file: Path) -> int:
    if field not in header:
        named = ", ".join(header) or "none"
        raise CommandError(
            f"{file} has no column {field} (its columns: {named}); name yours with --user-field and so on."
        )
    return header.index(field)


def _bar() -> AbstractContextManager[Progress]:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True))
