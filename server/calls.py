"""What is known of the call that the running task answers: its id, and the trace that it belongs to."""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUEST_ID = "x-request-id"
"""Metadata key: the caller's name for the call, or ours for it on the way back."""

TRACE_PARENT = "traceparent"
"""Metadata key of W3C Trace Context."""

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# Version 00, the only one there is; ids of zeros alone are invalid.
_PARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Call:
    """One call."""

    request_id: str = ""
    trace_parent: str = ""
    """Where the call stands in a distributed trace, as W3C Trace Context writes it; empty when in none."""

    span: Any = None
    """The call's span, where traces are sent (server/tracing.py)."""

    @classmethod
    def of(cls, metadata: Iterable[tuple[str, str | bytes]] | None) -> Self:
        """The call of this metadata; what cannot be used in it is as if it were not there."""
        given = {key: value for key, value in metadata or () if isinstance(value, str)}
        request_id = given.get(REQUEST_ID, "")
        parent = given.get(TRACE_PARENT, "")
        return cls(
            request_id if _ID.fullmatch(request_id) else uuid.uuid4().hex, parent if _PARENT.fullmatch(parent) else ""
        )


current_call: ContextVar[Call] = ContextVar("current_call", default=Call())  # noqa: B039 - frozen
"""The call that the running task or thread works for."""
