"""Records in bulk: the same rows as one by one, once whatever is done again, on both engines."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import select

import storage
from crashing import ORIGIN, SIGNER
from storage.models import ExplanationCauseRow, ExplanationRow, LogEntryRow
from storage.records import encode
from storage_examples import record

TABLES = (ExplanationRow, ExplanationCauseRow, LogEntryRow)


def everything(database: storage.Database) -> list[list[Any]]:
    with database.reading() as connection:
        return [connection.execute(select(table).order_by(*table.__table__.primary_key)).all() for table in TABLES]


def test_rows_are_those_of_a_write(database: storage.Database, explanations: storage.ExplanationRepository) -> None:
    made = [record(user_id='tab\t"\\N ü', cause_items=["a", "b"]), record(user_id="", cause_items=[])]
    batch = explanations.prepare(made)
    explanations.write(batch)
    (rows, causes, entries) = everything(database)
    storage.downgrade(str(database._url.render_as_string(hide_password=False)), "base")
    storage.upgrade(str(database._url.render_as_string(hide_password=False)))

    assert explanations.load(batch) == 2
    assert everything(database) == [rows, causes, entries]


def test_what_is_there_is_passed_over(database: storage.Database, explanations: storage.ExplanationRepository) -> None:
    made = [record(cause_items=["a"]) for _ in range(5)]
    explanations.write(explanations.prepare(made[:2]))
    before = everything(database)

    assert explanations.load(explanations.prepare(made)) == 3
    assert explanations.load(explanations.prepare(made)) == 0
    after = everything(database)
    assert [len(rows) for rows in after] == [5, 5, 5]
    assert all(set(old) <= set(new) for old, new in zip(before, after, strict=True))
    assert explanations.load(storage.Batch()) == 0


def test_what_was_erased_stays_erased(database: storage.Database, explanations: storage.ExplanationRepository) -> None:
    batch = explanations.prepare([record(user_id="7")])
    explanations.load(batch)
    storage.Erasure(database).erase_user("7", actor="test", reason="")

    assert explanations.load(batch) == 0
    assert explanations.ids() == ()


def test_documents_are_stored_as_they_are(explanations: storage.ExplanationRepository) -> None:
    made = record(cause_items=["a"])
    document = explanations.document(made).replace('{"format":1,', '{ "format" : 1, ')

    explanations.load(explanations.prepare_documents([document]))

    assert explanations.get(made.id) == made
    with explanations._database.reading() as connection:
        assert connection.execute(select(ExplanationRow.payload)).scalar_one() == document
    with pytest.raises(storage.CorruptRecordError):
        explanations.prepare_documents(["{}"])


def test_a_loaded_record_is_proved_like_any_other(
    database: storage.Database, explanations: storage.ExplanationRepository
) -> None:
    made = record()
    explanations.load(explanations.prepare_documents([encode(made)]))
    log = storage.AuditLog(database, ORIGIN, SIGNER)
    log.sequence_all()

    assert storage.AuditTrail(database).standing(made.id) is storage.Standing.INTACT
    assert log.inclusion(made.id).index == 0


def test_two_that_store_the_same_at_once(
    explanations: storage.ExplanationRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [record(), record()]
    first, second = explanations.prepare(made[:1]), explanations.prepare(made)
    looks = []

    def blind(*_: object) -> set[Any]:
        """Sees nothing at first, as when the other has not committed yet."""
        looks.append(1)
        return set() if len(looks) == 1 else {made[0].id}

    explanations.load(first)
    monkeypatch.setattr("storage.bulk._known", blind)

    assert explanations.load(second) == 1
    assert len(explanations.ids()) == 2


def test_a_copy_that_is_refused_is_an_error_of_ours(postgres_copy: str) -> None:
    with storage.Database(postgres_copy) as database:
        explanations = storage.ExplanationRepository(database)
        batch = explanations.prepare([record()])
        batch.explanations[0]["status"] = "x" * 40
        with pytest.raises(storage.DatabaseFailedError, match="value too long"):
            explanations.load(batch)
        assert explanations.ids() == ()


def test_postgresql_copies_one_time_for_each_table(postgres_copy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    whole = psycopg.Cursor.copy

    def noted(cursor: psycopg.Cursor[Any], statement: sql.Composed) -> Any:
        copied.append(statement.as_string().split()[1])
        return whole(cursor, statement)

    monkeypatch.setattr(psycopg.Cursor, "copy", noted)
    with storage.Database(postgres_copy) as database:
        explanations = storage.ExplanationRepository(database)
        explanations.load(explanations.prepare([record(cause_items=["a"]) for _ in range(3)]))

    assert copied == ['"explanations"', '"explanation_causes"', '"log_entries"']


def test_what_cannot_be_stored_has_no_document(explanations: storage.ExplanationRepository) -> None:
    for made in (record(user_id="a\0"), record(cause_items=["x" * 600])):
        with pytest.raises(storage.InvalidRecordError):
            explanations.document(made)


@pytest.mark.parametrize("digest", [bytes(32), b"\xff" * 32, bytes(range(32))])
def test_ids_follow_from_time_and_digest(digest: bytes) -> None:
    moment = datetime(2026, 11, 27, 6, 30, 0, 123_000, tzinfo=UTC)
    made = storage.id_of(moment, digest)

    assert made == storage.id_of(moment, digest)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert dataclasses.replace(record(), id=made).create_time == moment
    assert storage.id_of(moment, b"\x01" + digest[1:]) != made or digest[0] == 1
