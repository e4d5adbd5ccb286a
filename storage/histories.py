"""Users' histories, for calls with a user id alone."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from storage.errors import InvalidRecordError
from storage.models import KEY_LENGTH, InteractionRow, storable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.database import Database


@dataclass(frozen=True, slots=True)
class Interaction:
    """One item that a user had."""

    user_id: str
    item: str
    time: float
    """Seconds, on the clock of the data set; since 1970 for what comes from a running system."""


class HistoryRepository:
    """The interactions of one database. Safe in threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, interactions: Sequence[Interaction]) -> int:
        """Store interactions: all of them, or none. One that is there already (user, item and time) is passed over.

        Returns:
            How many are new. Sending the same again is harmless, so a call may be repeated.

        Raises:
            InvalidRecordError: a user id or an item is empty or no text that a database holds, or a time is no number.
            DatabaseUnavailableError: the database cannot be reached or written.
        """
        if not interactions:
            return 0
        first = time.time_ns()
        rows = [_row(interaction, first + place) for place, interaction in enumerate(interactions)]
        new = 0
        with self._database.writing() as connection:
            statement = self._database.insert_new(InteractionRow)
            for start in range(0, len(rows), _AT_ONCE):
                # The rows that come back are the new ones; drivers do not agree on how to count them.
                some = statement.values(rows[start : start + _AT_ONCE]).returning(InteractionRow.ordinal)
                new += len(connection.execute(some).all())
        return new

    def latest(self, user_id: str, limit: int) -> tuple[str, ...]:
        """A user's newest items, oldest first; empty when nothing is stored.

        Args:
            user_id: whose.
            limit: most items.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        statement = (
            select(InteractionRow.item)
            .where(InteractionRow.user_id == user_id)
            .order_by(InteractionRow.time.desc(), InteractionRow.ordinal.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return tuple(connection.execute(statement).scalars())[::-1]


_AT_ONCE = 500
"""Rows in one statement: SQLite takes some 32,000 parameters."""


def _row(interaction: Interaction, ordinal: int) -> dict[str, object]:
    for field in ("user_id", "item"):
        value: str = getattr(interaction, field)
        if not 0 < len(value) <= KEY_LENGTH or not storable(value):
            raise InvalidRecordError(field, f"{field} of an interaction is empty, too long or no text; leave it out")
    if not math.isfinite(interaction.time):
        raise InvalidRecordError("time", "the time of an interaction is no number; give seconds")
    # 0.0 for -0.0: equal keys must look equal.
    return {
        "user_id": interaction.user_id,
        "item": interaction.item,
        "time": interaction.time + 0.0,
        "ordinal": ordinal,
    }
