"""The command's own error."""

from __future__ import annotations

from batch.errors import BatchError
from explainer.errors import ExplainerError
from recommender.errors import RecommenderError
from server.config import ConfigError
from server.errors import ModelDamagedError, RequestError
from storage.errors import StorageError


class CommandError(Exception):
    """What was asked on the command line cannot be done; the text is one sentence that says what to do."""


EXPECTED = (
    BatchError,
    CommandError,
    ConfigError,
    ExplainerError,
    ModelDamagedError,
    RecommenderError,
    RequestError,
    StorageError,
)
"""Errors whose text is one sentence for the person at the terminal; anything else is a fault and shows its trace."""
