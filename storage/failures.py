"""From the errors of SQLAlchemy and the drivers to ours: the one place that knows their texts and codes."""

from __future__ import annotations

import psycopg
from psycopg import errors as postgresql
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from storage.errors import (
    DatabaseFailedError,
    DatabaseUnavailableError,
    DuplicateRecordError,
    SchemaBehindError,
    StorageError,
)

UPGRADE = "run `becausal db upgrade`"

# SQLite has one error code for these; its texts have been stable for twenty years.
_SQLITE_SCHEMA = ("no such table", "no such column", "has no column named")
_SQLITE_REMEDIES = {
    "unable to open database file": "create its directory and run `becausal db upgrade`, or correct the path",
    "database is locked": "another process is writing for too long; try again",
    "readonly database": "give this user the right to write the file and its directory",
    "disk is full": "free some disk space",
    "file is not a database": "correct the path",
    "disk image is malformed": "restore the file from a backup",
}


def translate(error: SQLAlchemyError, description: str) -> StorageError:
    """Find our error for a foreign one; `description` names the database."""
    if isinstance(error, PoolTimeoutError):
        return DatabaseUnavailableError(
            f"every connection to {description} is in use; try again or raise the pool size"
        )
    if not isinstance(error, DBAPIError):
        return DatabaseFailedError(f"{description} could not be used: {error}")
    if isinstance(error.orig, postgresql.UndefinedTable | postgresql.UndefinedColumn):
        return SchemaBehindError(f"the schema of {description} is behind; {UPGRADE}")
    if isinstance(error.orig, psycopg.Error):
        return _from_postgresql(error, description)
    return _from_sqlite(error, description)


def _from_postgresql(error: DBAPIError, description: str) -> StorageError:
    if isinstance(error.orig, postgresql.UniqueViolation):
        return _duplicate(description)
    reason = " ".join(str(error.orig).split())
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return DatabaseUnavailableError(f"{description} is not available ({reason}); check that it runs and try again")
    # The first line is the fault; the lines after it may repeat stored values.
    fault = str(error.orig).strip().partition("\n")[0]
    return DatabaseFailedError(f"{description} refused a statement ({fault})")


def _from_sqlite(error: DBAPIError, description: str) -> StorageError:
    reason = str(error.orig)
    if isinstance(error, IntegrityError) and reason.startswith("UNIQUE"):
        return _duplicate(description)
    if any(known in reason for known in _SQLITE_SCHEMA):
        return SchemaBehindError(f"the schema of {description} is behind; {UPGRADE}")
    for known, remedy in _SQLITE_REMEDIES.items():
        if known in reason:
            return DatabaseUnavailableError(f"{description} is not available ({reason}); {remedy}")
    if isinstance(error, OperationalError):
        return DatabaseUnavailableError(f"{description} is not available ({reason}); try again")
    return DatabaseFailedError(f"{description} refused a statement ({reason})")


def _duplicate(description: str) -> DuplicateRecordError:
    return DuplicateRecordError(f"{description} already holds a record of this id; records are never replaced")
