"""Connections: one pool per process, transactions for writing, and foreign errors turned into ours.

Synchronous on purpose. A gRPC call that is cancelled cancels its task, and a cancelled asynchronous driver may lose its
connection or give it back in the middle of a statement; a thread that writes finishes what it began.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager, nullcontext
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import NullPool, QueuePool, create_engine, event, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import SQLAlchemyError

from storage import urls
from storage.errors import DatabaseUnavailableError
from storage.failures import translate
from storage.urls import Backend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from sqlalchemy import URL, Connection, Engine, Insert
    from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
    from sqlalchemy.orm import DeclarativeBase
    from sqlalchemy.pool import ConnectionPoolEntry

_WRITING = "becausal_writing"

WAL_PAUSE_S = 0.01
"""Between two tries to switch a file that another process is opening."""

_LOG_LOCK = 0x6265_6361_756C_6F67
"""Key of the advisory lock on the audit log: "becaulog"."""


class Database:
    """A database that has been migrated, and the small pool of connections to it.

    Nothing is opened before the first use. Safe in threads. Close it, or use it as a context manager.

    Args:
        database_url: ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``. A missing SQLite file is
            not made: that is for `storage.upgrade`.
        pool_size: most connections at a time; further threads wait.
        timeout_s: longest wait for a free connection, for the server to answer a connect, and for another writer
            of a SQLite file, in seconds each.

    Raises:
        InvalidDatabaseUrlError: the URL names no database that becausal can use.
    """

    def __init__(self, database_url: str, *, pool_size: int = 5, timeout_s: float = 10.0) -> None:
        self._backend, self._url = urls.parse(database_url)
        self._engine = make_engine(self._backend, self._url, pool_size=pool_size, timeout_s=timeout_s)
        # PostgreSQL reads need no transaction: one statement sees one snapshot, and BEGIN and ROLLBACK are round trips.
        self._reader = (
            self._engine.execution_options(isolation_level="AUTOCOMMIT")
            if self._backend is Backend.POSTGRESQL
            else self._engine
        )
        self._timeout_s = timeout_s
        self._turn = Lock()

    @property
    def description(self) -> str:
        """Name of the database for messages, without user and password."""
        return urls.describe(self._url)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for one SELECT.

        Raises:
            DatabaseUnavailableError: the database cannot be reached or is busy for longer than the timeout.
            SchemaBehindError: the tables are older than this program, or not there.
            DatabaseFailedError: the statement was refused.
        """
        with self._translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection inside a transaction, committed at the end and rolled back on any exception.

        What was written is on disk when this returns. Not to be nested: a transaction does not see into another.

        Raises:
            DatabaseUnavailableError: the database cannot be reached, is full, read-only, or busy for too long.
            SchemaBehindError: the tables are older than this program, or not there.
            DuplicateRecordError: a row of this key is there already.
            DatabaseFailedError: a statement was refused.
        """
        with (
            self._turn_to_write() if self._backend is Backend.SQLITE else nullcontext(),
            self._translated(),
            self._engine.connect() as connection,
            writing(connection),
        ):
            yield connection

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        # SQLite has one writer at a time and lets the others poll with growing sleeps; a line within the process
        # wakes the next one at once. Other processes still meet at SQLite's own lock.
        if not self._turn.acquire(timeout=self._timeout_s):
            raise DatabaseUnavailableError(f"{self.description} is busy with other writers; try again")
        try:
            yield
        finally:
            self._turn.release()

    def take_log_lock(self, connection: Connection) -> None:
        """Wait until no other transaction changes the order of the audit log, erases or holds; until this one ends.

        SQLite's writers are alone from their BEGIN.
        """
        if self._backend is Backend.POSTGRESQL:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOG_LOCK})

    def insert_new(self, table: type[DeclarativeBase]) -> Insert:
        """An INSERT that passes over rows whose key is there already."""
        make = sqlite_insert if self._backend is Backend.SQLITE else postgresql_insert
        return make(table).on_conflict_do_nothing()

    def scrub(self) -> None:
        """Take what was deleted out of SQLite's journal too; PostgreSQL's VACUUM does that on the server's own time."""
        if self._backend is Backend.SQLITE:
            with self._turn_to_write(), self._translated(), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            DatabaseUnavailableError: it gives none within the timeout.
        """
        with self.reading() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close the pool; connections in use are closed when they come back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translated(self.description):
            yield


@contextmanager
def translated(description: str) -> Iterator[None]:
    """Turn errors of SQLAlchemy and its drivers into those of `storage.errors`."""
    try:
        yield
    except SQLAlchemyError as error:
        raise translate(error, description) from error


@contextmanager
def writing(connection: Connection) -> Iterator[None]:
    """Hold a transaction that has the right to write from its start; commit at the end, roll back on an exception."""
    connection.execution_options(**{_WRITING: True})
    with connection.begin():
        yield


def make_engine(
    backend: Backend, url: URL, *, pool_size: int = 0, timeout_s: float = 10.0, create: bool = False
) -> Engine:
    """Make the engine for a URL from `urls.parse`.

    Args:
        backend: what the URL names.
        url: where the database is.
        pool_size: most connections; 0 stands for no pool, every connection closed after use.
        timeout_s: longest wait for a connection or for SQLite's lock, in seconds.
        create: whether a missing SQLite file is made.
    """
    pool: dict[str, Any] = {"poolclass": NullPool}
    if pool_size:
        pool = {"poolclass": QueuePool, "pool_size": pool_size, "max_overflow": 0, "pool_timeout": timeout_s}
    # Parameters are personal data: they stay out of error texts and logs.
    if backend is Backend.SQLITE:
        engine = create_engine(
            urls.opened(url, create=create),
            hide_parameters=True,
            connect_args={"timeout": timeout_s, "check_same_thread": False},
            **pool,
        )
        event.listen(engine, "connect", partial(_prepare_sqlite, timeout_s))
        event.listen(engine, "begin", _begin_sqlite)
    else:
        engine = create_engine(
            url, hide_parameters=True, pool_pre_ping=True, connect_args=_postgresql_options(url, timeout_s), **pool
        )
        event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _postgresql_options(url: URL, timeout_s: float) -> dict[str, str | int]:
    options: dict[str, str | int] = {
        "application_name": "becausal",
        "connect_timeout": max(2, round(timeout_s)),  # libpq takes whole seconds, 2 at least
        # A host that vanished without a word would hold a thread for a quarter of an hour; milliseconds.
        "tcp_user_timeout": round(timeout_s * 1000),
    }
    return {name: value for name, value in options.items() if name not in url.query}


def _prepare_sqlite(timeout_s: float, connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver must not open transactions by itself: `_begin_sqlite` does.
    connection.isolation_level = None
    cursor = connection.cursor()
    _use_wal(cursor, timeout_s)
    # WAL's usual NORMAL may lose the last commits on a power cut; an answer promises that its record is kept.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # What is erased is overwritten, not only unlinked.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


def _use_wal(cursor: DBAPICursor, timeout_s: float) -> None:
    """Readers and the writer do not wait for each other. The mode is kept in the file."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # SQLite does not wait for this lock by itself: two processes that open a new file at once would both.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= end:
                raise
            time.sleep(WAL_PAUSE_S)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that takes the write lock only at its first write fails, without waiting, when another came first.
    # A single SELECT needs no transaction.
    if connection.get_execution_options().get(_WRITING):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_postgresql(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # "Off" answers before the commit is on disk. Stronger settings of the operator (remote_apply) stay as they are.
    cursor = connection.cursor()
    cursor.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    cursor.close()
    connection.commit()
