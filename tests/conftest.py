"""Both database engines for every test that asks for a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import explainer
import recommender
import storage
from databases import Postgres, running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    """Compile the causal engine and the forward passes before the first test: half a minute once, longer than a test may take."""
    explainer.warm_up()
    recommender.warm_up()


ENGINES = ("sqlite", "postgres")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server for the whole run, started by the first test that needs it."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty PostgreSQL database."""
    with postgres.new_database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database whose file is not there yet."""
    return f"sqlite:///{tmp_path / 'becausal.db'}"


@pytest.fixture(scope="session")
def migrated_postgres_url(postgres: Postgres) -> Iterator[str]:
    """A migrated PostgreSQL database to copy: faster than to migrate for every test."""
    with postgres.new_database() as url:
        storage.upgrade(url)
        yield url


@pytest.fixture(params=ENGINES)
def empty_url(request: pytest.FixtureRequest) -> str:
    """A database without tables, on each engine in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database, on each engine in turn."""
    if request.param == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
        storage.upgrade(url)
    else:
        url = request.getfixturevalue("postgres_copy")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[storage.Database]:
    """An open, migrated database, on each engine in turn."""
    with storage.Database(database_url) as opened:
        yield opened


@pytest.fixture
def explanations(database: storage.Database) -> storage.ExplanationRepository:
    """The repository of an empty, migrated database, on each engine in turn."""
    return storage.ExplanationRepository(database)


@pytest.fixture
def postgres_copy(postgres: Postgres, migrated_postgres_url: str) -> Iterator[str]:
    """A migrated PostgreSQL database."""
    with postgres.new_database(template=migrated_postgres_url) as url:
        yield url
