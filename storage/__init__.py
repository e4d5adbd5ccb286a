"""The database: explanations as they were given, found again by what an auditor asks for.

storage.upgrade(url)
with storage.Database(url) as database:
    explanations = storage.ExplanationRepository(database)
    explanations.add([storage.ExplanationRecord.new(user_id="42", explanation=explanation)])
    newest = explanations.list(storage.ExplanationFilter(user_id="42"), limit=10)
"""

from storage.database import Database
from storage.errors import (
    CorruptRecordError,
    DatabaseFailedError,
    DatabaseUnavailableError,
    DuplicateRecordError,
    InvalidDatabaseUrlError,
    InvalidFilterError,
    InvalidRecordError,
    RecordError,
    SchemaAheadError,
    SchemaBehindError,
    SchemaError,
    StorageError,
)
from storage.filters import ExplanationFilter
from storage.identifiers import new_id
from storage.records import ExplanationRecord
from storage.repository import ExplanationRepository
from storage.schema import check, current, downgrade, head, upgrade

__all__ = [
    "CorruptRecordError",
    "Database",
    "DatabaseFailedError",
    "DatabaseUnavailableError",
    "DuplicateRecordError",
    "ExplanationFilter",
    "ExplanationRecord",
    "ExplanationRepository",
    "InvalidDatabaseUrlError",
    "InvalidFilterError",
    "InvalidRecordError",
    "RecordError",
    "SchemaAheadError",
    "SchemaBehindError",
    "SchemaError",
    "StorageError",
    "check",
    "current",
    "downgrade",
    "head",
    "new_id",
    "upgrade",
]
