"""All that the service keeps: the writer, the audit log and what looks after it in the background."""

from __future__ import annotations

import logging
import os
import stat
import time
from collections import Counter
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Self

from becausal.audit.entries import Kind
from becausal.audit.errors import KeyFormatError
from becausal.audit.note import Signer
from server.calls import current_call
from server.config import ConfigError
from storage import (
    AuditLog,
    AuditTrail,
    Batch,
    DatabaseUnavailableError,
    Erasure,
    ExplanationRepository,
    HistoryRepository,
    LogDamagedError,
    RecordWriter,
    StorageError,
    event_entry,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from server.config import Audit
    from storage import Database, ExplanationRecord, RequestKey

logger = logging.getLogger(__name__)

SERVICE = "becausal"
"""Who acts when the service itself does."""

RETENTION_SECONDS = 600.0
"""Between two looks for records that are too old."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Read:
    """That somebody looked at stored explanations."""

    actor: str
    action: str
    """Such as "get" or "list"."""

    subject: str
    """The resource's name, or the filter."""

    user_id: str | None = None
    """The user that the subject names, if any: the entry is erased with their data."""


class Records:
    """The database side of the service. Safe in threads. Close it, or use it as a context manager.

    Args:
        database: where everything is kept.
        settings: how.

    Raises:
        ConfigError: the key file cannot be used.
    """

    def __init__(self, database: Database, settings: Audit) -> None:
        self.explanations = ExplanationRepository(database)
        self.histories = HistoryRepository(database)
        self.erasure = Erasure(database)
        self.trail = AuditTrail(database)
        self.signer = None if settings.key_file is None else read_key(settings.key_file)
        self.log = AuditLog(database, settings.origin, self.signer)
        self._settings = settings
        self._writer = RecordWriter(self.explanations, durable=settings.mode == "durable")
        self._stop = Event()
        self._keeper: Thread | None = None
        # Those to be alerted of are there from the start: what begins with 1 has not increased.
        self.sequencing_failures = Counter({LogDamagedError.__name__: 0, DatabaseUnavailableError.__name__: 0})
        """Rounds that could not carry the log on, by the name of the error."""

        self.stored: Callable[[Sequence[ExplanationRecord], float], None] = lambda _, __: None
        """Is told of explanations that were stored, or dropped, and how many seconds that took; in the caller's context,
        on the writer's thread."""

    @property
    def dropped(self) -> int:
        """Records that were answered and not stored, since the start; 0 unless audit.mode is best_effort."""
        return self._writer.dropped

    @property
    def waiting(self) -> int:
        """Batches that wait for the thread that stores them."""
        return self._writer.waiting

    @property
    def alive(self) -> bool:
        """Whether the threads that store and that put in order are there."""
        return self._writer.alive and (self._keeper is None or self._keeper.is_alive())

    def start(self) -> None:
        """Put entries in order, sign, and erase what is too old, on a thread of its own until `close`."""
        self._keeper = Thread(target=self._keep, name="audit-log", daemon=True)
        self._keeper.start()

    def store(self, records: Sequence[ExplanationRecord], request: RequestKey | None = None) -> Future[None]:
        """Hand records to the writer; the future is done when they are durable (audit.mode).

        Args:
            records: all of them are stored, or none.
            request: what they answer, where its caller may send it again.

        Raises:
            InvalidRecordError: a record cannot be stored as it is.
            DatabaseUnavailableError: too many records wait already.
        """
        trace_parent = current_call.get().trace_parent
        traced = [replace(record, trace_parent=trace_parent) for record in records] if trace_parent else records
        started = time.perf_counter()
        future = self._writer.submit(self.explanations.prepare(traced, request))
        context = copy_context()

        def done(ended: Future[None]) -> None:
            if not ended.cancelled() and ended.exception() is None:
                context.run(self.stored, records, time.perf_counter() - started)

        future.add_done_callback(done)
        return future

    def note(self, read: Read) -> Future[None]:
        """Record a read; done when it is durable. Does nothing where audit.record_reads is off."""
        if not self._settings.record_reads:
            done: Future[None] = Future()
            done.set_result(None)
            return done
        return self._writer.submit(Batch(entries=[read_entry(read)]))

    def close(self) -> None:
        """Store what waits, put it in order, and end the threads."""
        self._stop.set()
        if self._keeper is not None:
            self._keeper.join()
        self._writer.close()
        if self._keeper is not None:
            self._sequence()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _keep(self) -> None:
        waited = RETENTION_SECONDS
        while not self._stop.wait(self._settings.sequence_seconds):
            self._sequence()
            waited += self._settings.sequence_seconds
            if self._settings.retention_days is not None and waited >= RETENTION_SECONDS:
                waited = 0.0
                self._retain(timedelta(days=self._settings.retention_days))

    def _sequence(self) -> None:
        try:
            self.log.sequence_all()
        except StorageError as error:
            # The next round tries again; entries wait without harm.
            self.sequencing_failures[type(error).__name__] += 1
            logger.warning("The audit log was not carried on: %s", error)

    def _retain(self, age: timedelta) -> None:
        try:
            while self.erasure.erase_before(datetime.now(UTC) - age, actor=SERVICE).explanations:
                if self._stop.is_set():
                    return
        except StorageError as error:
            logger.warning("Old explanations were not erased: %s", error)


def read_entry(read: Read) -> dict[str, Any]:
    """The log's entry of a read."""
    facts = {"action": read.action, "actor": read.actor, "subject": read.subject}
    return event_entry(Kind.READ, facts, read.user_id)


def read_key(path: Path) -> Signer:
    """The key that signs checkpoints.

    Raises:
        ConfigError: the file is not there, holds no key, or is open to others.
    """
    try:
        if path.stat().st_mode & _OTHERS:
            raise ConfigError(f"{path} is open to other users; run `chmod 600 {path}`.")
        return Signer.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); make a key with `becausal audit keygen`.") from error
    except KeyFormatError as error:
        raise ConfigError(f"{path}: {error}") from None


def write_key(path: Path, signer: Signer) -> None:
    """Write a new private key that only its owner can read; a file that is there stays.

    Raises:
        ConfigError: the file is there already, or cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(signer.text + "\n")
    except FileExistsError:
        raise ConfigError(f"{path} is there already; give another path, so that no key is lost.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error}); give another path.") from error
