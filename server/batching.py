"""The micro-batcher: questions of calls that run side by side are answered together, one pass of the model at a time.

As soon as the model is free, all that waits goes into one pass, up to a number of rows; nobody waits for a timer unless the
settings say so. Knows nothing of models: questions go in, answers come out.
"""

from __future__ import annotations

import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from threading import Condition, Semaphore, Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from explainer.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.config import Batching

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Result = TypeVar("Result")

_Waiting = tuple[Question, "Future[Answer]", "Callable[[], bool]"]


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of the model."""

    questions: int
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for the model."""

    questions: int
    rows: int


class Batcher(Generic[Question, Answer]):
    """Answers questions, as many at once as there are. Safe in threads. Close it.

    Who asks while the model is free runs it at once: alone, a call need not change threads. What comes meanwhile is answered
    on a thread of the batcher's own, so that nobody works for others.

    Args:
        answer: answers several questions, in their order; what it raises for several, each is asked alone.
        rows: how much work a question is.
        max_rows: a pass ends with the question that reaches so many; no question is cut.
        delay: seconds to wait for more questions when there are fewer rows than that.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Question]], Sequence[Answer]],
        rows: Callable[[Question], int],
        *,
        max_rows: int,
        delay: float = 0.0,
    ) -> None:
        self._answer = answer
        self._rows = rows
        self._max_rows = max_rows
        self._delay = delay
        self._waiting: deque[_Waiting[Question, Answer]] = deque()
        self._changed = Condition()
        self._closed = False
        self._running = False
        """Whether a pass is under way, on whichever thread."""

        self.passes = 0
        self.questions = 0
        self.passed: Callable[[Pass], None] = lambda _: None
        """Is told of each pass, on the thread that ran it."""

        self._busy_since: float | None = None
        self._thread = Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def ask(self, question: Question, cancelled: Callable[[], bool] = lambda: False) -> Answer:
        """Wait for the answer.

        Raises:
            CancelledError: the caller had gone before the question's turn came, or the batcher was closed.
            Exception: whatever this question alone raised; those beside it have their answers.
        """
        future: Future[Answer] = Future()
        with self._changed:
            free = not (self._running or self._waiting or self._delay)
            self._queue(question, future, cancelled)
            batch = self._taken() if free else []
            if not free:
                self._wake()
        if free:
            self._pass(batch)
        return future.result()

    def submit(self, question: Question, cancelled: Callable[[], bool] = lambda: False) -> Future[Answer]:
        """As `ask`, without waiting. A future that is cancelled before its turn is not computed for.

        Raises:
            CancelledError: the batcher was closed.
        """
        future: Future[Answer] = Future()
        with self._changed:
            self._queue(question, future, cancelled)
            self._wake()
        return future

    @property
    def waiting(self) -> Queue:
        """What waits now."""
        with self._changed:
            return Queue(len(self._waiting), self._rows_waiting())

    @property
    def alive(self) -> bool:
        """Whether there is a thread that answers."""
        return self._thread.is_alive()

    @property
    def busy_seconds(self) -> float:
        """How long the pass under way has taken so far; 0 without one."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _queue(self, question: Question, future: Future[Answer], cancelled: Callable[[], bool]) -> None:
        if self._closed:
            raise CancelledError("The model was put away; nothing was decided.")
        self._waiting.append((question, future, cancelled))

    def _wake(self) -> None:
        """Have the thread look, unless a pass is under way: its end will do that."""
        if not self._running:
            self._changed.notify()

    def _run(self) -> None:
        while batch := self._next():
            self._pass(batch)

    def _next(self) -> list[_Waiting[Question, Answer]]:
        """What goes into the next pass; nothing when the batcher was closed and no question is left."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running and (self._waiting or self._closed))
            end = time.monotonic() + self._delay
            while not self._closed and self._rows_waiting() < self._max_rows and time.monotonic() < end:
                self._changed.wait(end - time.monotonic())
            return self._taken()

    def _taken(self) -> list[_Waiting[Question, Answer]]:
        """Take what goes into a pass, which is under way from now on."""
        batch: list[_Waiting[Question, Answer]] = []
        rows = 0
        while self._waiting and rows < self._max_rows:
            batch.append(self._waiting.popleft())
            rows += self._rows(batch[-1][0])
        self._running = bool(batch)
        return batch

    def _pass(self, batch: Sequence[_Waiting[Question, Answer]]) -> None:
        try:
            if asked := [one for one in batch if not self._is_gone(one)]:
                self.passes += 1
                self.questions += len(asked)
                started = self._busy_since = time.monotonic()
                self._settle(asked)
                rows = sum(self._rows(question) for question, _, _ in asked)
                self.passed(Pass(len(asked), rows, time.monotonic() - started))
        finally:
            with self._changed:
                self._busy_since = None
                self._running = False
                if self._waiting or self._closed:
                    self._changed.notify()

    def _rows_waiting(self) -> int:
        return sum(self._rows(question) for question, _, _ in self._waiting)

    def _is_gone(self, one: _Waiting[Question, Answer]) -> bool:
        _, future, cancelled = one
        if not future.set_running_or_notify_cancel():
            return True
        if cancelled():
            future.set_exception(CancelledError("The caller cancelled the explanation; nothing was decided."))
            return True
        return False

    def _settle(self, batch: Sequence[_Waiting[Question, Answer]]) -> None:
        try:
            answers = self._answer([question for question, _, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is waiting for it
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            # One question is to blame: the others must not share its fate.
            for alone in batch:
                self._settle([alone])
        else:
            for (_, future, _), answer in zip(batch, answers, strict=True):
                future.set_result(answer)


class Scheduler:
    """Threads for the calls that compute, whichever models they share.

    No more threads work at once than there are cores: besides the one that runs a model, those that have a turn, and a call that
    waits for its model gives its turn away. Graphs are learnt in a turn, outside Python's lock.

    Args:
        settings: how many of what.
    """

    def __init__(self, settings: Batching) -> None:
        self._settings = settings
        self._turns = Semaphore(max((settings.cores or os.cpu_count() or 1) - 1, 1))
        self._threads = ThreadPoolExecutor(settings.calls, thread_name_prefix="explain")

    def batcher(
        self, answer: Callable[[Sequence[Question]], Sequence[Answer]], rows: Callable[[Question], int]
    ) -> Batcher[Question, Answer]:
        """A batcher for one model, as the settings have it; whoever asks for it closes it."""
        return Batcher(answer, rows, max_rows=self._settings.rows, delay=self._settings.delay_seconds)

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Have work done by one of the threads."""
        return self._threads.submit(copy_context().run, self._in_turn, work)

    def ask(
        self,
        batcher: Batcher[Question, Answer],
        question: Question,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """As `Batcher.ask`, from work that was submitted here."""
        self._turns.release()
        try:
            return batcher.ask(question, cancelled)
        finally:
            self._turns.acquire()

    def close(self) -> None:
        """Let what was submitted finish, then end the threads."""
        self._threads.shutdown()

    def _in_turn(self, work: Callable[[], Result]) -> Result:
        with self._turns:
            return work()
