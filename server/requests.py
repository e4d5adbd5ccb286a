"""Requests that a caller may send again: known by who sent them and by the id that they gave them (AIP-155)."""

from __future__ import annotations

import hashlib
from uuid import UUID

from server.errors import InvalidFieldError
from storage import RequestKey


def request_key(request_id: str, caller: str, asked: str) -> RequestKey | None:
    """The key of a request; None for one without an id.

    Args:
        request_id: a UUID, or empty.
        caller: who sends it; ids are a caller's own.
        asked: all that was asked, in a form that is the same whenever the same is asked.

    Raises:
        InvalidFieldError: the id is no UUID.
    """
    if not request_id:
        return None
    try:
        known = UUID(request_id)
    except ValueError as error:
        raise InvalidFieldError(
            "request_id", "request_id is no UUID; give a new one to each request, or leave it out."
        ) from error
    return RequestKey(_digest(f"{known}\n{caller}"), _digest(asked))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
