"""Rows of the audit log, made before the transaction that stores them with what they commit to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from becausal.audit.entries import Kind, canonical, canonical_text, commit, new_salt
from storage.errors import InvalidRecordError
from storage.identifiers import new_id
from storage.models import ExplanationCauseRow, ExplanationRow, LogEntryRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from uuid import UUID

    from sqlalchemy import Connection

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that belong together: all of them are stored, or none."""

    explanations: list[Row] = field(default_factory=list)
    causes: list[Row] = field(default_factory=list)
    entries: list[Row] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of log entries: one per record."""
        return len(self.entries)

    @classmethod
    def merged(cls, batches: Iterable[Batch]) -> Batch:
        """The rows of several, for one transaction."""
        whole = cls()
        for batch in batches:
            whole.explanations.extend(batch.explanations)
            whole.causes.extend(batch.causes)
            whole.entries.extend(batch.entries)
        return whole

    def insert(self, connection: Connection) -> None:
        """Send one statement per table."""
        if self.explanations:
            connection.execute(insert(ExplanationRow), self.explanations)
        if self.causes:
            connection.execute(insert(ExplanationCauseRow), self.causes)
        if self.entries:
            connection.execute(insert(LogEntryRow), self.entries)


def explanation_entry(record_id: UUID, payload: str) -> Row:
    """The entry of an explanation, whose document is kept as its payload.

    Raises:
        InvalidRecordError: a number in the payload is too large for canonical JSON.
    """
    return _entry(record_id, Kind.EXPLANATION, lambda: canonical_text(payload))


def event_entry(kind: Kind, facts: Mapping[str, Any], user_id: str | None = None) -> Row:
    """The entry of something that happened now.

    Args:
        kind: what it was.
        facts: its document, to which the time is added.
        user_id: whose data the document holds, if anybody's: it is erased with theirs.

    Raises:
        InvalidRecordError: the facts are no canonical JSON.
    """
    document = {"format": 1, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **facts}
    row = _entry(new_id(), kind, lambda: canonical(document))
    return row | {"document": canonical(document).decode(), "user_id": user_id}


def _entry(entry_id: UUID, kind: Kind, document: Callable[[], bytes]) -> Row:
    salt = new_salt()
    try:
        committed = commit(salt, document())
    except ValueError:
        raise InvalidRecordError("record", "the record holds a number beyond 2^53 or half a character") from None
    return {
        "id": entry_id,
        "kind": kind.value,
        "commitment": committed,
        "salt": salt,
        "document": None,
        "user_id": None,
    }
