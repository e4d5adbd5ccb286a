"""What can be wrong with keys, notes and files that an auditor is given."""

from __future__ import annotations


class AuditError(Exception):
    """Something cannot be read at all; the text is one sentence with the remedy.

    A check that fails is no error: it is a finding.
    """


class KeyFormatError(AuditError):
    """A text is no key in the form of C2SP signed notes."""


class NoteFormatError(AuditError):
    """A text is no signed note, or no checkpoint."""


class ExportFormatError(AuditError):
    """A file is no export of becausal."""
