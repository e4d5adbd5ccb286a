"""Pages of stored explanations: the small filter language and the page tokens bound to it (AIP-158, AIP-160)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self
from uuid import UUID

from explainer.explanation import Status
from server.errors import InvalidFilterError, InvalidPageTokenError
from storage import ExplanationFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage import ExplanationRecord

_CONDITION = re.compile(r'\s*(?P<field>[a-z_]+)\s*(?P<operator>>=|<|=)\s*"(?P<value>(?:[^"\\]|\\["\\])*)"\s*')
_ARGUMENT = {
    ("user_id", "="): "user_id",
    ("item", "="): "target_item",
    ("cause", "="): "cause_item",
    ("model_version", "="): "model_version",
    ("status", "="): "status",
    ("create_time", ">="): "created_from",
    ("create_time", "<"): "created_before",
}


@dataclass(frozen=True, slots=True)
class Page:
    """Some stored explanations, newest first, and the token of what follows."""

    records: tuple[ExplanationRecord, ...]
    next_page_token: str

    @classmethod
    def of(cls, records: Sequence[ExplanationRecord], size: int, filter_text: str) -> Self:
        """Cut a list that was fetched with one record to spare."""
        shown = tuple(records[:size])
        more = len(records) > size
        return cls(shown, page_token(shown[-1].id, filter_text) if more else "")


def parse_page_token(token: str, filter_text: str) -> tuple[ExplanationFilter, UUID | None]:
    """The filter to apply and the id to start below.

    Raises:
        InvalidFilterError: the filter cannot be read.
        InvalidPageTokenError: the token was not given out for this filter.
    """
    spec = parse_filter(filter_text)
    if not token:
        return spec, None
    try:
        before = UUID(json.loads(base64.urlsafe_b64decode(token.encode()))["before"])
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise InvalidPageTokenError(
            "page_token", "page_token is not one that this list gave out; start again without it."
        ) from error
    if page_token(before, filter_text) != token:
        raise InvalidPageTokenError(
            "page_token", "page_token belongs to a list with another filter; start again without it."
        )
    return spec, before


def parse_filter(text: str) -> ExplanationFilter:
    """Read conditions joined by AND, such as ``user_id = "42" AND status = "EXPLAINED"``.

    Raises:
        InvalidFilterError: naming the part that cannot be read.
    """
    arguments: dict[str, str] = {}
    rest = text.strip()
    while rest:
        match = _CONDITION.match(rest)
        if match is None:
            raise InvalidFilterError(
                "filter",
                f'filter cannot be read from {rest[:40]!r}; write conditions as field = "value" joined by AND.',
            )
        argument = _ARGUMENT.get((match["field"], match["operator"]))
        if argument is None:
            raise InvalidFilterError(
                "filter",
                f"filter cannot compare {match['field']} with {match['operator']}; use user_id, item, cause, model_version or "
                "status with =, create_time with >= or <.",
            )
        if argument in arguments:
            raise InvalidFilterError("filter", f"filter names {match['field']} {match['operator']} twice; keep one.")
        arguments[argument] = re.sub(r"\\(.)", r"\1", match["value"])
        rest = rest[match.end() :]
        if rest:
            joined = re.match(r"AND\s+(?=\S)", rest)
            if joined is None:
                raise InvalidFilterError("filter", f"filter cannot be read from {rest[:40]!r}; join conditions by AND.")
            rest = rest[joined.end() :]
    return ExplanationFilter(
        user_id=arguments.get("user_id"),
        target_item=arguments.get("target_item"),
        cause_item=arguments.get("cause_item"),
        model_version=arguments.get("model_version"),
        status=_status(arguments.get("status")),
        created_from=_time(arguments.get("created_from")),
        created_before=_time(arguments.get("created_before")),
    )


def condition(field: str, operator: str, value: str) -> str:
    """One condition as `parse_filter` reads it."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{field} {operator} "{quoted}"'


def _status(text: str | None) -> Status | None:
    if text is None:
        return None
    try:
        return Status(text)
    except ValueError as error:
        names = ", ".join(status.value for status in Status)
        raise InvalidFilterError("filter", f"filter asks for status {text[:40]!r}; give one of {names}.") from error


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidFilterError(
            "filter", f'filter has create_time {text[:40]!r}; give an RFC 3339 time such as "2026-01-31T00:00:00Z".'
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def page_token(before: UUID, filter_text: str) -> str:
    """The token of the page that follows the record ``before`` in the list with this filter."""
    digest = hashlib.sha256(filter_text.strip().encode()).hexdigest()[:16]
    return base64.urlsafe_b64encode(json.dumps({"before": str(before), "filter": digest}).encode()).decode()
