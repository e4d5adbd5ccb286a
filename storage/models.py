"""The tables.

`explanations` holds one row per record: the whole record as a JSON document, and beside it the few values that lists are
filtered by. `explanation_causes` answers "which explanations used this item?". Both are keyed by the record's id, whose
order is the order of time, and every index ends with it: each filter is served newest first, page by page, from one
index and without a sort.
"""

# No `from __future__ import annotations` here: SQLAlchemy reads the annotations at run time.
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, MetaData, String, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

KEY_LENGTH = 512
"""Most characters in a user id, item token or model version: PostgreSQL indexes at most about 2,700 bytes."""


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


class ExplanationCauseRow(Base):
    """One item of an explanation's set of causes."""

    __tablename__ = "explanation_causes"
    __table_args__ = (Index(None, "item", "explanation_id"),)

    # No ON DELETE CASCADE: what is removed from an audit trail is removed by name.
    explanation_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey(ExplanationRow.id), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Place in the history as explained, from 0."""

    item: Mapped[str] = mapped_column(String(KEY_LENGTH))
