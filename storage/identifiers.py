"""Record ids: UUIDv7, so that the order of ids is the order of time.

A record's time of creation is read off its id and kept nowhere else in the record. Bounds on time are therefore bounds
on ids, and one key serves identity, order, pages and time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock
from uuid import UUID

import uuid_utils

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_BITS_BELOW_TIME = 80


class _Clock:
    """The last id given out by this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last = 0

    def next(self) -> int:
        # One more than the last id when the system clock was set back: ids may then run ahead of the clock, but a
        # later record never sorts before an earlier one.
        with self._lock:
            self._last = max(uuid_utils.uuid7().int, self._last + 1)
            return self._last


_clock = _Clock()


def new_id() -> UUID:
    """Make an id, larger than every id made before by this process; safe in threads."""
    return UUID(int=_clock.next())


def id_at(time: datetime) -> UUID:
    """Make an id that carries this time (1970 or later, with a zone; cut to milliseconds), for records made elsewhere.

    Ids made for the same millisecond are in no order.
    """
    below = new_id().int & ((1 << _BITS_BELOW_TIME) - 1)
    return UUID(int=((time - _EPOCH) // _MILLISECOND << _BITS_BELOW_TIME) | below)


def id_of(time: datetime, digest: bytes) -> UUID:
    """Make the id that belongs to a time (as `id_at`) and to a digest (10 bytes or more): the same whenever asked."""
    milliseconds = (time - _EPOCH) // _MILLISECOND
    below = int.from_bytes(digest[: _BITS_BELOW_TIME // 8]) & ~(0xF << 76 | 3 << 62)
    return UUID(int=milliseconds << _BITS_BELOW_TIME | 7 << 76 | 2 << 62 | below)


def time_of(record_id: UUID) -> datetime:
    """Read the time (UTC, to the millisecond) off a UUIDv7."""
    return _EPOCH + (record_id.int >> _BITS_BELOW_TIME) * _MILLISECOND


def first_id_from(time: datetime) -> UUID:
    """Bound below every id of this time (with a zone) or later, and above every earlier one.

    It is no valid UUIDv7 itself: version and variant bits are zero. Times before 1970 count as 1970.
    """
    milliseconds = -((_EPOCH - time) // _MILLISECOND)  # rounded up: a time between two milliseconds excludes the first
    return UUID(int=max(milliseconds, 0) << _BITS_BELOW_TIME)
