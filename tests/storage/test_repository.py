"""Records in and out of both engines: exactly, all or nothing, found by every filter, page by page."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text, update

import storage
from explainer.explanation import Explanation, Status
from storage.models import ExplanationCauseRow, ExplanationRow
from storage_examples import plain, record

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    Counter = Callable[[], AbstractContextManager[list[str]]]

EVERYTHING = storage.ExplanationFilter()

AWKWARD_TEXTS = [
    "",
    " ",
    "'; DROP TABLE explanations; --",
    '" OR "1"="1',
    "' OR '1'='1",
    "%",
    "_",
    "%s %(id)s :id $1 ?",
    "\\",
    "NULL",
    "\t\r\n",
    "Zoë 映画 🎬 e\u0301",
    # Of the greatest length in characters and in bytes, and hard to compress: it must fit in an index of PostgreSQL.
    "".join(chr(0x10000 + number * 7919 % 0xFFFFF) for number in range(512)),
]


def _count(database: storage.Database) -> int:
    with database.reading() as connection:
        return len(connection.execute(select(ExplanationRow.id)).all())


@pytest.mark.parametrize("value", AWKWARD_TEXTS)
def test_any_text_is_a_value_and_never_sql(explanations: storage.ExplanationRepository, value: str) -> None:
    odd = record(user_id=value, target_item=value, model_version=value, cause_items=[value])
    other = record()
    explanations.add([odd, other])
    assert explanations.get(odd.id) == odd
    for spec in (
        storage.ExplanationFilter(user_id=value),
        storage.ExplanationFilter(target_item=value),
        storage.ExplanationFilter(model_version=value),
        storage.ExplanationFilter(cause_item=value),
    ):
        assert explanations.list(spec, 10) == (odd,)
    assert explanations.list(EVERYTHING, 10) == (other, odd)


@pytest.mark.parametrize("value", ["a\0b", "\ud800", "x" * 513], ids=["nul", "half-a-surrogate-pair", "too-long"])
@pytest.mark.parametrize("field", ["user_id", "target_item", "model_version", "cause_items"])
def test_text_that_no_database_holds_is_refused_by_name(
    explanations: storage.ExplanationRepository, database: storage.Database, field: str, value: str
) -> None:
    changes: dict[str, Any] = {field: [value] if field == "cause_items" else value}
    with pytest.raises(storage.InvalidRecordError, match=r"characters; 512 is the most|holds a NUL") as caught:
        explanations.add([record(), record(**changes)])
    assert caught.value.field in {"user_id", "target.item", "model_version", "causes.item"}
    assert _count(database) == 0


def test_a_nul_among_the_unknown_items_is_kept(explanations: storage.ExplanationRepository) -> None:
    made = dataclasses.replace(record(), unknown_items=("a\0b",), older_history=("\0",))
    explanations.add([made])
    assert explanations.get(made.id) == made


def test_what_is_not_there_is_none_and_an_empty_list(explanations: storage.ExplanationRepository) -> None:
    explanations.add([record()])
    assert explanations.get(storage.new_id()) is None
    assert explanations.list(storage.ExplanationFilter(user_id="nobody"), 10) == ()


def test_the_create_time_in_the_table_is_that_of_the_id(
    explanations: storage.ExplanationRepository, database: storage.Database
) -> None:
    made = record(create_time=datetime(2026, 3, 29, 1, 30, 0, 123000, tzinfo=UTC))
    explanations.add([made])
    with database.reading() as connection:
        stored = connection.execute(select(ExplanationRow.create_time)).scalar_one()
    # SQLite gives back UTC without saying so.
    assert (stored if stored.tzinfo else stored.replace(tzinfo=UTC)) == made.create_time


class TestAllOrNothing:
    """Several records are one transaction."""

    def test_a_record_that_is_there_already_stops_the_others(
        self, explanations: storage.ExplanationRepository, database: storage.Database
    ) -> None:
        first = record(user_id="first")
        explanations.add([first])
        again = dataclasses.replace(record(user_id="again"), id=first.id)
        with pytest.raises(storage.DuplicateRecordError, match="records are never replaced"):
            explanations.add([record(), again, record()])
        assert _count(database) == 1
        assert explanations.get(first.id) == first

    def test_a_failure_after_the_first_table_takes_it_back(
        self, explanations: storage.ExplanationRepository, database: storage.Database
    ) -> None:
        with database.writing() as connection:
            connection.execute(text("DROP TABLE explanation_causes"))
        with pytest.raises(storage.SchemaBehindError):
            explanations.add([record()])
        assert _count(database) == 0

    def test_no_records_send_nothing(self, explanations: storage.ExplanationRepository, query_counter: Counter) -> None:
        with query_counter() as statements:
            explanations.add([])
        assert statements == []


class TestQueries:
    """No call sends more statements than it needs."""

    def test_adding_takes_one_statement_per_table(
        self, explanations: storage.ExplanationRepository, query_counter: Counter
    ) -> None:
        with query_counter() as statements:
            explanations.add([record(cause_items=["1", "2"]) for _ in range(20)])
        assert [statement.split()[:3] for statement in statements] == [
            ["INSERT", "INTO", "explanations"],
            ["INSERT", "INTO", "explanation_causes"],
            ["INSERT", "INTO", "log_entries"],
        ]

    def test_reading_takes_one(self, explanations: storage.ExplanationRepository, query_counter: Counter) -> None:
        made = [record(cause_items=["1", "2"]) for _ in range(20)]
        explanations.add(made)
        with query_counter() as statements:
            explanations.get(made[0].id)
        assert len(statements) == 1
        with query_counter() as statements:
            assert len(explanations.list(storage.ExplanationFilter(cause_item="1"), 20)) == 20
        assert len(statements) == 1


class TestCorruptRecords:
    """What was changed behind our back is not given out as a record."""

    def test_a_damaged_document_is_named_by_its_id(
        self, explanations: storage.ExplanationRepository, database: storage.Database
    ) -> None:
        made = record()
        explanations.add([made])
        with database.writing() as connection:
            connection.execute(update(ExplanationRow).values(payload="{}"))
        with pytest.raises(storage.CorruptRecordError, match=f"explanation {made.id}: "):
            explanations.get(made.id)
        with pytest.raises(storage.CorruptRecordError, match=f"explanation {made.id}: "):
            explanations.list(EVERYTHING, 1)

    def test_a_document_of_another_record_is_noticed(
        self, explanations: storage.ExplanationRepository, database: storage.Database
    ) -> None:
        first, second = record(), record()
        explanations.add([first, second])
        with database.writing() as connection:
            payload = select(ExplanationRow.payload).where(ExplanationRow.id == second.id).scalar_subquery()
            connection.execute(update(ExplanationRow).where(ExplanationRow.id == first.id).values(payload=payload))
        with pytest.raises(storage.CorruptRecordError, match=f"{first.id}: the stored document is that of {second.id}"):
            explanations.get(first.id)


def test_writers_in_threads_lose_nothing(
    explanations: storage.ExplanationRepository, database: storage.Database
) -> None:
    start = Barrier(3)

    def write(user: str) -> list[storage.ExplanationRecord]:
        start.wait(timeout=10)
        written = []
        for _ in range(30):
            batch = [record(user_id=user, cause_items=["1", "2"]) for _ in range(3)]
            explanations.add(batch)
            assert explanations.get(batch[-1].id) == batch[-1]
            written += batch
        return written

    def read() -> int:
        start.wait(timeout=10)
        # A batch is seen whole or not at all.
        return sum(len(explanations.list(EVERYTHING, 1_000)) % 3 for _ in range(30))

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, user) for user in ("a", "b")]
        reader = pool.submit(read)
        written = {user: future.result() for user, future in zip(("a", "b"), writers, strict=True)}
    assert reader.result() == 0
    for user, made in written.items():
        assert explanations.list(storage.ExplanationFilter(user_id=user), 1_000) == tuple(reversed(made))
    with database.reading() as connection:
        assert len(connection.execute(select(ExplanationCauseRow.item)).all()) == 2 * 30 * 3 * 2


def test_two_databases_of_one_file_or_server_write_side_by_side(database_url: str) -> None:
    def write(_: int) -> None:
        with storage.Database(database_url) as own:
            for _ in range(20):
                storage.ExplanationRepository(own).add([record()])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    with storage.Database(database_url) as database:
        assert _count(database) == 40


@pytest.mark.parametrize("status", Status)
def test_every_status_and_a_record_without_causes_are_stored(
    explanations: storage.ExplanationRepository, status: Status
) -> None:
    made = dataclasses.replace(record(), explanation=dataclasses.replace(plain(Explanation), status=status, causes=()))
    explanations.add([made])
    assert explanations.list(storage.ExplanationFilter(status=status), 10) == (made,)


def test_answers_are_found_by_their_request(explanations: storage.ExplanationRepository) -> None:
    request = storage.RequestKey(b"k" * 32, b"d" * 32)
    made = [record(), record()]
    explanations.write(explanations.prepare(made, request))

    assert explanations.answers(request.key) == (request.digest, tuple(made))
    assert explanations.answers(b"x" * 32) is None
    with pytest.raises(storage.DuplicateRecordError):
        explanations.write(explanations.prepare([record()], request))
    explanations.add([record(), record()])  # those without a request are in nobody's way
