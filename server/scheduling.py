"""Threads for the calls that compute: no more of them work at once than there are cores, however many wait.

A thread that is done goes on with the next call by itself. Waking another would cost a change of threads for each call, and
with Python's lock in between that is a millisecond under load.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from threading import Condition, Event
from typing import TYPE_CHECKING, Any, TypeVar

from server.batching import Batcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from server.config import Batching

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Result = TypeVar("Result")

_Work = tuple["Future[Any]", "Callable[[], Any]"]


class Scheduler:
    """Has calls computed, whichever models they share. Safe in threads. Close it.

    A call works in a turn, and there are as many turns as cores. A call that runs its model keeps its turn; one that waits for
    a pass of another thread gives it away, and has one back before calls that have not begun. Passes run and graphs are learnt
    outside Python's lock.

    Args:
        settings: how many of what.
    """

    def __init__(self, settings: Batching) -> None:
        self._settings = settings
        self._cores = self._turns = settings.cores or os.cpu_count() or 1
        self._changed = Condition()
        self._waiting: deque[_Work] = deque()
        self._returning: deque[Event] = deque()
        """Of calls that gave their turn away and want one back."""

        self._begun = 0
        """Calls that have a thread."""

        self._closed = False
        self._threads = ThreadPoolExecutor(settings.calls, thread_name_prefix="explain")

    def batcher(
        self,
        answer: Callable[[Sequence[Question]], Sequence[Answer]],
        rows: Callable[[Question], int],
        *,
        side_by_side: bool = False,
    ) -> Batcher[Question, Answer]:
        """A batcher for one model, as the settings have it; whoever asks for it closes it.

        Args:
            answer: answers several questions, in their order.
            rows: how much work a question is.
            side_by_side: whether `answer` is better called by several threads than by one with all questions.
        """
        settings = self._settings
        # One for each call that has a turn, and one for questions that come from no call with a turn.
        at_once = self._cores + 1 if side_by_side else 1
        return Batcher(answer, rows, max_rows=settings.rows, at_once=at_once, delay=settings.delay_seconds)

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Have work done by one of the threads, in a turn.

        Raises:
            RuntimeError: the scheduler was closed.
        """
        future: Future[Result] = Future()
        context = copy_context()
        with self._changed:
            if self._closed:
                raise RuntimeError("The threads that compute were closed.")
            self._waiting.append((future, lambda: context.run(work)))
            self._pass_turns_on()
        return future

    def ask(
        self,
        batcher: Batcher[Question, Answer],
        question: Question,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """As `Batcher.ask`, from work that was submitted here."""
        return batcher.ask(question, cancelled, self._turn_given_away)

    def close(self) -> None:
        """Let what was submitted finish, then end the threads."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not (self._waiting or self._begun))
        self._threads.shutdown()

    @contextmanager
    def _turn_given_away(self) -> Iterator[None]:
        with self._changed:
            self._turns += 1
            self._pass_turns_on()
        try:
            yield
        finally:
            mine = Event()
            with self._changed:
                self._returning.append(mine)
                self._pass_turns_on()
            mine.wait()

    def _pass_turns_on(self) -> None:
        """Give turns that are free to whoever waits; the lock is held."""
        while self._turns and self._returning:
            self._turns -= 1
            self._returning.popleft().set()
        while self._turns and self._waiting and self._begun < self._settings.calls:
            self._turns -= 1
            self._begun += 1
            self._threads.submit(self._work, [self._waiting.popleft()])

    def _work(self, first: list[_Work]) -> None:
        # Out of a list: the pool keeps its arguments while the thread goes on, and must not keep the first call with them.
        one: _Work | None = first.pop()
        while one is not None:
            _settle(*one)
            one = None
            with self._changed:
                if self._waiting and not self._returning:
                    one = self._waiting.popleft()
                else:
                    self._turns += 1
                    self._begun -= 1
                    self._pass_turns_on()
                    self._changed.notify_all()


def _settle(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is waiting for it
        future.set_exception(error)
    else:
        future.set_result(result)
    finally:
        del future, work  # the error's trace refers to this frame
