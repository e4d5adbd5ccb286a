"""Database URLs: which are taken, how SQLite files are opened, and how a database is named in messages."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from storage.errors import InvalidDatabaseUrlError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REMEDY = "use sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"


class Backend(Enum):
    """The database engines that are supported."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


def parse(database_url: str) -> tuple[Backend, URL]:
    """Read a database URL and put in the driver.

    Raises:
        InvalidDatabaseUrlError: no URL, another engine or driver, or SQLite in memory.
    """
    # Each `from None` matters: the cause would carry the text of the URL, and with it a password.
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        raise InvalidDatabaseUrlError(f"the database URL cannot be read; {_REMEDY}") from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        return Backend.SQLITE, _sqlite(url)
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return Backend.POSTGRESQL, url.set(drivername="postgresql+psycopg")
    raise InvalidDatabaseUrlError(f"the database URL begins with {url.drivername!r}; {_REMEDY}")


def _sqlite(url: URL) -> URL:
    if url.host or url.query:
        raise InvalidDatabaseUrlError("a SQLite URL has three slashes and no options; use sqlite:///FILE")
    if url.database in (None, "", ":memory:") or str(url.database).startswith("file:"):
        raise InvalidDatabaseUrlError("records in memory would be lost; use sqlite:///FILE")
    return url.set(drivername="sqlite+pysqlite")


def sqlite_path(url: URL) -> Path:
    """Absolute path of the file of a SQLite URL from `parse`."""
    return Path(str(url.database)).absolute()


def opened(url: URL, *, create: bool) -> URL:
    """Say in a SQLite URL whether a missing file is made: only a migration makes one."""
    options: Mapping[str, str] = {"mode": "rwc" if create else "rw", "uri": "true"}
    return url.set(database=sqlite_path(url).as_uri(), query=options)


def describe(url: URL) -> str:
    """Name a database in a message: never with user, password or options."""
    if url.get_backend_name() == Backend.SQLITE.value:
        return f"the SQLite database {sqlite_path(url)}"
    # A Unix socket's directory stands among the options.
    host = url.host or url.query.get("host") or "the local socket"
    port = f":{url.port}" if url.port else ""
    return f"the PostgreSQL database {url.database or '(default)'} at {host}{port}"
