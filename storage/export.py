"""Exports and proofs as files, in the form that becausal.audit verifies without a database."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from becausal.audit.verifier import EXPORT, FORMAT, PROOF
from storage.errors import NotInLogError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from storage.log import AuditLog, LogState
    from storage.trail import AuditTrail, TrailEntry


def export_lines(trail: AuditTrail, state: LogState, public_key: str) -> Iterator[str]:
    """The log up to a signed state, one JSON object a line: header, leaf hashes, entries with their documents.

    Args:
        trail: the entries.
        state: from `AuditLog.checkpoint`.
        public_key: the key that signed it, as one line.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.
    """
    yield _line({"type": EXPORT, "format": FORMAT, "checkpoint": state.note, "public_key": public_key})
    for hashes in trail.leaves(state.size):
        yield _line({"type": "leaves", "hashes": _base64(hashes)})
    for entry in trail.entries(state.size):
        yield _line({"type": "entry", **entry_content(entry)})


def proof_file(trail: AuditTrail, log: AuditLog, entry_id: UUID, public_key: str) -> dict[str, Any]:
    """One entry with its document and the proof that it is in the log.

    Raises:
        NotInLogError: there is no entry of this id, or it waits for its place.
        NoCheckpointError: the log is not signed.
        DatabaseUnavailableError: the database cannot be reached.
    """
    proved, entry = log.inclusion(entry_id), trail.entry(entry_id)
    if entry is None:
        raise NotInLogError(f"entry {entry_id} was taken from the database meanwhile")
    siblings = [_base64(sibling) for sibling in proved.proof]
    return {
        "type": PROOF,
        "format": FORMAT,
        "checkpoint": proved.state.note,
        "public_key": public_key,
        "entry": {**entry_content(entry), "proof": siblings},
    }


def entry_content(entry: TrailEntry) -> dict[str, Any]:
    """An entry as the verifier reads it."""
    return {
        "index": entry.index,
        "id": str(entry.id),
        "kind": entry.kind,
        "commitment": entry.commitment.hex(),
        "salt": None if entry.salt is None else entry.salt.hex(),
        "document": None if entry.document is None else json.loads(entry.document),
    }


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False) + "\n"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
