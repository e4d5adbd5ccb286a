"""What can go wrong with an offline run. What goes wrong with one user is no error: the user is set aside.

BatchError
├── HistoriesError    the histories cannot be read at all
├── RunFolderError    the run's folder cannot be used, or belongs to another run
└── RunStoppedError   the run cannot go on; what is done is kept, and the same command goes on from there
"""

from __future__ import annotations


class BatchError(Exception):
    """Base of what this room raises on purpose; the text is one sentence with the remedy."""


class HistoriesError(BatchError):
    """There are no histories where they should be, or they are of no form that is known."""


class RunFolderError(BatchError):
    """The folder cannot be written, is in use, or holds a run of something else."""


class RunStoppedError(BatchError):
    """Ray or the place where results go does not work; nothing that was done is lost."""
