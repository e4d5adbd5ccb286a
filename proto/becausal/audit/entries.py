"""Entries of the log: what is committed to, and what the tree's leaves are made of.

A commitment is SHA-256 over 32 random bytes of salt and the document's canonical JSON (RFC 8785). Without the salt it
says nothing about the document, not even to somebody who guesses it right: erasing document and salt erases all.
"""

from __future__ import annotations

import hashlib
import secrets
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import rfc8785

from becausal.audit.merkle import leaf_hash

if TYPE_CHECKING:
    from uuid import UUID

SALT_BYTES = 32


class Kind(StrEnum):
    """What an entry records."""

    EXPLANATION = "explanation"
    ERASURE = "erasure"
    """Documents of other entries were erased; it names them, and never whose they were."""

    READ = "read"
    """Somebody looked at stored explanations."""

    HOLD = "hold"
    """A user's records must not be erased."""

    RELEASE = "release"
    """They may again."""


def new_salt() -> bytes:
    """Random bytes for one commitment."""
    return secrets.token_bytes(SALT_BYTES)


def canonical(document: Any) -> bytes:
    """The RFC 8785 form of a JSON value.

    Raises:
        ValueError: a number in it is not one that JSON can carry to every reader.
    """
    return rfc8785.dumps(document)


def commitment(salt: bytes, document: Any) -> bytes:
    """What a log entry says about a document, given as a JSON value.

    Raises:
        ValueError: a number in it is not one that JSON can carry to every reader.
    """
    return hashlib.sha256(salt + canonical(document)).digest()


def entry_leaf(entry_id: UUID, kind: str, committed: bytes) -> bytes:
    """Hash of an entry's leaf: id, kind and commitment, as canonical JSON."""
    return leaf_hash(f'{{"commitment":"{committed.hex()}","id":"{entry_id}","kind":"{kind}"}}'.encode())
