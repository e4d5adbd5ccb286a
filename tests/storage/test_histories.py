"""Histories: in order, once each, the newest of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

import storage
from storage.models import InteractionRow

INTERACTIONS = st.lists(
    st.builds(
        storage.Interaction,
        user_id=st.sampled_from(["a", "b"]),
        item=st.sampled_from(["1", "2", "3"]),
        time=st.sampled_from([-1.5, 0.0, 0.25, 1e9]),
    ),
    max_size=12,
)


@given(first=INTERACTIONS, second=INTERACTIONS, limit=st.integers(1, 9))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_histories_equal_those_of_the_naive_twin(
    database: storage.Database, first: list[storage.Interaction], second: list[storage.Interaction], limit: int
) -> None:
    with database.writing() as connection:
        connection.execute(delete(InteractionRow))
    histories = storage.HistoryRepository(database)
    new = histories.add(first) + histories.add(second)
    kept = list(dict.fromkeys([*first, *second]))
    assert new == len(kept)
    for user in ("a", "b"):
        expected = [each.item for each in sorted(kept, key=lambda each: each.time) if each.user_id == user]
        assert histories.latest(user, limit) == tuple(expected[-limit:])


def test_loading_again_changes_nothing(database: storage.Database) -> None:
    histories = storage.HistoryRepository(database)
    many = [storage.Interaction(str(number % 7), str(number), float(number // 3)) for number in range(2000)]
    assert histories.add(many) == 2000
    before = histories.latest("3", 1000)
    assert histories.add(many) == 0
    assert histories.latest("3", 1000) == before == tuple(str(number) for number in range(3, 2000, 7))


@pytest.mark.parametrize(
    "bad",
    [
        storage.Interaction("", "1", 0.0),
        storage.Interaction("u", "", 0.0),
        storage.Interaction("u\0", "1", 0.0),
        storage.Interaction("u", "x" * 513, 0.0),
        storage.Interaction("u", "1", math.nan),
        storage.Interaction("u", "1", math.inf),
    ],
)
def test_what_cannot_be_stored_stops_the_whole_batch(database: storage.Database, bad: storage.Interaction) -> None:
    histories = storage.HistoryRepository(database)
    with pytest.raises(storage.InvalidRecordError):
        histories.add([storage.Interaction("u", "1", 0.0), bad])
    assert histories.latest("u", 9) == ()
