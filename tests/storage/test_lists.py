"""Lists against a naive twin, their pages while records arrive, and the indexes that serve them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text

import storage
from explainer.explanation import Status
from storage.models import Base
from storage.selects import page
from storage_examples import record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FEW = st.sampled_from(["a", "b", ""])
TIMES = st.integers(-2_500, 2_500).map(lambda microseconds: NOON + timedelta(microseconds=microseconds))
RECORDS = st.builds(
    record,
    user_id=FEW,
    target_item=FEW,
    model_version=FEW,
    status=st.sampled_from(Status),
    cause_items=st.lists(FEW, max_size=3),
    create_time=TIMES,
)
FILTERS = st.builds(
    storage.ExplanationFilter,
    user_id=st.none() | FEW,
    target_item=st.none() | FEW,
    model_version=st.none() | FEW,
    status=st.none() | st.sampled_from(Status),
    cause_item=st.none() | FEW,
    created_from=st.none() | TIMES,
    created_before=st.none() | TIMES,
)


def _matches(made: storage.ExplanationRecord, spec: storage.ExplanationFilter) -> bool:
    found = made.explanation
    return (
        spec.user_id in (None, made.user_id)
        and spec.target_item in (None, found.target.item)
        and spec.model_version in (None, found.model_version)
        and spec.status in (None, found.status)
        and (spec.cause_item is None or spec.cause_item in [cause.item for cause in found.causes])
        and (spec.created_from is None or made.create_time >= spec.created_from)
        and (spec.created_before is None or made.create_time < spec.created_before)
    )


def _naive_list(
    stored: Sequence[storage.ExplanationRecord], spec: storage.ExplanationFilter, limit: int, before: UUID | None
) -> tuple[storage.ExplanationRecord, ...]:
    newest_first = sorted(stored, key=lambda made: made.id, reverse=True)
    return tuple(made for made in newest_first if _matches(made, spec) and (before is None or made.id < before))[:limit]


@given(stored=st.lists(RECORDS, max_size=8), specs=st.lists(FILTERS, min_size=1, max_size=4), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lists_equal_those_of_the_naive_twin(
    database: storage.Database,
    stored: list[storage.ExplanationRecord],
    specs: list[storage.ExplanationFilter],
    data: st.DataObject,
) -> None:
    with database.writing() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(delete(table))
    explanations = storage.ExplanationRepository(database)
    explanations.add(stored)
    for spec in specs:
        limit = data.draw(st.integers(1, 9))
        before = data.draw(st.none() | st.sampled_from([made.id for made in stored] or [storage.new_id()]))
        assert explanations.list(spec, limit, before) == _naive_list(stored, spec, limit, before)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_pages_are_complete_and_never_repeat_while_records_arrive(
    explanations: storage.ExplanationRepository, size: int
) -> None:
    there = [record() for _ in range(21)]
    explanations.add(there)
    seen: list[storage.ExplanationRecord] = []
    before = None
    while page := explanations.list(storage.ExplanationFilter(user_id="42"), size, before):
        assert len(page) <= size
        seen += page
        before = page[-1].id
        explanations.add([record(), record(user_id="another")])
    assert seen == there[::-1]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(explanations: storage.ExplanationRepository, limit: int) -> None:
    with pytest.raises(storage.InvalidFilterError, match="give 1 or more") as caught:
        explanations.list(storage.ExplanationFilter(), limit)
    assert caught.value.field == "limit"


@pytest.mark.parametrize("field", ["user_id", "target_item", "model_version", "cause_item"])
@pytest.mark.parametrize("value", ["\0", "\udfff"], ids=["nul", "half-a-surrogate-pair"])
def test_text_that_no_database_holds_is_refused_by_name(
    explanations: storage.ExplanationRepository, field: str, value: str
) -> None:
    condition: dict[str, Any] = {field: value}
    with pytest.raises(storage.InvalidFilterError, match=f"{field} holds a NUL") as caught:
        explanations.list(storage.ExplanationFilter(**condition), 1)
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["created_from", "created_before"])
def test_a_time_without_a_zone_is_refused(field: str) -> None:
    condition: dict[str, Any] = {field: datetime(2026, 1, 1)}  # noqa: DTZ001
    with pytest.raises(storage.InvalidFilterError, match=f"{field} has no time zone") as caught:
        storage.ExplanationFilter(**condition)
    assert caught.value.field == field


def test_an_item_that_is_a_cause_twice_is_found_once(explanations: storage.ExplanationRepository) -> None:
    made = [record(cause_items=("172", "9", "172")), record(cause_items=("9", "172")), record(cause_items=("9",))]
    explanations.add(made)
    spec = storage.ExplanationFilter(cause_item="172", model_version="sha256:1")
    found = explanations.list(spec, 10)

    assert [one.id for one in found] == sorted((one.id for one in made[:2]), reverse=True)
    assert [one.id for one in explanations.list(spec, 10, before=found[0].id)] == [found[1].id]
    assert explanations.count(spec, 10) == 2


INDEXES = {
    "user_id": "ix_explanations_user_id_id",
    "target_item": "ix_explanations_target_item_id",
    "model_version": "ix_explanations_model_version_id",
    "status": "ix_explanations_status_id",
    "cause_item": "ix_explanation_causes_item_explanation_id",
    "created_before": "pk_explanations",
    "": "pk_explanations",
}


def _statement(database: storage.Database, field: str) -> str:
    values: dict[str, Any] = {"status": Status.EXPLAINED, "created_before": NOON}
    spec = storage.ExplanationFilter(**({field: values.get(field, "x")} if field else {}))
    found = page(spec, 10, storage.new_id())
    return str(found.compile(database._engine, compile_kwargs={"literal_binds": True}))


@pytest.mark.parametrize("field", INDEXES)
def test_sqlite_serves_every_filter_from_an_index_without_sorting(sqlite_url: str, field: str) -> None:
    storage.upgrade(sqlite_url)
    with storage.Database(sqlite_url) as database, database.reading() as connection:
        plan = " | ".join(
            row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {_statement(database, field)}"))
        )
    # SQLite names the index of a primary key by itself.
    assert INDEXES[field].replace("pk_explanations", "sqlite_autoindex_explanations_1") in plan
    assert "SCAN" not in plan
    assert "ORDER BY" not in plan


@pytest.mark.parametrize("field", INDEXES)
def test_postgresql_can_serve_every_filter_from_an_index_without_sorting(postgres_url: str, field: str) -> None:
    storage.upgrade(postgres_url)
    with storage.Database(postgres_url) as database, database.writing() as connection:
        # On empty tables the planner would read all and sort: ask what it can do instead.
        for way in ("enable_seqscan", "enable_sort", "enable_bitmapscan", "enable_hashagg"):
            connection.execute(text(f"SET LOCAL {way} = off"))
        plan = "\n".join(connection.execute(text(f"EXPLAIN {_statement(database, field)}")).scalars())
    assert INDEXES[field] in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
