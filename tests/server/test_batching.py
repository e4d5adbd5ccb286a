"""The micro-batcher: what waits goes together, and nobody shares a neighbour's fate."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from explainer.errors import CancelledError
from server.batching import Batcher

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future


class Held:
    """A model that doubles numbers, one pass at a time, when it is let; a negative number breaks the pass it is in."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.let = threading.Semaphore(0)
        self.passes: list[list[int]] = []

    def answer(self, questions: Sequence[int]) -> list[int]:
        self.passes.append(list(questions))
        self.begun.release()
        assert self.let.acquire(timeout=30)
        if min(questions) < 0:
            raise ValueError("no negative numbers")
        return [2 * question for question in questions]


@pytest.fixture(name="held")
def _held() -> Held:
    return Held()


@pytest.fixture(name="batcher")
def _batcher(held: Held) -> Iterator[Batcher[int, int]]:
    batcher = Batcher(held.answer, abs, max_rows=10)
    yield batcher
    held.let.release(100)
    batcher.close()


@pytest.fixture(name="callers")
def _callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as callers:
        yield callers


def wait_for(batcher: Batcher[int, int], questions: int) -> None:
    """Until so many wait."""
    end = time.monotonic() + 30
    while batcher.waiting.questions != questions:
        assert time.monotonic() < end
        time.sleep(0.001)


def queued(
    batcher: Batcher[int, int], held: Held, callers: ThreadPoolExecutor, questions: Sequence[int]
) -> list[Future[int]]:
    """Ask 1, and the others one after the other while the model is busy with it."""
    futures = [callers.submit(batcher.ask, 1)]
    assert held.begun.acquire(timeout=30)
    for place, question in enumerate(questions, start=1):
        futures.append(callers.submit(batcher.ask, question))
        wait_for(batcher, place)
    return futures


def test_what_waits_while_the_model_is_busy_goes_together(
    batcher: Batcher[int, int], held: Held, callers: ThreadPoolExecutor
) -> None:
    futures = queued(batcher, held, callers, [2, 3, 4])
    held.let.release(2)

    assert [future.result(30) for future in futures] == [2, 4, 6, 8]
    assert held.passes == [[1], [2, 3, 4]]


def test_who_finds_the_model_free_runs_it_and_nobody_runs_it_for_others(callers: ThreadPoolExecutor) -> None:
    threads: list[str] = []
    begun, let = threading.Semaphore(0), threading.Semaphore(0)

    def answer(questions: Sequence[int]) -> Sequence[int]:
        threads.append(threading.current_thread().name)
        begun.release()
        assert let.acquire(timeout=30)
        return questions

    batcher = Batcher(answer, abs, max_rows=10)
    let.release()
    batcher.ask(1)
    first = callers.submit(batcher.ask, 2)
    assert begun.acquire(timeout=30)
    assert begun.acquire(timeout=30)
    second = callers.submit(batcher.ask, 3)
    wait_for(batcher, 1)
    let.release(2)

    assert (first.result(30), second.result(30)) == (2, 3)
    batcher.close()
    mine = threading.current_thread().name
    assert threads[0] == mine
    assert threads[2] == "model"
    assert threads[1] not in {mine, "model"}


def test_many_callers_one_pass_at_a_time(callers: ThreadPoolExecutor) -> None:
    running = threading.Lock()

    def answer(questions: Sequence[int]) -> list[int]:
        assert running.acquire(blocking=False)
        time.sleep(0.0001)
        running.release()
        return [2 * question for question in questions]

    batcher = Batcher(answer, lambda _: 1, max_rows=4)

    def asks(start: int) -> list[int]:
        return [
            batcher.ask(number) if number % 3 else batcher.submit(number).result(30) for number in range(start, 200)
        ]

    found = [callers.submit(asks, start) for start in range(16)]
    assert [one.result(60) for one in found] == [[2 * number for number in range(start, 200)] for start in range(16)]
    batcher.close()
    assert not batcher.alive


def test_a_pass_ends_with_the_question_that_fills_it(
    batcher: Batcher[int, int], held: Held, callers: ThreadPoolExecutor
) -> None:
    futures = queued(batcher, held, callers, [4, 20, 5, 6])
    held.let.release(3)

    assert [future.result(30) for future in futures] == [2, 8, 40, 10, 12]
    assert held.passes == [[1], [4, 20], [5, 6]]


