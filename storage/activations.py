"""Which model answers: the decisions, of which the last one counts. Nothing is ever taken back, only decided anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from becausal.audit.entries import Kind
from storage.entries import Batch, event_entry
from storage.errors import InvalidRecordError
from storage.models import KEY_LENGTH, ModelActivationRow, storable

if TYPE_CHECKING:
    from storage.database import Database


@dataclass(frozen=True, slots=True)
class Activation:
    """That a model was to answer from then on."""

    model_version: str
    actor: str
    """Who decided it."""

    create_time: datetime


class ActivationRepository:
    """The decisions of one database. Safe in threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, model_version: str, *, actor: str) -> None:
        """Store a decision, with its entry in the audit log; on disk when this returns.

        Raises:
            InvalidRecordError: version or actor is no text that a database holds.
            DatabaseUnavailableError: the database cannot be reached or written.
            SchemaBehindError: the tables are older than this program, or not there.
        """
        facts = {"actor": actor, "model_version": model_version}
        for field, value in facts.items():
            if len(value) > KEY_LENGTH or not storable(value):
                raise InvalidRecordError(field, f"{field} of an activation is too long or no text; give a shorter one")
        entry = event_entry(Kind.ACTIVATION, facts)
        with self._database.writing() as connection:
            connection.execute(insert(ModelActivationRow).values(**facts, create_time=datetime.now(UTC)))
            Batch(entries=[entry]).insert(connection)

    def latest(self) -> Activation | None:
        """The decision that counts; None while there is none.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
            SchemaBehindError: the tables are older than this program, or not there.
        """
        row = ModelActivationRow
        statement = select(row.model_version, row.actor, row.create_time).order_by(row.id.desc()).limit(1)
        with self._database.reading() as connection:
            found = connection.execute(statement).one_or_none()
        if found is None:
            return None
        version, actor, time = found
        # SQLite gives the time without its zone, PostgreSQL in the session's.
        return Activation(version, actor, time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC))
