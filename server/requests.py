"""Requests that a caller may send again: known by who sent them and by the id that they gave them (AIP-155)."""

from __future__ import annotations

import hashlib
from uuid import UUID

from storage import RequestKey


def request_key(request_id: str, caller: str, asked: str) -> RequestKey | None:
    """The key of a request; None for one without an id.

    Args:
        request_id: a UUID (the protocol's rules let no other through), or empty.
        caller: who sends it; ids are a caller's own.
        asked: all that was asked, in a form that is the same whenever the same is asked.
    """
    if not request_id:
        return None
    return RequestKey(_digest(f"{UUID(request_id)}\n{caller}"), _digest(asked))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
