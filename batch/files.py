"""Parquet files of a run: their columns, written whole and kept through a power cut."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import parquet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batch.values import Row

_ITEMS: Final = pa.list_(pa.string())

HISTORIES: Final = pa.schema([("user_id", pa.string()), ("items", _ITEMS), ("error", pa.string())])
"""What a run works through: a user's item tokens, oldest first, or why they could not be read."""

USERS: Final = pa.schema([("user_id", pa.string()), ("digest", pa.binary(16)), ("outcome", pa.string())])
"""Every user of the run once, with what `--changed-since` compares."""

REJECTS: Final = pa.schema(
    [("user_id", pa.string()), ("items", _ITEMS), ("error_type", pa.string()), ("error", pa.string())]
)
"""The users that were set aside, and why."""

RESULTS: Final[dict[str, pa.Schema]] = {
    "explanations": pa.schema(
        [
            ("user_id", pa.string()),
            ("ordinal", pa.int32()),
            ("id", pa.string()),
            ("create_time", pa.timestamp("ms", "UTC")),
            ("model_version", pa.string()),
            ("target_item", pa.string()),
            ("status", pa.string()),
            ("reason", pa.string()),
            ("payload", pa.string()),
        ]
    ),
    "differences": pa.schema(
        [
            ("user_id", pa.string()),
            ("change", pa.string()),
            *(
                (f"{side}_{name}", kind)
                for side in ("old", "new")
                for name, kind in (
                    ("target_item", pa.string()),
                    ("status", pa.string()),
                    ("causes", _ITEMS),
                    ("reason", pa.string()),
                )
            ),
        ]
    ),
}
"""Results by kind of work. `payload` is the record's JSON document, as a database holds it."""


def write_rows(path: Path, schema: pa.Schema, rows: Sequence[Row]) -> None:
    """Write a file; it is on disk when this returns."""
    parquet.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, compression="zstd")
    sync(path)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows of a file."""
    # Not read_table: that looks at the folder's name for partitions.
    with parquet.ParquetFile(path) as file:
        rows: list[dict[str, Any]] = file.read().to_pylist()
    return rows


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
