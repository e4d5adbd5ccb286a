"""Turns: no more calls work at once than there are cores, none is forgotten, and none waits for ever."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from concurrent.futures import CancelledError, Future
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.config import Batching
from server.scheduling import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from server.batching import Batcher

PLACE = ContextVar("PLACE", default="nowhere")


def doubled(questions: Sequence[int]) -> list[int]:
    return [2 * question for question in questions]


@pytest.fixture(name="scheduler")
def _scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler(Batching(cores=2, calls=4))
    yield scheduler
    scheduler.close()


class Working:
    """Counts the calls that work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


@given(
    calls=st.lists(st.lists(st.integers(1, 3), max_size=3), min_size=1, max_size=12),
    cores=st.integers(1, 3),
    threads=st.integers(1, 4),
    side_by_side=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_every_call_ends_and_no_more_work_at_once_than_there_are_turns(
    *, calls: list[list[int]], cores: int, threads: int, side_by_side: bool
) -> None:
    scheduler = Scheduler(Batching(cores=cores, calls=threads))
    batcher: Batcher[int, int] = scheduler.batcher(doubled, abs, side_by_side=side_by_side)
    working = Working()

    def call(questions: list[int]) -> list[int]:
        answers = []
        with working:
            time.sleep(0.0002)
        for question in questions:
            answers.append(scheduler.ask(batcher, question))
            with working:
                time.sleep(0.0002)
        return answers

    found = [scheduler.submit(lambda questions=questions: call(questions)) for questions in calls]
    assert [one.result(30) for one in found] == [doubled(questions) for questions in calls]
    assert 1 <= working.most <= cores
    scheduler.close()
    batcher.close()


def test_a_call_that_waits_for_a_pass_of_another_gives_its_turn_away_and_has_one_back_first() -> None:
    scheduler = Scheduler(Batching(cores=1, calls=4))
    begun, let, release = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
    order: list[str] = []

    def answer(questions: Sequence[int]) -> list[int]:
        begun.release()
        assert let.acquire(timeout=30)
        return doubled(questions)

    def hold() -> None:
        order.append("has the only turn")
        assert release.wait(30)

    batcher = scheduler.batcher(answer, abs)
    busy = batcher.submit(1)
    assert begun.acquire(timeout=30)
    waiting = scheduler.submit(lambda: order.append(f"answered {scheduler.ask(batcher, 2)}"))
    holding, late = scheduler.submit(hold), scheduler.submit(lambda: order.append("late"))
    let.release(2)
    end = time.monotonic() + 30
    while not scheduler._returning:
        assert time.monotonic() < end
        time.sleep(0.001)
    release.set()

    assert [one.result(30) for one in (busy, waiting, holding, late)] == [2, None, None, None]
    assert order == ["has the only turn", "answered 4", "late"]
    scheduler.close()
    batcher.close()


def test_a_thread_goes_on_with_the_next_call(scheduler: Scheduler) -> None:
    gate = threading.Event()
    blocked = [scheduler.submit(lambda: gate.wait(30)) for _ in range(2)]
    names = [scheduler.submit(lambda: threading.current_thread().name) for _ in range(20)]
    gate.set()

    assert all(one.result(30) for one in blocked)
    assert len({one.result(30) for one in names}) <= 2


def test_a_call_that_is_taken_back_before_its_turn_is_not_computed(scheduler: Scheduler) -> None:
    gate, done = threading.Event(), list[str]()
    blocked = [scheduler.submit(lambda: gate.wait(30)) for _ in range(2)]
    back, staying = scheduler.submit(lambda: done.append("back")), scheduler.submit(lambda: done.append("staying"))
    assert back.cancel()
    gate.set()

    staying.result(30)
    assert all(one.result(30) for one in blocked)
    assert done == ["staying"]
    with pytest.raises(CancelledError):
        back.result(30)


def test_what_a_call_raises_is_its_callers_and_the_thread_goes_on(scheduler: Scheduler) -> None:
    def fail() -> None:
        raise ValueError("mine")

    failed = scheduler.submit(fail)
    with pytest.raises(ValueError, match="mine"):
        failed.result(30)
    assert scheduler.submit(lambda: "works").result(30) == "works"


def test_a_call_works_in_its_callers_context(scheduler: Scheduler) -> None:
    PLACE.set("here")
    assert scheduler.submit(PLACE.get).result(30) == "here"


def test_nothing_of_a_call_is_kept(scheduler: Scheduler) -> None:
    class Model:
        pass

    def refused(model: Model) -> Model:
        raise ValueError(str(model))

    def one(work: Callable[[Model], object]) -> weakref.ref[Model]:
        model = Model()
        asked: Future[object] = scheduler.submit(lambda: work(model))
        asked.exception(30)
        return weakref.ref(model)

    gc.disable()  # what a cycle keeps is kept for long
    try:
        kept = [one(repr), one(refused)]
        end = time.monotonic() + 10
        while any(model() for model in kept):  # the thread may still be on its way out of the call
            assert time.monotonic() < end
            time.sleep(0.001)
    finally:
        gc.enable()


def test_closing_lets_what_was_submitted_finish_and_refuses_the_rest() -> None:
    scheduler = Scheduler(Batching(cores=1, calls=1))
    found = [scheduler.submit(lambda place=place: place) for place in range(20)]
    scheduler.close()

    assert [one.result(0) for one in found] == list(range(20))
    with pytest.raises(RuntimeError, match="closed"):
        scheduler.submit(lambda: None)
