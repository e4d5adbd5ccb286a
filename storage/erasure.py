"""Erasing: by user, by age; and the legal holds that stop it.

What goes: documents, salts, search keys, stored histories. What stays: each entry's id, kind and commitment in the log,
so that every proof still holds, and an erasure entry that says which documents are gone and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update

from becausal.audit.entries import Kind
from storage.entries import Batch, event_entry
from storage.errors import InvalidRecordError, LegalHoldError
from storage.identifiers import first_id_from
from storage.models import (
    KEY_LENGTH,
    ExplanationCauseRow,
    ExplanationRow,
    InteractionRow,
    LegalHoldRow,
    LogEntryRow,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from sqlalchemy import Connection

    from storage.database import Database

ERASED_AT_ONCE = 1000
"""Documents that one erasure entry names."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure took away."""

    explanations: int
    interactions: int
    other_entries: int
    """Reads and holds that spoke of the user."""

    entry_ids: tuple[UUID, ...]
    """The erasure entries in the log."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A user whose records must not be erased."""

    user_id: str
    reason: str
    create_time: datetime


class Erasure:
    """Erases and holds in one database. Safe in threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def erase_user(self, user_id: str, *, actor: str, reason: str) -> Erased:
        """Erase all that is stored about a user, in one transaction. A user without records is erased too.

        Args:
            user_id: whose; not empty.
            actor: who erases; goes into the log for good.
            reason: why; goes into the log for good, so it must not name the user.

        Raises:
            LegalHoldError: a legal hold keeps the user's records.
            InvalidRecordError: the user id is empty or too long.
            DatabaseUnavailableError: the database cannot be reached or written.
        """
        _check_user(user_id)
        with self._database.writing() as connection:
            self._database.take_log_lock(connection)
            _check_hold(connection, user_id)
            mine = select(ExplanationRow.id).where(ExplanationRow.user_id == user_id).order_by(ExplanationRow.id)
            records = connection.execute(mine.with_for_update()).scalars().all()
            spoke = select(LogEntryRow.id).where(LogEntryRow.user_id == user_id).order_by(LogEntryRow.id)
            others = connection.execute(spoke.with_for_update()).scalars().all()
            interactions = connection.execute(delete(InteractionRow).where(InteractionRow.user_id == user_id)).rowcount
            facts = {"actor": actor, "cause": "user", "reason": reason}
            entries = _erase(connection, [*records, *others], facts)
        self._database.scrub()
        return Erased(len(records), interactions, len(others), entries)

    def erase_before(self, time: datetime, *, actor: str, limit: int = ERASED_AT_ONCE) -> Erased:
        """Erase the oldest explanations made before a time, except those of users on hold.

        Args:
            time: with a zone.
            actor: who erases; goes into the log for good.
            limit: most to erase; call again until none is left.

        Raises:
            DatabaseUnavailableError: the database cannot be reached or written.
        """
        old = (
            select(ExplanationRow.id)
            .where(
                ExplanationRow.id < first_id_from(time),
                ExplanationRow.user_id.not_in(select(LegalHoldRow.user_id)),
            )
            .order_by(ExplanationRow.id)
            .limit(limit)
        )
        with self._database.writing() as connection:
            self._database.take_log_lock(connection)
            records = connection.execute(old.with_for_update()).scalars().all()
            facts = {"actor": actor, "before": time.astimezone(UTC).isoformat(), "cause": "retention"}
            entries = _erase(connection, records, facts) if records else ()
        if records:
            self._database.scrub()
        return Erased(len(records), 0, 0, entries)

    def hold(self, user_id: str, *, actor: str, reason: str) -> None:
        """Keep a user's records from being erased until `release`; on a user on hold already, the reason is replaced.

        Raises:
            InvalidRecordError: the user id is empty or too long.
            DatabaseUnavailableError: the database cannot be reached or written.
        """
        _check_user(user_id)
        entry = event_entry(Kind.HOLD, {"actor": actor, "reason": reason, "user_id": user_id}, user_id)
        with self._database.writing() as connection:
            self._database.take_log_lock(connection)
            connection.execute(delete(LegalHoldRow).where(LegalHoldRow.user_id == user_id))
            connection.execute(
                insert(LegalHoldRow).values(user_id=user_id, reason=reason, create_time=datetime.now(UTC))
            )
            Batch(entries=[entry]).insert(connection)

    def release(self, user_id: str, *, actor: str, reason: str) -> bool:
        """End a hold; False when there was none.

        Raises:
            DatabaseUnavailableError: the database cannot be reached or written.
        """
        _check_user(user_id)
        entry = event_entry(Kind.RELEASE, {"actor": actor, "reason": reason, "user_id": user_id}, user_id)
        with self._database.writing() as connection:
            self._database.take_log_lock(connection)
            held = connection.execute(delete(LegalHoldRow).where(LegalHoldRow.user_id == user_id)).rowcount > 0
            if held:
                Batch(entries=[entry]).insert(connection)
        return held

    def holds(self) -> tuple[Hold, ...]:
        """The users on hold, by user id.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        statement = select(LegalHoldRow.user_id, LegalHoldRow.reason, LegalHoldRow.create_time).order_by(
            LegalHoldRow.user_id
        )
        with self._database.reading() as connection:
            return tuple(Hold(row.user_id, row.reason, row.create_time) for row in connection.execute(statement))

    def count_before(self, time: datetime) -> int:
        """How many explanations were made before a time, on hold or not."""
        statement = select(func.count()).select_from(ExplanationRow).where(ExplanationRow.id < first_id_from(time))
        with self._database.reading() as connection:
            return connection.execute(statement).scalar_one()


def _check_user(user_id: str) -> None:
    if not user_id or len(user_id) > KEY_LENGTH:
        raise InvalidRecordError("user_id", f"user_id has {len(user_id)} characters; give 1 to {KEY_LENGTH}")


def _check_hold(connection: Connection, user_id: str) -> None:
    statement = select(LegalHoldRow.create_time).where(LegalHoldRow.user_id == user_id)
    since = connection.execute(statement).scalar_one_or_none()
    if since is not None:
        raise LegalHoldError(
            f"a legal hold since {since:%Y-%m-%d} keeps this user's records; lift it with `becausal audit release` first"
        )


def _erase(connection: Connection, ids: Sequence[UUID], facts: Mapping[str, str]) -> tuple[UUID, ...]:
    """Take out documents, salts and keys of entries, and write the entries that say so; one at least."""
    entries = []
    for start in range(0, max(len(ids), 1), ERASED_AT_ONCE):
        some = ids[start : start + ERASED_AT_ONCE]
        connection.execute(delete(ExplanationCauseRow).where(ExplanationCauseRow.explanation_id.in_(some)))
        connection.execute(delete(ExplanationRow).where(ExplanationRow.id.in_(some)))
        connection.execute(
            update(LogEntryRow).where(LogEntryRow.id.in_(some)).values(salt=None, document=None, user_id=None)
        )
        entries.append(event_entry(Kind.ERASURE, {**facts, "entries": [str(entry_id) for entry_id in some]}))
    Batch(entries=entries).insert(connection)
    return tuple(entry["id"] for entry in entries)  # type: ignore[misc]
