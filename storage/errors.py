"""What can go wrong with the database and with what is put into it.

    StorageError
    ├── InvalidDatabaseUrlError    the URL names no database that becausal can use
    ├── DatabaseUnavailableError   the database cannot be reached, is busy, full or not writable
    ├── DatabaseFailedError        the database refused a statement that it should have taken
    ├── SchemaError
    │   ├── SchemaBehindError      the tables are older than this program, or not there yet
    │   └── SchemaAheadError       the tables were made by a newer becausal
    ├── LogError
    │   ├── LogDamagedError        the log's tree is not the one that its last checkpoint was made over
    │   ├── NotInLogError          no entry of this id, or none at this size
    │   └── NoCheckpointError      the log has no signed state to prove anything against
    └── RecordError
        ├── LegalHoldError         the user's records must not be erased
        ├── InvalidRecordError     the record cannot be stored as it is
        ├── DuplicateRecordError   a record of this id is there already
        ├── CorruptRecordError     what is stored is not a record
        └── InvalidFilterError     the list was asked for with an impossible filter

A record that is not there is ``None``, and a list without a match is empty: neither is an error. No message carries a
password, and none carries a stored value.
"""

from __future__ import annotations


class StorageError(Exception):
    """Base of everything that storage raises on purpose; the text is one sentence with the remedy."""

    def __str__(self) -> str:
        # Texts are also quoted inside others, so the full stop comes last of all.
        return super().__str__().removesuffix(".") + "."


class InvalidDatabaseUrlError(StorageError):
    """The database URL cannot be read, or names an engine that is not supported."""


class DatabaseUnavailableError(StorageError):
    """The database cannot be reached or cannot take the work now; the same call may succeed later."""


class DatabaseFailedError(StorageError):
    """The database refused a statement for a reason that trying again does not cure."""


class SchemaError(StorageError):
    """The tables do not fit this program."""


class SchemaBehindError(SchemaError):
    """The tables are older than this program, or not there yet."""


class SchemaAheadError(SchemaError):
    """The tables were made by a newer becausal."""


class RecordError(StorageError):
    """Base of what is wrong with a record or with a question about records."""


class InvalidRecordError(RecordError):
    """The record cannot be stored; ``field`` names the part that is to blame."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class DuplicateRecordError(RecordError):
    """A record of this id is stored already; nothing was written."""


class CorruptRecordError(RecordError):
    """What is stored under an id cannot be read as a record of this program's format."""


class InvalidFilterError(RecordError):
    """A list was asked for with an impossible filter; ``field`` names the part that is to blame."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class LogError(StorageError):
    """Base of what is wrong with the audit log or with a question about it."""


class LogDamagedError(LogError):
    """The log's tree was changed behind the log: nothing is signed over it any more."""


class NotInLogError(LogError):
    """The log has no entry of this id, or is not as long as that."""


class NoCheckpointError(LogError):
    """There is no checkpoint yet, or none that is signed."""


class LegalHoldError(RecordError):
    """A legal hold keeps the user's records from being erased; nothing was erased."""
