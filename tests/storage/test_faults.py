"""What must hold after faults: kill -9, a full disk, two writers, a clock that steps back, a killed migration.

BECAUSAL_SOAK=1 (`make soak`) runs the loops of kill -9 at full length.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import UUID

import psutil
import pytest
import uuid_utils
from sqlalchemy import event, select

import storage
from crashing import ORIGIN, SIGNER, Crash, check_all
from databases import Postgres, _get_server
from storage.models import LogEntryRow
from storage_examples import record

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

SOAK = bool(os.environ.get("BECAUSAL_SOAK"))
ROUNDS = {"sqlite": 200 if SOAK else 20, "postgres": 20 if SOAK else 2}
MOMENT = random.Random(7)  # noqa: S311 - when to kill


@pytest.mark.timeout(3600 if SOAK else 120)
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_kill_9_of_the_writer_loses_nothing_that_was_acknowledged(engine: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue(f"{engine}_url")
    storage.upgrade(url)
    acknowledged: list[UUID] = []
    for _ in range(ROUNDS[engine]):
        crash = Crash(url)
        acknowledged += crash.acknowledged(MOMENT.uniform(0, 0.15))
        acknowledged += crash.kill()
        check_all(url, acknowledged)
    assert len(acknowledged) > ROUNDS[engine]


@pytest.mark.timeout(3600 if SOAK else 120)
def test_kill_9_of_postgresql_loses_nothing_that_was_acknowledged() -> None:
    with TemporaryDirectory(prefix="becausal-pg-") as directory:
        server = _get_server()(Path(directory) / "data", cleanup_mode="delete")
        # One call instead of one for each of a thousand files: a restart takes a second instead of five.
        with (server.pgdata / "postgresql.conf").open("a") as settings:
            settings.write("recovery_init_sync_method = syncfs\n")
        sockets = Path(str(server.get_postmaster_info().socket_dir))
        try:
            with Postgres(sockets).new_database() as url:
                storage.upgrade(url)
                acknowledged: list[UUID] = []
                for _ in range(ROUNDS["postgres"]):
                    crash = Crash(url)
                    acknowledged += crash.acknowledged(MOMENT.uniform(0, 0.4))
                    kill_all(server.get_pid())
                    # A dead process that nobody has waited for passes for a running server.
                    for file in (server.pgdata / "postmaster.pid", *sockets.glob(".s.PGSQL.*")):
                        file.unlink()
                    acknowledged += crash.kill()
                    server.ensure_postgres_running()
                    check_all(url, acknowledged)
                assert len(acknowledged) > ROUNDS["postgres"]
        finally:
            server.cleanup()


def kill_all(postmaster: int) -> None:
    """SIGKILL for PostgreSQL and each of its processes, as when the machine loses its power."""
    parent = psutil.Process(postmaster)
    parent.suspend()  # no new ones meanwhile
    family = [parent, *parent.children(recursive=True)]
    for process in family:
        process.kill()
    while any(map(lives, family)):
        time.sleep(0.01)


def lives(process: psutil.Process) -> bool:
    """Whether it still runs; one that nobody has waited for does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_disk_that_fills_up_keeps_what_was_acknowledged(sqlite_url: str) -> None:
    storage.upgrade(sqlite_url)
    pages: list[int] = [0]

    def limit(connection: DBAPIConnection, _: object) -> None:
        connection.cursor().execute(f"PRAGMA max_page_count = {pages[0]}")

    with storage.Database(sqlite_url) as database:
        with database.reading() as connection:
            pages[0] = connection.exec_driver_sql("PRAGMA page_count").scalar_one() + 40
        database.close()
        event.listen(database._engine, "connect", limit)
        explanations = storage.ExplanationRepository(database)
        log = storage.AuditLog(database, ORIGIN, SIGNER)
        acknowledged: list[UUID] = []
        refused = 0
        with storage.RecordWriter(explanations) as writer:
            for _ in range(200):
                made = record(cause_items=["x" * 400])
                try:
                    writer.submit(explanations.prepare([made])).result(timeout=10)
                    acknowledged.append(made.id)
                    log.sequence()
                except storage.DatabaseUnavailableError as error:
                    assert "free some disk space" in str(error)  # noqa: PT017 - it is raised now and then
                    refused += 1
        assert acknowledged
        assert refused
        assert set(explanations.ids()) == set(acknowledged)
    check_all(sqlite_url, acknowledged)


def test_two_processes_write_and_sequence_side_by_side(database_url: str) -> None:
    crashes = [Crash(database_url) for _ in range(2)]
    acknowledged = [each for crash in crashes for each in crash.acknowledged(0.3)]
    acknowledged += [each for crash in crashes for each in crash.kill()]
    check_all(database_url, acknowledged)


def test_a_clock_that_steps_back_breaks_neither_order_nor_places(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A generator of our own: that of the process would stay ahead of its clock for the tests that follow.
    monkeypatch.setattr(storage.identifiers, "_clock", storage.identifiers._Clock())
    made = []
    with storage.Database(database_url) as database:
        explanations, log = storage.ExplanationRepository(database), storage.AuditLog(database, ORIGIN, SIGNER)
        for hours in (0, -1, 2, -5):
            milliseconds = int(1000 * (time.time() + 3600 * hours))
            first = UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)
            monkeypatch.setattr(uuid_utils, "uuid7", lambda first=first: first)
            some = [record() for _ in range(5)]
            explanations.add(some)
            log.sequence()
            made += some
        ids = [each.id for each in made]
        assert ids == sorted(ids)
        assert explanations.ids() == tuple(ids)
        # Another process whose clock is behind: its ids sort below, its places come after.
        late = record(create_time=made[0].create_time.replace(year=2020))
        explanations.add([late])
        log.sequence()
        with database.reading() as connection:
            order = connection.execute(select(LogEntryRow.id).order_by(LogEntryRow.leaf_index)).scalars().all()
        assert order == [*ids, late.id]
    check_all(database_url, [*ids, late.id])


KILLED_MIGRATION = """
import os, signal, sys
import storage
from sqlalchemy import Engine, event
done = 0
def stop(*_):
    global done
    done += 1
    if done == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(Engine, "before_cursor_execute", stop)
storage.upgrade(sys.argv[1])
"""


@pytest.mark.parametrize("statement", [4, 9, 14])
def test_a_migration_that_is_killed_leaves_the_old_schema(database_url: str, statement: int, tmp_path: Path) -> None:
    made = [record() for _ in range(3)]
    with storage.Database(database_url) as database:
        storage.ExplanationRepository(database).add(made)
    storage.downgrade(database_url, "0001")
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", KILLED_MIGRATION, database_url, str(statement)], check=False, capture_output=True
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert storage.current(database_url) == "0001"
    storage.upgrade(database_url)
    check_all(database_url, [each.id for each in made])
    if database_url.startswith("sqlite"):
        assert sqlite3.connect(tmp_path / "becausal.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_threads_that_store_and_erase_at_once_leave_whole_records(database_url: str) -> None:
    with storage.Database(database_url) as database:
        explanations, erasure = storage.ExplanationRepository(database), storage.Erasure(database)

        def store(_: int) -> list[UUID]:
            made = [record(user_id="kept"), record(user_id="gone", cause_items=["1", "2"])]
            explanations.add(made)
            return [made[0].id]

        with ThreadPoolExecutor(3) as pool:
            stored = pool.map(store, range(30))
            for _ in range(10):
                erasure.erase_user("gone", actor="clerk", reason="")
            kept = [each for ids in stored for each in ids]
        erasure.erase_user("gone", actor="clerk", reason="")
        assert set(explanations.ids()) == set(kept)
