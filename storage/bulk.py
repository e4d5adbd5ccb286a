"""Prepared rows in bulk, for offline runs: by COPY on PostgreSQL, and passing over what is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from storage.models import ExplanationCauseRow, ExplanationRow, LogEntryRow

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from sqlalchemy import Connection, Table

    from storage.entries import Batch, Row

_ASKED_AT_ONCE = 1000
"""Ids in one question: SQLite takes some 32,000 parameters."""


def load(connection: Connection, batch: Batch) -> int:
    """Insert the records of a batch that the audit log does not know yet, inside a transaction.

    What was stored and then erased is known to the log too, and is not stored again.

    Returns:
        How many were new.
    """
    known = _known(connection, [row["id"] for row in batch.entries])  # type: ignore[misc]
    new = _without(batch, known)
    if connection.dialect.name != "postgresql":
        new.insert(connection)
    else:
        for model, rows in (
            (ExplanationRow, new.explanations),
            (ExplanationCauseRow, new.causes),
            (LogEntryRow, new.entries),
        ):
            _copy(connection, model.metadata.tables[model.__tablename__], rows)
    return len(new)


def _known(connection: Connection, ids: Sequence[UUID]) -> set[UUID]:
    known: set[UUID] = set()
    for start in range(0, len(ids), _ASKED_AT_ONCE):
        some = ids[start : start + _ASKED_AT_ONCE]
        known.update(connection.execute(select(LogEntryRow.id).where(LogEntryRow.id.in_(some))).scalars())
    return known


def _without(batch: Batch, known: Collection[UUID]) -> Batch:
    if not known:
        return batch
    return type(batch)(
        explanations=[row for row in batch.explanations if row["id"] not in known],
        causes=[row for row in batch.causes if row["explanation_id"] not in known],
        entries=[row for row in batch.entries if row["id"] not in known],
    )


def _copy(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    if not rows:
        return
    columns = list(rows[0])
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row([row[column] for column in columns])
    except psycopg.Error as error:
        # As SQLAlchemy would have raised it, so that it is translated with all others.
        raise DBAPIError.instance(
            f"COPY {table.name}", (), error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
        ) from error
