"""The command's own error."""

from __future__ import annotations


class CommandError(Exception):
    """What was asked on the command line cannot be done; the text is one sentence that says what to do."""
