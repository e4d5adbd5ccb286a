"""What a filter asks of the tables: SELECTs that an index serves, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Select, exists, select
from sqlalchemy.orm import aliased

from storage.errors import InvalidFilterError
from storage.identifiers import first_id_from
from storage.models import ExplanationCauseRow, ExplanationRow, storable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import InstrumentedAttribute

    from storage.filters import ExplanationFilter

_Rows = TypeVar("_Rows", bound="Select[*tuple[Any, ...]]")


def page(spec: ExplanationFilter, limit: int, before: UUID | None) -> Select[UUID, str]:
    """Id and document of the newest records that match, from before an id on.

    Raises:
        InvalidFilterError: the limit is below 1, or a text of the filter can be in no database.
    """
    if limit < 1:
        raise InvalidFilterError("limit", f"the limit is {limit}; give 1 or more")
    rows = matching(select(ExplanationRow.id, ExplanationRow.payload), spec, before)
    # The two are equal, and SQLite walks an index only in the order of its own column.
    key = ExplanationRow.id if spec.cause_item is None else ExplanationCauseRow.explanation_id
    return rows.order_by(key.desc()).limit(limit)


def matching(rows: _Rows, spec: ExplanationFilter, before: UUID | None) -> _Rows:
    """Those of a SELECT's rows that match, from before an id on.

    Raises:
        InvalidFilterError: a text of the filter can be in no database.
    """
    texts = {
        "user_id": (ExplanationRow.user_id, spec.user_id),
        "target_item": (ExplanationRow.target_item, spec.target_item),
        "model_version": (ExplanationRow.model_version, spec.model_version),
        "status": (ExplanationRow.status, None if spec.status is None else spec.status.value),
    }
    for field, (column, value) in texts.items():
        if value is not None:
            rows = rows.where(column == _sought(field, value))
    if spec.cause_item is not None:
        # A join and not IN, and the bounds on both sides: the causes' index is walked, newest first, until the page is full.
        # Over IN PostgreSQL may walk through all explanations instead, when another filter stands beside it.
        cause, other = ExplanationCauseRow, aliased(ExplanationCauseRow)
        again = exists().where(
            other.explanation_id == cause.explanation_id, other.position < cause.position, other.item == cause.item
        )
        rows = rows.join(cause, cause.explanation_id == ExplanationRow.id).where(
            cause.item == _sought("cause_item", spec.cause_item), ~again, *_bounds(cause.explanation_id, spec, before)
        )
    return rows.where(*_bounds(ExplanationRow.id, spec, before))


def _bounds(
    key: InstrumentedAttribute[UUID], spec: ExplanationFilter, before: UUID | None
) -> Iterator[ColumnElement[bool]]:
    # The time of a record is the time in its id, so these use whatever index serves the rest.
    if spec.created_from is not None:
        yield key >= first_id_from(spec.created_from)
    if spec.created_before is not None:
        yield key < first_id_from(spec.created_before)
    if before is not None:
        yield key < before


def _sought(field: str, value: str) -> str:
    if not storable(value):
        raise InvalidFilterError(field, f"{field} holds a NUL or no Unicode text; take it out")
    return value
