"""The micro-batcher: questions of calls that run side by side are answered together when the model is busy.

As soon as the model is free, all that waits goes into one pass, up to a number of rows; nobody waits for a timer unless the
settings say so. Knows nothing of models: questions go in, answers come out.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from explainer.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

Question = TypeVar("Question")
Answer = TypeVar("Answer")

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
        at_once: the model is busy with so many passes, each on a thread of its own.
        delay: seconds to wait for more questions when there are fewer rows than that.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Question]], Sequence[Answer]],
        rows: Callable[[Question], int],
        *,
        max_rows: int,
        at_once: int = 1,
        delay: float = 0.0,
    ) -> None:
        self._answer = answer
        self._rows = rows
        self._max_rows = max_rows
        self._at_once = at_once
        self._delay = delay
        self._waiting: deque[_Waiting[Question, Answer]] = deque()
        self._changed = Condition()
        self._closed = False
        self._running: list[float] = []
        """When each pass that is under way began, on whichever thread."""

        self.passed: Callable[[Pass], None] = lambda _: None
        """Is told of each pass, on the thread that ran it."""

        self._thread = Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def ask(
        self,
        question: Question,
        cancelled: Callable[[], bool] = lambda: False,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Answer:
        """Wait for the answer.

        Args:
            question: what to answer.
            cancelled: whether the caller has gone.
            waiting: around the time in which another thread works for this one.

        Raises:
            CancelledError: the caller had gone before the question's turn came, or the batcher was closed.
            Exception: whatever this question alone raised; those beside it have their answers.
        """
        future: Future[Answer] = Future()
        with self._changed:
            free = self._free and not (self._waiting or self._delay)
            self._queue(question, future, cancelled)
            taken = self._taken() if free else None
            if taken is None:
                self._wake()
        if taken is None:
            with waiting():
                return future.result()
        self._pass(*taken)
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
        """How long the longest pass under way has taken so far; 0 without one."""
        with self._changed:
            return time.monotonic() - min(self._running) if self._running else 0.0

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    @property
    def _free(self) -> bool:
        """Whether another pass may begin."""
        return len(self._running) < self._at_once

    def _queue(self, question: Question, future: Future[Answer], cancelled: Callable[[], bool]) -> None:
        if self._closed:
            raise CancelledError("The model was put away; nothing was decided.")
        self._waiting.append((question, future, cancelled))

    def _wake(self) -> None:
        """Have the thread look, unless the model is busy: the end of a pass will do that."""
        if self._free:
            self._changed.notify()

    def _run(self) -> None:
        while taken := self._next():
            self._pass(*taken)

    def _next(self) -> tuple[list[_Waiting[Question, Answer]], float] | None:
        """What goes into the next pass, and when that began; None when the batcher was closed and no question is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._free and (self._waiting or self._closed))
            end = time.monotonic() + self._delay
            while not self._closed and self._rows_waiting() < self._max_rows and time.monotonic() < end:
                self._changed.wait(end - time.monotonic())
            return self._taken() if self._waiting else None

    def _taken(self) -> tuple[list[_Waiting[Question, Answer]], float]:
        """Take what goes into a pass, which is under way from now on."""
        batch: list[_Waiting[Question, Answer]] = []
        rows = 0
        while self._waiting and rows < self._max_rows:
            batch.append(self._waiting.popleft())
            rows += self._rows(batch[-1][0])
        started = time.monotonic()
        self._running.append(started)
        return batch, started

    def _pass(self, batch: Sequence[_Waiting[Question, Answer]], started: float) -> None:
        try:
            if asked := [one for one in batch if not self._is_gone(one)]:
                self._settle(asked)
                rows = sum(self._rows(question) for question, _, _ in asked)
                self.passed(Pass(len(asked), rows, time.monotonic() - started))
        finally:
            with self._changed:
                self._running.remove(started)
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
