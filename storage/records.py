"""The stored record of an explanation, and the one JSON document that it is stored as.

The document follows the dataclasses of `explainer.explanation` by itself: field by field, enums by value, floats to the
last bit, no defaults left out. It opens with the version of its format. A change of a field's name, type or meaning, or
a new field without a default, is a new format: raise FORMAT and keep reading the old one.
"""

# No `from __future__ import annotations` here: pydantic reads the annotations at run time.
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from explainer.explanation import Explanation
from storage.errors import CorruptRecordError, InvalidRecordError
from storage.identifiers import id_at, new_id, time_of

FORMAT: Final = 1
"""Version of the document's format that is written."""

_UUID_VERSION = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationRecord:
    """An explanation as given to one caller, with what is needed to compute it again."""

    id: UUID
    """UUIDv7."""

    user_id: str
    """The caller's name for the user; may be empty."""

    explanation: Explanation
    older_history: tuple[str, ...] = ()
    """Item tokens before the model's window, oldest first: never recommended, and what DELETE_BACKFILL brings in."""

    unknown_items: tuple[str, ...] = ()
    """Tokens of the given history that the model does not know, in the order given."""

    trace_parent: str = ""
    """The call's place in a distributed trace, as W3C Trace Context writes it; empty when it is in none."""

    def __post_init__(self) -> None:
        if self.id.version != _UUID_VERSION:
            raise InvalidRecordError("id", f"the id {self.id} is no UUIDv7; make ids with ExplanationRecord.new")

    @classmethod
    def new(
        cls,
        *,
        user_id: str,
        explanation: Explanation,
        older_history: tuple[str, ...] = (),
        unknown_items: tuple[str, ...] = (),
        create_time: datetime | None = None,
    ) -> Self:
        """Give an explanation its id.

        Args:
            user_id: the caller's name for the user; may be empty.
            explanation: what was found.
            older_history: item tokens before the model's window, oldest first.
            unknown_items: tokens of the given history that the model does not know.
            create_time: with a zone, cut to milliseconds; left out, it is now.
        """
        return cls(
            id=new_id() if create_time is None else id_at(create_time),
            user_id=user_id,
            explanation=explanation,
            older_history=older_history,
            unknown_items=unknown_items,
        )

    @property
    def create_time(self) -> datetime:
        """When the record was made, UTC, to the millisecond: the time that the id carries."""
        return time_of(self.id)


@dataclass(frozen=True, slots=True)
class _Document:
    """The outer object of the stored JSON; its settings hold for everything inside."""

    # Strict and closed: a document that this program would read with a guess or with a loss is refused.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)

    format: Literal[1]
    record: ExplanationRecord


@dataclass(frozen=True, slots=True)
class _Header:
    """The part of a document that every format has."""

    format: int


_DOCUMENT = TypeAdapter(_Document)
_HEADER = TypeAdapter(_Header)


def encode(record: ExplanationRecord) -> str:
    """Write a record as its JSON document.

    Raises:
        InvalidRecordError: a value is of another type than its field states, is no finite number, or is text that is
            no Unicode. Whatever is written can be read back: that is checked here, once per record.
    """
    # The causes of these errors quote values, which may be personal: hence `from None`, here and below.
    try:
        document = _DOCUMENT.dump_json(_Document(FORMAT, record), warnings="error")
        readable = _DOCUMENT.validate_json(document).record == record
    except (PydanticSerializationError, ValidationError) as error:
        raise InvalidRecordError("record", f"the record cannot be written as JSON: {_first_line(error)}") from None
    if not readable:
        raise InvalidRecordError("record", "the record would not be read back as it is; check the field types")
    return document.decode()


def decode(document: str) -> ExplanationRecord:
    """Read a record from its JSON document.

    Raises:
        CorruptRecordError: the text is no document of a format that this program knows.
    """
    try:
        return _DOCUMENT.validate_json(document).record
    except (ValidationError, InvalidRecordError) as error:
        raise CorruptRecordError(_reason(document, error)) from None


def _reason(document: str, error: Exception) -> str:
    try:
        found = _HEADER.validate_json(document).format
    except ValidationError:
        return "the stored document is not a becausal record"
    if found != FORMAT:
        return f"the stored document has format {found} and this becausal reads format {FORMAT}; use a newer becausal"
    return f"the stored document is damaged: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    """Say where the first fault is and of what kind, without the value: it may be personal."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}"
    if isinstance(error, PydanticSerializationError):
        return "a value has another type than its field, or is no Unicode text"
    return str(error)
