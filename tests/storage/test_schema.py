"""Migrations on both engines: forward, back, twice, at once, half way, and what is said when they are due."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

import storage
from storage import schema
from storage.models import Base
from storage_examples import record

if TYPE_CHECKING:
    from pathlib import Path

    from alembic.config import Config


def _tables(url: str) -> set[str]:
    with storage.Database(url) as database, database.reading() as connection:
        return set(inspect(connection).get_table_names())


def test_up_down_and_up_again(empty_url: str) -> None:
    assert storage.current(empty_url) is None
    storage.upgrade(empty_url)
    assert storage.current(empty_url) == storage.head()
    assert _tables(empty_url) == {"alembic_version", *Base.metadata.tables}
    storage.downgrade(empty_url, "base")
    assert storage.current(empty_url) is None
    assert _tables(empty_url) == {"alembic_version"}
    storage.upgrade(empty_url)
    storage.check(empty_url)


def test_upgrading_again_keeps_what_is_stored(database_url: str) -> None:
    made = record()
    with storage.Database(database_url) as database:
        storage.ExplanationRepository(database).add([made])
        storage.upgrade(database_url)
        assert storage.ExplanationRepository(database).get(made.id) == made


def test_models_and_migrations_agree(database: storage.Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_constraint_and_index_is_named_by_the_convention(database: storage.Database) -> None:
    with database.reading() as connection:
        inspector = inspect(connection)
        for table in Base.metadata.tables.values():
            assert inspector.get_pk_constraint(table.name)["name"] == f"pk_{table.name}"
            assert {index["name"] for index in inspector.get_indexes(table.name)} == {i.name for i in table.indexes}
            found = {key["name"] for key in inspector.get_foreign_keys(table.name)}
            assert found == {key.name for key in table.foreign_key_constraints}


def test_a_database_without_tables_is_behind_and_stays_as_it_is(empty_url: str) -> None:
    with pytest.raises(storage.SchemaBehindError, match="no becausal tables yet; run `becausal db upgrade`"):
        storage.check(empty_url)
    assert storage.current(empty_url) is None


def test_looking_at_a_missing_sqlite_file_does_not_make_it(sqlite_url: str, tmp_path: Path) -> None:
    with pytest.raises(storage.SchemaBehindError):
        storage.check(sqlite_url)
    with storage.Database(sqlite_url) as database, pytest.raises(storage.DatabaseUnavailableError):
        database.ping()
    assert list(tmp_path.iterdir()) == []


def test_an_older_schema_is_behind(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "head", lambda: "9999")
    with pytest.raises(storage.SchemaBehindError, match=r"is at \w+ and .* needs 9999; run `becausal db upgrade`"):
        storage.check(database_url)


def test_a_schema_of_a_newer_becausal_is_left_alone(database_url: str) -> None:
    with storage.Database(database_url) as database, database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    for action in (storage.check, storage.upgrade, lambda url: storage.downgrade(url, "base")):
        with pytest.raises(storage.SchemaAheadError, match="made by a newer becausal"):
            action(database_url)
    assert storage.current(database_url) == "ffff"


def test_work_on_a_database_without_tables_says_what_to_run(empty_url: str) -> None:
    storage.upgrade(empty_url)
    storage.downgrade(empty_url, "base")
    with storage.Database(empty_url) as database:
        explanations = storage.ExplanationRepository(database)
        for work in (
            lambda: explanations.add([record()]),
            lambda: explanations.get(record().id),
            lambda: explanations.list(storage.ExplanationFilter(), 1),
        ):
            with pytest.raises(storage.SchemaBehindError, match="run `becausal db upgrade`"):
                work()


def test_a_migration_that_stops_half_way_leaves_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = command.upgrade

    def stop(config: Config, revision: str) -> None:
        real(config, revision)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", stop)
        with pytest.raises(KeyboardInterrupt):
            storage.upgrade(empty_url)
    assert _tables(empty_url) == set()
    storage.upgrade(empty_url)
    storage.check(empty_url)


def test_two_processes_may_migrate_at_once(empty_url: str) -> None:
    code = "import sys, storage; storage.upgrade(sys.argv[1])"
    running = [
        subprocess.Popen([sys.executable, "-c", code, empty_url], stderr=subprocess.PIPE, text=True)  # noqa: S603 - ours
        for _ in range(2)
    ]
    outcomes = [(process.communicate(timeout=60)[1], process.returncode) for process in running]
    assert outcomes == [("", 0), ("", 0)]
    storage.check(empty_url)


def test_migrations_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a folder").mkdir()
    monkeypatch.chdir(tmp_path / "a folder")
    storage.upgrade("sqlite:///100% becausal.db")
    storage.check("sqlite:///100% becausal.db")
    assert (tmp_path / "a folder" / "100% becausal.db").exists()
