"""The database: explanations as they were given, found again by what an auditor asks for, and proved untouched.

storage.upgrade(url)
with storage.Database(url) as database:
    explanations = storage.ExplanationRepository(database)
    explanations.add([storage.ExplanationRecord.new(user_id="42", explanation=explanation)])
    newest = explanations.list(storage.ExplanationFilter(user_id="42"), limit=10)
    log = storage.AuditLog(database, "example.com/becausal", signer)
    log.sequence()
"""

from storage.activations import Activation, ActivationRepository
from storage.database import Database
from storage.entries import Batch, event_entry
from storage.erasure import Erased, Erasure, Hold
from storage.errors import (
    CorruptRecordError,
    DatabaseFailedError,
    DatabaseUnavailableError,
    DuplicateRecordError,
    InvalidDatabaseUrlError,
    InvalidFilterError,
    InvalidRecordError,
    LegalHoldError,
    LogDamagedError,
    LogError,
    NoCheckpointError,
    NotInLogError,
    RecordError,
    SchemaAheadError,
    SchemaBehindError,
    SchemaError,
    StorageError,
)
from storage.export import export_lines, proof_file
from storage.filters import ExplanationFilter
from storage.histories import HistoryRepository, Interaction
from storage.identifiers import id_of, new_id
from storage.log import AuditLog, ConsistencyProof, InclusionProof, LogState
from storage.records import ExplanationRecord
from storage.repository import ExplanationRepository
from storage.requests import RequestKey
from storage.schema import check, check_open, current, downgrade, head, upgrade
from storage.trail import AuditTrail, Standing, TrailEntry
from storage.writer import RecordWriter

__all__ = [
    "Activation",
    "ActivationRepository",
    "AuditLog",
    "AuditTrail",
    "Batch",
    "ConsistencyProof",
    "CorruptRecordError",
    "Database",
    "DatabaseFailedError",
    "DatabaseUnavailableError",
    "DuplicateRecordError",
    "Erased",
    "Erasure",
    "ExplanationFilter",
    "ExplanationRecord",
    "ExplanationRepository",
    "HistoryRepository",
    "Hold",
    "InclusionProof",
    "Interaction",
    "InvalidDatabaseUrlError",
    "InvalidFilterError",
    "InvalidRecordError",
    "LegalHoldError",
    "LogDamagedError",
    "LogError",
    "LogState",
    "NoCheckpointError",
    "NotInLogError",
    "RecordError",
    "RecordWriter",
    "RequestKey",
    "SchemaAheadError",
    "SchemaBehindError",
    "SchemaError",
    "Standing",
    "StorageError",
    "TrailEntry",
    "check",
    "check_open",
    "current",
    "downgrade",
    "event_entry",
    "export_lines",
    "head",
    "id_of",
    "new_id",
    "proof_file",
    "upgrade",
]
