"""Which explanations a list is to hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.errors import InvalidFilterError

if TYPE_CHECKING:
    from datetime import datetime

    from explainer.explanation import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationFilter:
    """Conditions on explanations, all of which must hold; None leaves one out.

    Raises:
        InvalidFilterError: a time has no zone.
    """

    user_id: str | None = None
    """The empty string asks for the explanations without a user."""

    target_item: str | None = None
    model_version: str | None = None
    status: Status | None = None
    cause_item: str | None = None
    """An item that is among the causes."""

    created_from: datetime | None = None
    """Made at this time or later; with a zone."""

    created_before: datetime | None = None
    """Made before this time; with a zone."""

    def __post_init__(self) -> None:
        for field, time in (("created_from", self.created_from), ("created_before", self.created_before)):
            if time is not None and time.utcoffset() is None:
                raise InvalidFilterError(field, f"{field} has no time zone; give it one, UTC for instance")
