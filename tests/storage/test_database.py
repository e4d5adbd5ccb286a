"""Connections: how they are set up, and one clear error for each way in which a database can be missing."""

from __future__ import annotations

import sqlite3
import traceback
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text

import storage
from storage_examples import record

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection


def _scalar(database: storage.Database, statement: str) -> object:
    with database.reading() as connection:
        return connection.execute(text(statement)).scalar_one()


def _change_and_stop(connection: Connection) -> None:
    connection.execute(text("UPDATE explanations SET user_id = 'changed'"))
    raise KeyboardInterrupt


@pytest.fixture
def sqlite_database(sqlite_url: str) -> storage.Database:
    """An open, migrated SQLite database with a short patience."""
    storage.upgrade(sqlite_url)
    return storage.Database(sqlite_url, timeout_s=0.2)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "cannot be read"),
        ("becausal.db", "cannot be read"),
        ("sqlite://", "in memory would be lost"),
        ("sqlite:///:memory:", "in memory would be lost"),
        ("sqlite:///file:x?mode=memory&uri=true", "no options"),
        ("sqlite://host/becausal.db", "three slashes"),
        ("sqlite+aiosqlite:///x.db", "begins with 'sqlite[+]aiosqlite'"),
        ("mysql://u:hunter2@h/d", "begins with 'mysql'"),
        ("postgres://u:hunter2@h/d", "begins with 'postgres'; use .*postgresql://"),
        ("postgresql+asyncpg://u:hunter2@h/d", "begins with 'postgresql[+]asyncpg'"),
        ("postgresql://u:hunter2@h:port/d", "cannot be read"),
    ],
)
def test_a_url_of_something_else_is_refused(url: str, reason: str) -> None:
    for use in (storage.Database, storage.upgrade, storage.check):
        with pytest.raises(storage.InvalidDatabaseUrlError, match=reason) as caught:
            use(url)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_postgresql_that_does_not_run_is_unavailable_and_its_password_is_kept() -> None:
    for url in ("postgresql://u:hunter2@127.0.0.1:1/d", "postgresql://u@127.0.0.1:1/d?password=hunter2"):
        for use in (lambda url: storage.Database(url).ping(), storage.upgrade, storage.current, storage.check):
            with pytest.raises(
                storage.DatabaseUnavailableError, match=r"database d at 127\.0\.0\.1:1 is not"
            ) as caught:
                use(url)
            assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_postgresql_database_that_is_not_there_is_unavailable(postgres_url: str) -> None:
    with (
        storage.Database(postgres_url.replace("/test_", "/missing_")) as database,
        pytest.raises(storage.DatabaseUnavailableError, match=r'"missing_.*" does not exist'),
    ):
        database.ping()


