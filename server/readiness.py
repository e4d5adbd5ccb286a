"""Whether the server can do its work: looked at again and again, told to health checks and to /readyz with the causes."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any

import storage
from becausal.channel import AUDIT_SERVICE, EXPLANATION_SERVICE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.batching import Batcher
    from server.config import Config
    from server.records import Records

logger = logging.getLogger(__name__)

BACKLOG_AT_MOST = 100_000
"""Entries are counted no further: the count is for an alert, not for a book."""


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found."""

    name: str
    ok: bool
    cause: str = ""
    """One sentence without names of users, items, hosts or databases."""

    fatal: bool = False
    """Whether nothing but a restart helps."""


@dataclass(frozen=True, slots=True)
class _Database:
    checks: tuple[Check, ...]
    backlog: int | None = None
    error: Exception | None = None


class Readiness:
    """Looks at the model, the threads that keep records, the database and its schema.

    Args:
        config: where the database is and how long it may take.
        records: whose threads are looked at.
        batcher: the model's, whichever serves.
    """

    def __init__(self, config: Config, records: Records, batcher: Callable[[], Batcher[Any, Any]]) -> None:
        self._settings = config.admin
        self._longest_pass = config.limits.seconds
        self._durable = config.audit.mode == "durable"
        self._records = records
        self._batcher = batcher
        # A connection of its own: a busy pool is no database that is gone. SQLite's is opened anew each time, so that a
        # file that was taken away is noticed.
        self._database = storage.Database(
            config.database_url,
            pool_size=0 if config.database_url.startswith("sqlite") else 1,
            timeout_s=config.admin.check_timeout_seconds,
        )
        self._log = storage.AuditLog(self._database, config.audit.origin)
        self._asked: Future[_Database] | None = None
        self.checks: tuple[Check, ...] = ()
        self.backlog: int | None = None
        """Entries without a place in the audit log at the last look, at most `BACKLOG_AT_MOST`; None when not known."""

    def look(self) -> None:
        """Look at everything, no longer than the timeout; one caller at a time."""
        found = self._ask_database()
        was = self.checks
        self.backlog = found.backlog
        self.checks = (self._model(), self._audit(), *found.checks)
        _tell_changes(was, self.checks, found.error)

    def causes(self, service: str = "") -> tuple[str, ...]:
        """Why a service cannot work now; empty when it can. "" stands for the process: whether it must be restarted."""
        return tuple(check.cause for check in self.checks if not check.ok and self._needs(check, service))

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _needs(self, check: Check, service: str) -> bool:
        if not service:
            return check.fatal
        if check.name in {"database", "schema"}:
            # Best effort promises to answer without the database; proofs are read from it, and decisions on models.
            return self._durable or service != EXPLANATION_SERVICE
        return check.name == "audit" or service != AUDIT_SERVICE

    def _model(self) -> Check:
        batcher = self._batcher()
        if not batcher.alive:
            return Check("model", ok=False, cause="The thread that runs the model has ended; restart.", fatal=True)
        if batcher.busy_seconds > self._longest_pass:
            return Check("model", ok=False, cause=f"A pass of the model takes longer than {self._longest_pass:g} s.")
        return Check("model", ok=True)

    def _audit(self) -> Check:
        if self._records.alive:
            return Check("audit", ok=True)
        return Check("audit", ok=False, cause="A thread that keeps the audit trail has ended; restart.", fatal=True)

    def _ask_database(self) -> _Database:
        if self._asked is None:
            # No pool: its threads are waited for at the end of the process, and a database that hangs keeps this one.
            self._asked = Future()
            Thread(target=self._answer, args=(self._asked,), name="readiness", daemon=True).start()
        try:
            found = self._asked.result(self._settings.check_timeout_seconds)
        except TimeoutError as error:
            return _Database((_unreachable(), self._last_known_schema()), error=error)
        self._asked = None
        return found

    def _answer(self, asked: Future[_Database]) -> None:
        try:
            asked.set_result(self._look_at_database())
        except Exception as error:  # noqa: BLE001 - whatever it is, the looking thread raises it
            asked.set_exception(error)

    def _look_at_database(self) -> _Database:
        try:
            storage.check_open(self._database)
        except storage.SchemaAheadError:
            # A newer version has migrated and its instances are about to follow; until then somebody has to serve.
            schema = Check("schema", ok=True, cause="The schema is a newer version's; update this instance.")
        except storage.SchemaError as error:
            schema = Check(
                "schema", ok=False, cause="The schema is older than this version; run `becausal db upgrade`."
            )
            return _Database((Check("database", ok=True), schema), error=error)
        except storage.StorageError as error:
            return _Database((_unreachable(), self._last_known_schema()), error=error)
        else:
            schema = Check("schema", ok=True)
        return _Database((Check("database", ok=True), schema), self._count_backlog())

    def _count_backlog(self) -> int | None:
        try:
            return self._log.waiting(BACKLOG_AT_MOST)
        except storage.StorageError as error:
            logger.warning("The audit log's backlog could not be counted: %s", error)
            return None

    def _last_known_schema(self) -> Check:
        return _named(self.checks).get("schema", Check("schema", ok=True))


def _unreachable() -> Check:
    return Check("database", ok=False, cause="The database does not answer.")


def _named(checks: tuple[Check, ...]) -> Mapping[str, Check]:
    return {check.name: check for check in checks}


def _tell_changes(was: tuple[Check, ...], now: tuple[Check, ...], error: Exception | None) -> None:
    before = _named(was)
    for check in now:
        ok = before[check.name].ok if check.name in before else True
        if ok and not check.ok:
            logger.error("%s: %s (%s)", check.name, check.cause, error or "no details")
        elif check.ok and not ok:
            logger.info("%s: well again", check.name)