def test_a_question_that_fails_fails_alone(batcher: Batcher[int, int], held: Held, callers: ThreadPoolExecutor) -> None:
    futures = queued(batcher, held, callers, [2, -3, 4])
    held.let.release(5)

    with pytest.raises(ValueError, match="no negative"):
        futures[2].result(30)
    assert [futures[place].result(30) for place in (0, 1, 3)] == [2, 4, 8]
    assert held.passes == [[1], [2, -3, 4], [2], [-3], [4]]


def test_a_caller_that_has_gone_is_not_computed_for_and_its_mates_are(
    batcher: Batcher[int, int], held: Held, callers: ThreadPoolExecutor
) -> None:
    first = callers.submit(batcher.ask, 1)
    assert held.begun.acquire(timeout=30)
    gone = threading.Event()
    leaving = callers.submit(batcher.ask, 2, gone.is_set)
    staying = callers.submit(batcher.ask, 3)
    wait_for(batcher, 2)
    gone.set()
    held.let.release(2)

    assert (first.result(30), staying.result(30)) == (2, 6)
    with pytest.raises(CancelledError):
        leaving.result(30)
    assert held.passes == [[1], [3]]


def test_a_question_that_is_taken_back_is_not_computed(
    batcher: Batcher[int, int], held: Held, callers: ThreadPoolExecutor
) -> None:
    first = callers.submit(batcher.ask, 1)
    assert held.begun.acquire(timeout=30)
    back, staying = batcher.submit(2), batcher.submit(3)
    assert back.cancel()
    held.let.release(2)

    assert (first.result(30), staying.result(30)) == (2, 6)
    assert held.passes == [[1], [3]]


def test_closing_answers_what_waits_and_refuses_the_rest(held: Held, callers: ThreadPoolExecutor) -> None:
    batcher = Batcher(held.answer, abs, max_rows=10)
    futures = queued(batcher, held, callers, [2])
    held.let.release(2)
    batcher.close()

    assert [future.result(30) for future in futures] == [2, 4]
    with pytest.raises(CancelledError, match="put away"):
        batcher.ask(5)


def test_with_a_delay_a_free_model_waits_for_a_full_pass(held: Held, callers: ThreadPoolExecutor) -> None:
    batcher = Batcher(held.answer, abs, max_rows=3, delay=30)
    held.let.release(1)
    futures = [callers.submit(batcher.ask, question) for question in (1, 2)]

    assert sorted(future.result(25) for future in futures) == [2, 4]
    assert len(held.passes) == 1
    batcher.close()


def test_a_model_that_is_better_asked_by_several_threads_joins_what_none_is_free_for(
    held: Held, callers: ThreadPoolExecutor
) -> None:
    batcher = Batcher(held.answer, abs, max_rows=10, at_once=2)
    running = [callers.submit(batcher.ask, question) for question in (1, 2)]
    for _ in running:
        assert held.begun.acquire(timeout=30)
    waiting = []
    for place, question in enumerate((3, 4), start=1):
        waiting.append(callers.submit(batcher.ask, question))
        wait_for(batcher, place)
    held.let.release(3)

    assert [future.result(30) for future in running + waiting] == [2, 4, 6, 8]
    assert sorted(held.passes[:2]) == [[1], [2]]
    assert held.passes[2] == [3, 4]
    batcher.close()


def test_the_longest_pass_under_way_is_known(held: Held, callers: ThreadPoolExecutor) -> None:
    batcher = Batcher(held.answer, abs, max_rows=10, at_once=2)
    assert batcher.busy_seconds == 0
    first = callers.submit(batcher.ask, 1)
    assert held.begun.acquire(timeout=30)
    time.sleep(0.05)
    second = callers.submit(batcher.ask, 2)
    assert held.begun.acquire(timeout=30)
    assert batcher.busy_seconds >= 0.05

    held.let.release(2)
    assert (first.result(30), second.result(30)) == (2, 4)
    batcher.close()
    assert batcher.busy_seconds == 0
