"""What an auditor reads besides the explanations: entries with their documents, and whether a record is untouched."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from becausal.audit.entries import Kind, commitment, entry_leaf
from storage.models import ExplanationRow, LogEntryRow, LogTileRow
from storage.tiles import FULL, WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from sqlalchemy import Row, Select

    from storage.database import Database

_PAGE = 500
_HASH = FULL // WIDTH


class Standing(Enum):
    """What the log says about a record."""

    INTACT = "INTACT"
    """The document is the one that was committed to, and its entry stands in the log's tree."""

    WAITING = "WAITING"
    """The document is the one that was committed to; its entry waits for its place in the log."""

    TAMPERED = "TAMPERED"
    """Document, commitment or tree were changed."""

    ERASED = "ERASED"
    """The document was erased; its entry stays."""

    UNKNOWN = "UNKNOWN"
    """The log has no entry of this id."""


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """An entry with its document, where that was not erased."""

    id: UUID
    kind: str
    commitment: bytes
    salt: bytes | None
    document: str | None
    index: int | None


class AuditTrail:
    """Reads the log's entries. Safe in threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entry(self, entry_id: UUID) -> TrailEntry | None:
        """One entry; None when there is none of this id.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        with self._database.reading() as connection:
            row = connection.execute(_select().where(LogEntryRow.id == entry_id)).one_or_none()
        return None if row is None else _entry(row)

    def standing(self, entry_id: UUID) -> Standing:
        """Whether a record is the one that was committed to when it was stored.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        entry = self.entry(entry_id)
        if entry is None:
            return Standing.UNKNOWN
        if entry.salt is None and entry.document is None:
            return Standing.ERASED
        if not _committed(entry):
            return Standing.TAMPERED
        if entry.index is None:
            return Standing.WAITING
        leaf = entry_leaf(entry.id, entry.kind, entry.commitment)
        return Standing.INTACT if self._leaf(entry.index) == leaf else Standing.TAMPERED

    def entries(self, size: int) -> Iterator[TrailEntry]:
        """The entries that have a place below `size`, in the log's order.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        for start in range(0, size, _PAGE):
            page = (
                _select()
                .where(LogEntryRow.leaf_index >= start, LogEntryRow.leaf_index < min(start + _PAGE, size))
                .order_by(LogEntryRow.leaf_index)
            )
            with self._database.reading() as connection:
                rows = connection.execute(page).all()
            yield from map(_entry, rows)

    def leaves(self, size: int) -> Iterator[bytes]:
        """The first `size` leaf hashes, up to 256 side by side.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        for place in range(-(-size // WIDTH)):
            yield self._tile(place)[: (size - place * WIDTH) * _HASH]

    def count(self, kind: Kind) -> int:
        """How many entries of a kind there are."""
        statement = select(func.count()).select_from(LogEntryRow).where(LogEntryRow.kind == kind.value)
        with self._database.reading() as connection:
            return connection.execute(statement).scalar_one()

    def _leaf(self, index: int) -> bytes:
        place, offset = divmod(index, WIDTH)
        return self._tile(place)[offset * _HASH : (offset + 1) * _HASH]

    def _tile(self, place: int) -> bytes:
        statement = select(LogTileRow.hashes).where(LogTileRow.level == 0, LogTileRow.place == place)
        with self._database.reading() as connection:
            return connection.execute(statement).scalar_one_or_none() or b""


def _select() -> Select[UUID, str, bytes, bytes | None, int | None, str]:
    return select(
        LogEntryRow.id,
        LogEntryRow.kind,
        LogEntryRow.commitment,
        LogEntryRow.salt,
        LogEntryRow.leaf_index,
        func.coalesce(LogEntryRow.document, ExplanationRow.payload).label("document"),
    ).outerjoin(ExplanationRow, ExplanationRow.id == LogEntryRow.id)


def _entry(row: Row[UUID, str, bytes, bytes | None, int | None, str]) -> TrailEntry:
    return TrailEntry(row.id, row.kind, row.commitment, row.salt, row.document, row.leaf_index)


def _committed(entry: TrailEntry) -> bool:
    if entry.salt is None or entry.document is None:
        return False
    try:
        return commitment(entry.salt, json.loads(entry.document)) == entry.commitment
    except ValueError:
        return False
