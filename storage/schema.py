"""The version of the tables: bring it forward, read it, check it. Alembic's part, without alembic.ini."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text

from storage import urls
from storage.database import Database, make_engine, translated, writing
from storage.errors import DatabaseUnavailableError, SchemaAheadError, SchemaBehindError
from storage.failures import UPGRADE
from storage.urls import Backend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_MIGRATIONS = Path(__file__).parent / "migrations"

_LOCK = 0x6265_6361_7573_616C
"""Key of the advisory lock that lets one migration run at a time: "becausal"."""


@cache
def head() -> str:
    """Revision of the schema that this program needs."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if newest is None:  # pragma: no cover - the package always ships migrations
        raise DatabaseUnavailableError("the package holds no migrations; install becausal-server again")
    return newest


def current(database_url: str) -> str | None:
    """Read the revision of a database's schema; None when it has none yet. Nothing is created.

    Raises:
        InvalidDatabaseUrlError: the URL names no database that becausal can use.
        DatabaseUnavailableError: the database cannot be reached.
    """
    backend, url = urls.parse(database_url)
    if backend is Backend.SQLITE and not urls.sqlite_path(url).exists():
        return None
    with Database(database_url) as database:
        return _revision(database)


def check(database_url: str) -> None:
    """Make sure that a database has the schema that this program needs. Nothing is created.

    Raises:
        SchemaBehindError: it is older, or there is none.
        SchemaAheadError: it was made by a newer becausal.
        InvalidDatabaseUrlError: the URL names no database that becausal can use.
        DatabaseUnavailableError: the database cannot be reached.
    """
    _judge(current(database_url), urls.describe(urls.parse(database_url)[1]))


def check_open(database: Database) -> None:
    """As `check`, for a database that is open.

    Raises:
        SchemaBehindError: its schema is older, or there is none.
        SchemaAheadError: its schema was made by a newer becausal.
        DatabaseUnavailableError: it cannot be reached.
    """
    _judge(_revision(database), database.description)


def _revision(database: Database) -> str | None:
    with database.reading() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _judge(found: str | None, name: str) -> None:
    needed = head()
    if found == needed:
        return
    if found is None:
        raise SchemaBehindError(f"{name} has no becausal tables yet; {UPGRADE}")
    if found not in _revisions():
        raise _ahead(name)
    raise SchemaBehindError(f"the schema of {name} is at {found} and this becausal needs {needed}; {UPGRADE}")


def upgrade(database_url: str) -> None:
    """Bring a database's schema to the newest revision, all or nothing; a missing SQLite file is made.

    Does nothing when it is there already. Several processes may call it at once: they take turns.

    Raises:
        SchemaAheadError: it was made by a newer becausal.
        InvalidDatabaseUrlError: the URL names no database that becausal can use.
        DatabaseUnavailableError: the database cannot be reached or written.
    """
    with _migrating(database_url) as config:
        command.upgrade(config, "head")


def downgrade(database_url: str, revision: str) -> None:
    """Bring a database's schema back to an older revision, or to ``"base"``: nothing at all. What it held is lost.

    Raises:
        SchemaAheadError: the schema or the revision is not one of this program's.
        InvalidDatabaseUrlError: the URL names no database that becausal can use.
        DatabaseUnavailableError: the database cannot be reached or written.
    """
    with _migrating(database_url) as config:
        command.downgrade(config, revision)


@contextmanager
def _migrating(database_url: str) -> Iterator[Config]:
    backend, url = urls.parse(database_url)
    name = urls.describe(url)
    engine = make_engine(backend, url, create=True)
    try:
        with translated(name), engine.connect() as connection, writing(connection):
            if backend is Backend.POSTGRESQL:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield _config(connection)
    except CommandError:
        raise _ahead(name) from None
    finally:
        engine.dispose()


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    # Alembic interpolates its options.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _revisions() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _ahead(name: str) -> SchemaAheadError:
    return SchemaAheadError(f"the schema of {name} was made by a newer becausal; install that version or a later one")
