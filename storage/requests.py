"""Requests by which answers are found again (AIP-155)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A request that its caller may send again."""

    key: bytes
    """(32 bytes) digest of the caller and of the id that they gave it."""

    digest: bytes
    """(32 bytes) digest of what was asked."""
