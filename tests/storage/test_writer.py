"""Group commit: fewer transactions than calls, one bad batch harms no other, and what is shed is counted."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest

import storage
from storage_examples import record

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gate(storage.ExplanationRepository):
    """A repository whose writes wait, and are counted."""

    def __init__(self, database: storage.Database) -> None:
        super().__init__(database)
        self.open = Event()
        self.begun = Event()
        self.sizes: list[int] = []
        self.fault: Exception | None = None

    def write(self, batch: storage.Batch) -> None:
        self.begun.set()
        assert self.open.wait(10)
        if self.fault is not None:
            raise self.fault
        super().write(batch)
        self.sizes.append(len(batch))


@pytest.fixture
def gate(database: storage.Database) -> Iterator[Gate]:
    made = Gate(database)
    yield made
    made.open.set()


def test_calls_that_come_during_a_commit_share_the_next(gate: Gate) -> None:
    made = [record() for _ in range(20)]
    with storage.RecordWriter(gate) as writer:
        futures = [writer.submit(gate.prepare([made[0]]))]
        assert gate.begun.wait(10)
        futures += [writer.submit(gate.prepare([each])) for each in made[1:]]
        assert not any(future.done() for future in futures)
        gate.open.set()
        for future in futures:
            future.result(timeout=10)
    assert gate.sizes == [1, 19]
    assert all(gate.get(each.id) == each for each in made)


def test_a_batch_that_cannot_be_stored_fails_alone(gate: Gate) -> None:
    first = record()
    gate.open.set()
    gate.add([first])
    gate.open.clear()
    gate.begun.clear()
    double = dataclasses.replace(record(), id=first.id)
    others = [record() for _ in range(5)]
    with storage.RecordWriter(gate) as writer:
        futures = [writer.submit(gate.prepare([others[0]]))]
        assert gate.begun.wait(10)
        bad = writer.submit(gate.prepare([record(), double]))
        futures += [writer.submit(gate.prepare([each])) for each in others[1:]]
        gate.open.set()
        with pytest.raises(storage.DuplicateRecordError):
            bad.result(timeout=10)
        for future in futures:
            future.result(timeout=10)
    assert len(gate.list(storage.ExplanationFilter(), 100)) == 6


def test_a_dead_database_fails_every_durable_call(gate: Gate) -> None:
    gate.fault = storage.DatabaseUnavailableError("gone")
    with storage.RecordWriter(gate) as writer:
        futures = [writer.submit(gate.prepare([record()])) for _ in range(3)]
        gate.open.set()
        for future in futures:
            with pytest.raises(storage.DatabaseUnavailableError):
                future.result(timeout=10)
        assert writer.dropped == 0


def test_too_many_waiting_are_refused_when_durable(gate: Gate) -> None:
    with storage.RecordWriter(gate, waiting_at_most=2) as writer:
        writer.submit(gate.prepare([record()]))
        assert gate.begun.wait(10)
        for _ in range(2):
            writer.submit(gate.prepare([record()]))
        with pytest.raises(storage.DatabaseUnavailableError, match="too many records wait"):
            writer.submit(gate.prepare([record()]))
        gate.open.set()
    assert len(gate.list(storage.ExplanationFilter(), 10)) == 3


def test_best_effort_goes_on_and_counts_what_it_sheds(gate: Gate) -> None:
    with storage.RecordWriter(gate, durable=False, waiting_at_most=2) as writer:
        assert writer.submit(gate.prepare([record()])).done()
        assert gate.begun.wait(10)
        for _ in range(5):
            assert writer.submit(gate.prepare([record(), record()])).done()
        assert writer.dropped == 6
        gate.open.set()
    assert len(gate.list(storage.ExplanationFilter(), 10)) == 5
    assert writer.dropped == 6


def test_best_effort_counts_what_the_database_refuses(gate: Gate) -> None:
    gate.fault = storage.DatabaseUnavailableError("gone")
    gate.open.set()
    with storage.RecordWriter(gate, durable=False) as writer:
        writer.submit(gate.prepare([record(), record()])).result()
    assert writer.dropped == 2


def test_every_acknowledged_record_of_many_threads_is_there(database: storage.Database) -> None:
    explanations = storage.ExplanationRepository(database)
    with storage.RecordWriter(explanations) as writer:

        def call(_: int) -> storage.ExplanationRecord:
            made = record()
            writer.submit(explanations.prepare([made])).result(timeout=10)
            assert explanations.get(made.id) == made
            return made

        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(call, range(100)))
    assert {each.id for each in made} == set(explanations.ids())
