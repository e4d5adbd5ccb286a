"""What both clients send: requests from a call's arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from becausal.v1.explanation_service_pb2 import RecordInteractionsRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from google.protobuf.message import Message


def name_of(request: Message) -> str:
    """Name of the call that a request belongs to."""
    return type(request).__name__.removesuffix("Request")


def interactions(user_id: str, items: Sequence[str], time: datetime | None) -> RecordInteractionsRequest:
    """That a user had these items at a time, by default now.

    The time is set here and not by the server: the same request sent twice is then the same interactions, so that a retry
    changes nothing.
    """
    stamp = Timestamp()
    if time is None:
        stamp.GetCurrentTime()
    else:
        stamp.FromDatetime(time)
    one = RecordInteractionsRequest.Interaction
    return RecordInteractionsRequest(interactions=[one(user_id=user_id, item=item, time=stamp) for item in items])
