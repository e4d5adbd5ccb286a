"""What a verification finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from becausal.audit.note import Checkpoint  # noqa: TC001 - part of the values


class Fault(StrEnum):
    """Ways in which an export can be wrong."""

    FORGED_CHECKPOINT = "FORGED_CHECKPOINT"
    """The checkpoint is not signed by the key, or the leaves are not those it was signed over."""

    EDITED_DOCUMENT = "EDITED_DOCUMENT"
    """A document is not the one that was committed to."""

    EDITED_ENTRY = "EDITED_ENTRY"
    """An entry's id, kind, commitment or index is not that of the log."""

    REMOVED_ENTRY = "REMOVED_ENTRY"
    """An entry of the log is missing."""

    REORDERED_ENTRY = "REORDERED_ENTRY"
    """An entry stands after one that the log has behind it."""

    TRUNCATED_TAIL = "TRUNCATED_TAIL"
    """Entries are missing at the end."""

    UNEXPLAINED_ERASURE = "UNEXPLAINED_ERASURE"
    """A document is gone, and no erasure entry says so."""

    ERASED_BUT_PRESENT = "ERASED_BUT_PRESENT"
    """An erasure entry names a document that is still there."""

    INCONSISTENT_HISTORY = "INCONSISTENT_HISTORY"
    """The log does not begin with what an earlier checkpoint was signed over."""

    UNREADABLE_LINE = "UNREADABLE_LINE"
    """A line of the file is not what an export holds there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault."""

    fault: Fault
    record: str
    """The explanation or entry concerned; empty where the fault is that of the whole file."""

    text: str
    """One sentence."""


@dataclass(slots=True)
class Report:
    """All that a verification found."""

    checkpoint: Checkpoint | None = None
    entries: int = 0
    documents: int = 0
    """Documents whose commitment was recomputed."""

    erased: int = 0
    key_was_given: bool = False
    """Whether the public key came from the caller; otherwise the file vouches for itself."""

    findings: list[Finding] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def add(self, fault: Fault, record: str, text: str) -> None:
        """Note a fault."""
        self.findings.append(Finding(fault, record, text))
