"""What can be wrong with what the explainer is given.

    ExplainerError
    ├── InvalidAttentionError    the attention matrix is not one
    ├── InvalidCorrelationError  the correlation matrix is not one
    ├── InvalidParameterError    a setting is out of its range
    ├── EmptyHistoryError        there is nothing to explain from
    ├── NothingLeftError         the user has had everything, so nothing is recommended
    ├── TargetInHistoryError     the target is never recommended: the user already has it
    ├── TargetOutsideTopKError   the target does not stand in the place to be explained
    ├── CancelledError           the caller asked to stop
    └── MissingExtraError        an optional package is not installed

"No explanation found" is a value (Status), not an error.
"""

from __future__ import annotations


class ExplainerError(ValueError):
    """Base of everything the explainer raises on purpose; the text is one sentence with the remedy."""


class InvalidAttentionError(ExplainerError):
    """The attention matrix is not square, not finite, or its rows do not sum to 1."""


class InvalidCorrelationError(ExplainerError):
    """The correlation matrix is not square, finite and symmetric with a unit diagonal."""


class InvalidParameterError(ExplainerError):
    """A setting is out of its range; ``parameter`` names it."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class EmptyHistoryError(ExplainerError):
    """The history holds no item."""


class NothingLeftError(ExplainerError):
    """The user has had every item of the catalogue."""


class TargetInHistoryError(ExplainerError):
    """The target is in the history, so it is never recommended."""


class TargetOutsideTopKError(ExplainerError):
    """The target's rank is larger than the top_k that was to be explained."""


class CancelledError(ExplainerError):
    """The caller's cancel flag was set; nothing was decided."""


class MissingExtraError(ExplainerError):
    """What was asked needs an optional package that is not installed."""
