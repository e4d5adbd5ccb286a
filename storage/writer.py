"""Group commit: records of calls that run side by side are stored in one transaction by one thread.

A commit waits for the disk, and the wait is the same for one record as for a hundred. While one transaction commits, the
next records gather; nobody waits for a timer.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from queue import Empty, Full, Queue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Self

from storage.entries import Batch
from storage.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from types import TracebackType

    from storage.repository import ExplanationRepository

logger = logging.getLogger(__name__)

WAITING_AT_MOST = 1024
"""Batches that may wait for the thread; at 24 kB a record that is 25 MB."""

WRITTEN_AT_ONCE = 256
"""Batches in one transaction."""

_Waiting = tuple[Batch, "Future[None]"]


class RecordWriter:
    """Stores batches on a thread of its own. Safe in threads. Close it, or use it as a context manager.

    Args:
        repository: where they go.
        durable: True makes `submit`'s future wait for the commit, and fail with it; False lets the caller go on at
            once, and sheds what cannot be stored.
        waiting_at_most: batches that may wait. A durable writer refuses more, the other drops them.
    """

    def __init__(
        self, repository: ExplanationRepository, *, durable: bool = True, waiting_at_most: int = WAITING_AT_MOST
    ) -> None:
        self._repository = repository
        self._durable = durable
        self._queue: Queue[_Waiting | None] = Queue(waiting_at_most)
        self._count = Lock()
        self._dropped = 0
        self._thread = Thread(target=self._run, name="record-writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Records that were answered and not stored, since the start; always 0 for a durable writer."""
        with self._count:
            return self._dropped

    @property
    def waiting(self) -> int:
        """Batches that wait for the thread."""
        return self._queue.qsize()

    @property
    def alive(self) -> bool:
        """Whether there is a thread that stores."""
        return self._thread.is_alive()

    def submit(self, batch: Batch) -> Future[None]:
        """Hand over a batch.

        Returns:
            Done when the batch is on disk, or failed with the reason why it is not. Of a writer that is not durable:
            done already.

        Raises:
            DatabaseUnavailableError: too many batches wait already; nothing will be stored.
        """
        future: Future[None] = Future()
        try:
            self._queue.put_nowait((batch, future))
        except Full:
            if self._durable:
                raise DatabaseUnavailableError("too many records wait to be stored; try again") from None
            self._drop(batch, "too many records wait to be stored")
            future.set_result(None)
        if self._durable:
            return future
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def close(self) -> None:
        """Store what waits, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        open_for_more = True
        while open_for_more:
            group, open_for_more = self._next_group()
            if group:
                self._store(group)

    def _next_group(self) -> tuple[list[_Waiting], bool]:
        waiting = self._queue.get()
        group: list[_Waiting] = []
        while waiting is not None:
            group.append(waiting)
            if len(group) == WRITTEN_AT_ONCE:
                return group, True
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _store(self, group: list[_Waiting]) -> None:
        try:
            self._repository.write(Batch.merged(batch for batch, _ in group))
        except DatabaseUnavailableError as error:
            # It would be the same for each of them, after as long a wait.
            self._fail(group, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers are waiting for it
            if len(group) == 1:
                self._fail(group, error)
                return
            # One batch is to blame: the others must not share its fate.
            for alone in group:
                self._store([alone])
        else:
            for _, future in group:
                future.set_result(None)

    def _fail(self, group: list[_Waiting], error: Exception) -> None:
        for batch, future in group:
            if self._durable:
                future.set_exception(error)
            else:
                self._drop(batch, error)

    def _drop(self, batch: Batch, reason: str | Exception) -> None:
        with self._count:
            self._dropped += len(batch)
        logger.warning("%d records were answered and not stored: %s", len(batch), reason)