@pytest.mark.parametrize("place", ["missing/becausal.db", "folder", "text/becausal.db", "text"])
def test_a_path_that_cannot_hold_a_database_is_unavailable(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("This is no database. " * 100)
    url = f"sqlite:///{tmp_path / place}"
    with pytest.raises(storage.DatabaseUnavailableError, match=rf"{place} is not available \(.*\); (create|correct)"):
        storage.upgrade(url)
    with storage.Database(url) as database, pytest.raises(storage.DatabaseUnavailableError):
        storage.ExplanationRepository(database).add([record()])
    assert (tmp_path / "text").read_text().startswith("This is no database.")


def test_sqlite_is_set_up_for_lasting_writes_beside_readers(sqlite_database: storage.Database) -> None:
    with sqlite_database as database:
        assert _scalar(database, "PRAGMA journal_mode") == "wal"
        assert _scalar(database, "PRAGMA synchronous") == 2
        assert _scalar(database, "PRAGMA foreign_keys") == 1
        assert _scalar(database, "PRAGMA busy_timeout") == 200


@pytest.mark.parametrize(("setting", "used"), [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply")])
def test_postgresql_commits_reach_the_disk_before_the_answer(postgres_url: str, setting: str, used: str) -> None:
    with storage.Database(postgres_url) as database, database.writing() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = '{setting}'"))
    with storage.Database(postgres_url) as database:
        assert _scalar(database, "SHOW synchronous_commit") == used


def test_readers_go_on_while_a_writer_works(database: storage.Database) -> None:
    explanations = storage.ExplanationRepository(database)
    first, second = record(), record()
    explanations.add([first])
    with database.writing() as connection:
        connection.execute(text("UPDATE explanations SET user_id = 'changed'"))
        assert explanations.get(first.id) == first
        assert explanations.list(storage.ExplanationFilter(user_id="changed"), 10) == ()
    explanations.add([second])
    assert explanations.list(storage.ExplanationFilter(user_id="changed"), 10) == (first,)


def test_a_failed_block_leaves_nothing_and_gives_its_connection_back(database_url: str) -> None:
    with storage.Database(database_url, pool_size=1, timeout_s=1) as database:
        explanations = storage.ExplanationRepository(database)
        made = record()
        explanations.add([made])
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt), database.writing() as connection:
                _change_and_stop(connection)
        assert explanations.list(storage.ExplanationFilter(user_id="changed"), 1) == ()
        explanations.add([record()])


def test_a_lock_held_by_another_process_is_waited_for_only_so_long(
    sqlite_database: storage.Database, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "becausal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    explanations = storage.ExplanationRepository(sqlite_database)
    with sqlite_database:
        with pytest.raises(storage.DatabaseUnavailableError, match=r"locked\); another process .* try again"):
            explanations.add([record()])
        assert explanations.list(storage.ExplanationFilter(), 1) == ()
        other.close()
        explanations.add([record()])


def test_a_writer_inside_a_writer_is_told_so_and_does_not_hang(sqlite_database: storage.Database) -> None:
    explanations = storage.ExplanationRepository(sqlite_database)
    with sqlite_database:
        with (
            sqlite_database.writing(),
            pytest.raises(storage.DatabaseUnavailableError, match="busy with other writers"),
        ):
            explanations.add([record()])
        explanations.add([record()])


def test_a_pool_that_is_used_up_says_so(database_url: str) -> None:
    with (
        storage.Database(database_url, pool_size=1, timeout_s=0.1) as database,
        database.reading(),
        pytest.raises(storage.DatabaseUnavailableError, match=r"every connection .* is in use"),
    ):
        database.ping()


@pytest.mark.parametrize(
    ("pragma", "remedy"),
    [("query_only = ON", "right to write the file"), ("max_page_count = 1", "free some disk space")],
)
def test_a_sqlite_file_that_takes_no_more_is_unavailable(
    sqlite_database: storage.Database, pragma: str, remedy: str
) -> None:
    def limit(connection: DBAPIConnection, _: object) -> None:
        connection.cursor().execute(f"PRAGMA {pragma}")

    event.listen(sqlite_database._engine, "connect", limit)
    explanations = storage.ExplanationRepository(sqlite_database)
    with sqlite_database:
        with pytest.raises(storage.DatabaseUnavailableError, match=remedy):
            explanations.add([record(cause_items=["x" * 500] * 50) for _ in range(20)])
        assert explanations.list(storage.ExplanationFilter(), 100) == ()


def test_connections_that_the_server_closed_are_replaced(postgres_url: str) -> None:
    storage.upgrade(postgres_url)
    with storage.Database(postgres_url) as database, storage.Database(postgres_url) as other:
        explanations = storage.ExplanationRepository(database)
        made = record()
        explanations.add([made])
        with other.writing() as connection:
            killed = connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                    " AND datname = current_database()"
                )
            ).all()
        assert killed == [(True,)]
        assert explanations.get(made.id) == made
        explanations.add([record()])


def test_a_statement_that_cannot_work_is_no_matter_of_availability(database: storage.Database) -> None:
    with pytest.raises(storage.DatabaseFailedError, match="refused a statement"), database.writing() as connection:
        connection.execute(text("INSERT INTO explanation_causes VALUES (:id, 0, 'item')"), {"id": record().id.hex})
