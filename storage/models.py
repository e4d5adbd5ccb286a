"""The tables.

`explanations` holds one row per record: the whole record as a JSON document, and beside it the few values that lists are
filtered by. `explanation_causes` answers "which explanations used this item?". Both are keyed by the record's id, whose
order is the order of time, and every index ends with it: each filter is served newest first, page by page, from one
index and without a sort.

`log_entries` holds one row per entry of the audit log (decision 0601), `log_tiles` the log's tree, `log_checkpoints` its
signed states. `legal_holds` says whose records stay. `interactions` holds histories for calls with a user id alone.
`model_activations` says which model answers: the last row counts, and there is none until somebody decides.
"""

# No `from __future__ import annotations` here: SQLAlchemy reads the annotations at run time.
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    Uuid,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

KEY_LENGTH = 512
"""Most characters in a user id, item token or model version: PostgreSQL indexes at most about 2,700 bytes."""


def storable(value: str) -> bool:
    """Whether both engines hold a text."""
    # PostgreSQL's text has no NUL, and half of a surrogate pair has no UTF-8.
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


class Base(DeclarativeBase):
    """Root of the models; every constraint has a name, so that a later migration can change it."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )


class ExplanationRow(Base):
    """One stored explanation."""

    __tablename__ = "explanations"
    __table_args__ = (
        Index(None, "user_id", "id"),
        Index(None, "target_item", "id"),
        Index(None, "model_version", "id"),
        Index(None, "status", "id"),
        Index(
            None,
            "request_key",
            "request_ordinal",
            unique=True,
            # Explanations that came by no such request are not in it.
            sqlite_where=text("request_key IS NOT NULL"),
            postgresql_where=text("request_key IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True)
    create_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """The time that the id carries, UTC, for people who read the table with SQL; lists compare ids instead."""

    user_id: Mapped[str] = mapped_column(String(KEY_LENGTH))
    target_item: Mapped[str] = mapped_column(String(KEY_LENGTH))
    model_version: Mapped[str] = mapped_column(String(KEY_LENGTH))
    status: Mapped[str] = mapped_column(String(32))
    payload: Mapped[str] = mapped_column(Text())
    """The record's JSON document."""

    request_key: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    """Of the request that it answers, if the caller gave that an id (storage/requests.py)."""

    request_ordinal: Mapped[int | None] = mapped_column()
    """Its place among the answers to that request, from 0."""

    request_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    """Of what was asked."""


class ExplanationCauseRow(Base):
    """One item of an explanation's set of causes."""

    __tablename__ = "explanation_causes"
    __table_args__ = (Index(None, "item", "explanation_id"),)

    # No ON DELETE CASCADE: what is removed from an audit trail is removed by name.
    explanation_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey(ExplanationRow.id), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Place in the history as explained, from 0."""

    item: Mapped[str] = mapped_column(String(KEY_LENGTH))


class LogEntryRow(Base):
    """One entry of the audit log: what an explanation, an erasure, a read or a hold was committed to.

    Document and salt can be erased; id, kind and commitment stay for good.
    """

    __tablename__ = "log_entries"
    __table_args__ = (Index(None, "leaf_index", unique=True), Index(None, "user_id"))

    id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True)
    """That of the explanation, or the entry's own UUIDv7."""

    kind: Mapped[str] = mapped_column(String(32))
    commitment: Mapped[bytes] = mapped_column(LargeBinary(32))
    salt: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    """None once the document was erased."""

    document: Mapped[str | None] = mapped_column(Text())
    """JSON; None for explanations, whose document is their payload, and for what was erased."""

    user_id: Mapped[str | None] = mapped_column(String(KEY_LENGTH))
    """Whose data the document holds, if anybody's; explanations keep it in their own row."""

    leaf_index: Mapped[int | None] = mapped_column(BigInteger())
    """Place in the log, from 0 without a gap; None until the entry is sequenced."""


class LogTileRow(Base):
    """Up to 256 hashes, side by side, of the log's tree: those of level 8 * `level`, from `place` * 256 on."""

    __tablename__ = "log_tiles"

    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(BigInteger(), primary_key=True, autoincrement=False)
    hashes: Mapped[bytes] = mapped_column(LargeBinary())


class LogCheckpointRow(Base):
    """A state of the log."""

    __tablename__ = "log_checkpoints"

    size: Mapped[int] = mapped_column(BigInteger(), primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    note: Mapped[str | None] = mapped_column(Text())
    """The signed note; None where no key was set."""

    create_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class LegalHoldRow(Base):
    """A user whose records must not be erased."""

    __tablename__ = "legal_holds"

    user_id: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    reason: Mapped[str] = mapped_column(Text())
    create_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class InteractionRow(Base):
    """One item that a user had, and when; the same again is the same row."""

    __tablename__ = "interactions"

    user_id: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    time: Mapped[float] = mapped_column(Float(53), primary_key=True)
    """Seconds, on whatever clock the data set has; since 1970 for what came by RPC."""

    item: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    ordinal: Mapped[int] = mapped_column(BigInteger())
    """Order among equal times: that of arrival."""


class ModelActivationRow(Base):
    """That a model was to answer from then on."""

    __tablename__ = "model_activations"

    id: Mapped[int] = mapped_column(primary_key=True)
    """Given by the database, so that the last decision is the last one whatever the clocks of the instances say."""

    model_version: Mapped[str] = mapped_column(String(KEY_LENGTH))
    actor: Mapped[str] = mapped_column(String(KEY_LENGTH))
    create_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
