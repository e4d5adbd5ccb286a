"""Ids order records by time, whatever the clock and the threads do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import uuid_utils
from hypothesis import given
from hypothesis import strategies as st

from storage.identifiers import first_id_from, id_at, new_id, time_of

if TYPE_CHECKING:
    import pytest

MILLISECOND = timedelta(milliseconds=1)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30), timezones=st.sampled_from([UTC]))  # noqa: DTZ001


def test_ids_are_version_7_and_carry_the_time_of_their_making() -> None:
    before = datetime.now(UTC)
    made = new_id()
    after = datetime.now(UTC)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before - MILLISECOND <= time_of(made) <= after


def test_ids_rise_within_a_thread_and_never_repeat_across_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: [new_id() for _ in range(2_000)], range(4)))
    assert all(run == sorted(run) for run in runs)
    assert len({made for run in runs for made in run}) == 8_000


def test_ids_rise_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id()
    hour_ago = uuid_utils.uuid7(nanoseconds=before.int >> 80 << 1)
    monkeypatch.setattr(uuid_utils, "uuid7", lambda: hour_ago)
    after = [new_id() for _ in range(3)]
    assert [before, *after] == sorted({before, *after})
    assert {made.version for made in after} == {7}


@given(TIMES)
def test_an_id_gives_its_time_back_to_the_millisecond(time: datetime) -> None:
    made = id_at(time)
    assert made.version == 7
    assert time_of(made) == time - timedelta(microseconds=time.microsecond % 1000)


@given(TIMES, TIMES)
def test_a_bound_on_time_is_a_bound_on_ids(time: datetime, bound: datetime) -> None:
    made = id_at(time)
    assert (made >= first_id_from(bound)) == (time_of(made) >= bound)


def test_bounds_take_any_zone_and_times_before_all_ids() -> None:
    assert first_id_from(datetime(1, 1, 1, tzinfo=UTC)).int == 0
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert first_id_from(noon.astimezone(timezone(timedelta(hours=5)))) == first_id_from(noon)
