"""Explanations in and out of the database.

Every call is one transaction or one SELECT. SQL is built by SQLAlchemy from typed columns, never from strings, and
every value travels as a parameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from storage import bulk
from storage.entries import Batch, explanation_entry
from storage.errors import CorruptRecordError, DuplicateRecordError, InvalidRecordError
from storage.models import KEY_LENGTH, ExplanationRow, storable
from storage.records import decode, encode
from storage.selects import matching, page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from storage.database import Database
    from storage.filters import ExplanationFilter
    from storage.records import ExplanationRecord
    from storage.requests import RequestKey


class ExplanationRepository:
    """The stored explanations of one database. Safe in threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, records: Sequence[ExplanationRecord]) -> None:
        """Store records: all of them, on disk when this returns, or none.

        Raises:
            InvalidRecordError: a record cannot be stored as it is.
            DuplicateRecordError: the id of a record is there already.
            DatabaseUnavailableError: the database cannot be reached or written.
            SchemaBehindError: the tables are older than this program, or not there.
        """
        # Before the transaction: encoding takes longer than writing, and SQLite's other writers would wait for it.
        self.write(self.prepare(records))

    @staticmethod
    def prepare(records: Sequence[ExplanationRecord], request: RequestKey | None = None) -> Batch:
        """Make the rows of records, with the entries that commit to them in the audit log.

        Args:
            records: what to store.
            request: what they all answer, where its caller may send it again; they are found by it from then on.

        Raises:
            InvalidRecordError: a record cannot be stored as it is.
        """
        return _batch([(record, None) for record in records], request)

    @staticmethod
    def document(record: ExplanationRecord) -> str:
        """The JSON document that a record is stored as, for `prepare_documents`; all that can be wrong is found here.

        Raises:
            InvalidRecordError: the record cannot be stored as it is.
        """
        list(_cause_rows(record))
        return str(_row(record)["payload"])

    @staticmethod
    def prepare_documents(documents: Sequence[str]) -> Batch:
        """As `prepare`, for records that are written as their JSON documents already; these stay as they are.

        Raises:
            CorruptRecordError: one of them is no record's document.
            InvalidRecordError: a record cannot be stored as it is.
        """
        return _batch([(decode(document), document) for document in documents], None)

    def write(self, batch: Batch) -> None:
        """Store prepared rows: all of them, on disk when this returns, or none.

        Raises:
            DuplicateRecordError: the id of a record is there already, or an answer to the same request.
            DatabaseUnavailableError: the database cannot be reached or written.
            SchemaBehindError: the tables are older than this program, or not there.
        """
        if not len(batch):
            return
        with self._database.writing() as connection:
            batch.insert(connection)

    def load(self, batch: Batch) -> int:
        """Store those of many prepared rows that were never stored: all of them, on disk when this returns, or none.

        For work that is done again after a crash, under the same ids. What was stored and erased since is not stored again.

        Returns:
            How many records were new.

        Raises:
            DuplicateRecordError: another process keeps storing the same.
            DatabaseUnavailableError: the database cannot be reached or written.
            SchemaBehindError: the tables are older than this program, or not there.
        """
        try:
            return self._load(batch)
        except DuplicateRecordError:
            # Another process stored some of them between our look and our insert: they are seen now.
            return self._load(batch)

    def _load(self, batch: Batch) -> int:
        with self._database.writing() as connection:
            return bulk.load(connection, batch)

    def get(self, record_id: UUID) -> ExplanationRecord | None:
        """Read one record; None when there is none of this id.

        Raises:
            CorruptRecordError: what is stored under the id is not its record.
            DatabaseUnavailableError: the database cannot be reached.
            SchemaBehindError: the tables are older than this program, or not there.
        """
        statement = select(ExplanationRow.payload).where(ExplanationRow.id == record_id)
        with self._database.reading() as connection:
            payload = connection.execute(statement).scalar_one_or_none()
        return None if payload is None else _record(record_id, payload)

    def answers(self, key: bytes) -> tuple[bytes, tuple[ExplanationRecord, ...]] | None:
        """What was asked by a request, as its digest, and the records that answered it; None when nothing did.

        Raises:
            CorruptRecordError: a stored record cannot be read; the text names its id.
            DatabaseUnavailableError: the database cannot be reached.
            SchemaBehindError: the tables are older than this program, or not there.
        """
        statement = (
            select(ExplanationRow.request_digest, ExplanationRow.id, ExplanationRow.payload)
            .where(ExplanationRow.request_key == key)
            .order_by(ExplanationRow.request_ordinal)
        )
        with self._database.reading() as connection:
            rows = connection.execute(statement).all()
        if not rows:
            return None
        return rows[0][0] or b"", tuple(_record(record_id, payload) for _, record_id, payload in rows)

    def count(self, spec: ExplanationFilter, at_most: int) -> int:
        """How many records match, counted no further than `at_most`: a list says "more" and stays quick.

        Raises:
            InvalidFilterError: a text of the filter can be in no database.
            DatabaseUnavailableError: the database cannot be reached.
        """
        some = matching(select(ExplanationRow.id), spec, None).limit(at_most).subquery()
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(some)).scalar_one()

    def ids(self, after: UUID | None = None, limit: int = 10_000) -> tuple[UUID, ...]:
        """Read ids alone, oldest first.

        Args:
            after: the last id of the page before this one; None for the first page.
            limit: most ids to return.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        statement = select(ExplanationRow.id).order_by(ExplanationRow.id).limit(limit)
        if after is not None:
            statement = statement.where(ExplanationRow.id > after)
        with self._database.reading() as connection:
            return tuple(connection.execute(statement).scalars())

    def list(self, spec: ExplanationFilter, limit: int, before: UUID | None = None) -> tuple[ExplanationRecord, ...]:
        """Read the newest records that match, newest first.

        Args:
            spec: the conditions.
            limit: most records to return, 1 or more.
            before: the last id of the page before this one; None for the first page. Records stored meanwhile come
                before the first page, so pages neither repeat nor skip.

        Raises:
            InvalidFilterError: the limit is below 1, or a text of the filter can be in no database.
            CorruptRecordError: a stored record cannot be read; the text names its id.
            DatabaseUnavailableError: the database cannot be reached.
            SchemaBehindError: the tables are older than this program, or not there.
        """
        with self._database.reading() as connection:
            rows = connection.execute(page(spec, limit, before)).all()
        return tuple(_record(record_id, payload) for record_id, payload in rows)


def _batch(given: Sequence[tuple[ExplanationRecord, str | None]], request: RequestKey | None) -> Batch:
    """The rows of records, some of which are written as documents already."""
    causes = [cause for record, _ in given for cause in _cause_rows(record)]
    rows = [_row(*one) | _request(request, ordinal) for ordinal, one in enumerate(given)]
    entries = [explanation_entry(record.id, str(row["payload"])) for (record, _), row in zip(given, rows, strict=True)]
    return Batch(explanations=rows, causes=causes, entries=entries)


def _row(record: ExplanationRecord, document: str | None = None) -> dict[str, object]:
    explanation = record.explanation
    return {
        "id": record.id,
        "create_time": record.create_time,
        "user_id": _key("user_id", record.user_id),
        "target_item": _key("target.item", explanation.target.item),
        "model_version": _key("model_version", explanation.model_version),
        "status": explanation.status.value,
        "payload": encode(record) if document is None else document,
    }


def _request(request: RequestKey | None, ordinal: int) -> dict[str, object]:
    if request is None:
        return {"request_key": None, "request_ordinal": None, "request_digest": None}
    return {"request_key": request.key, "request_ordinal": ordinal, "request_digest": request.digest}


def _cause_rows(record: ExplanationRecord) -> Iterator[dict[str, object]]:
    for cause in record.explanation.causes:
        yield {
            "explanation_id": record.id,
            "position": cause.position,
            "item": _key("causes.item", cause.item),
        }


def _key(field: str, value: str) -> str:
    """Let through a text that both engines store and index alike."""
    if len(value) > KEY_LENGTH:
        raise InvalidRecordError(field, f"{field} has {len(value)} characters; {KEY_LENGTH} is the most")
    if not storable(value):
        raise InvalidRecordError(field, f"{field} holds a NUL or no Unicode text; take it out")
    return value


def _record(record_id: UUID, payload: str) -> ExplanationRecord:
    try:
        record = decode(payload)
    except CorruptRecordError as error:
        raise CorruptRecordError(f"explanation {record_id}: {error}") from None
    if record.id != record_id:
        raise CorruptRecordError(f"explanation {record_id}: the stored document is that of {record.id}")
    return record
