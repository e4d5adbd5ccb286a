"""What can be wrong with a request, whatever way it came in.

    RequestError                  the caller can mend it; ``field`` names what to mend
    ├── InvalidFieldError         missing or out of range
    ├── InvalidFieldsError        some break rules of the protocol
    ├── NoKnownItemsError         the history has no item that the model knows
    ├── UnknownItemsError         some are unknown, and the server refuses that
    ├── ItemNotInCatalogueError   the item to explain is unknown
    ├── InvalidPageTokenError     the token is not one of this list
    ├── InvalidFilterError        the filter cannot be read
    ├── RequestIdReusedError      the id stands for another request
    ├── ExplanationNotFoundError  nothing is stored under that name
    └── ModelNotFoundError        no model of that name is at hand

    MalformedMessageError         the bytes are no message of the call
    OverloadedError               too many calls wait; ``retry_after`` says when to come back
    OutOfTimeError                the deadline was too short for any answer
    ShuttingDownError             another instance has to answer; nothing was done
    UnauthenticatedError          nobody knows who calls
    PermissionDeniedError         the caller lacks the role
    ModelDamagedError             the model cannot be used; nothing changed
    ActivationUnderWayError       one model at a time; nothing was done

Each text is one sentence that says what to do; it is safe to show to a caller.
"""

from __future__ import annotations

from dataclasses import dataclass


class RequestError(Exception):
    """Base of the errors that a caller can mend."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class InvalidFieldError(RequestError):
    """A field is missing or out of its range."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field."""

    field: str
    text: str
    """One sentence that says what to do."""


class InvalidFieldsError(RequestError):
    """Fields break rules of the protocol.

    Args:
        problems: what is wrong, at least one; each goes to the caller.
    """

    def __init__(self, problems: tuple[FieldProblem, ...]) -> None:
        super().__init__(problems[0].field, " ".join(problem.text for problem in problems))
        self.problems = problems


class NoKnownItemsError(RequestError):
    """No item of the history is known to the model."""


class UnknownItemsError(RequestError):
    """Some items of the history are unknown, and the server is set to refuse that."""


class ItemNotInCatalogueError(RequestError):
    """The item to explain is not in the catalogue."""


class InvalidPageTokenError(RequestError):
    """The page token was not given out for this list."""


class InvalidFilterError(RequestError):
    """The filter cannot be read."""


class RequestIdReusedError(RequestError):
    """The request id was given to another request before."""


class ExplanationNotFoundError(RequestError):
    """There is no explanation of that name."""


class MalformedMessageError(Exception):
    """What was sent is no message of the call."""


class ModelNotFoundError(RequestError):
    """There is no model of that name at hand."""


class OverloadedError(Exception):
    """Too many calls wait already; nothing was done."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds after which it is worth trying again."""


class OutOfTimeError(Exception):
    """The caller's deadline came before there was anything to answer; nothing was stored."""


class ShuttingDownError(Exception):
    """The server takes no new calls any more."""


class UnauthenticatedError(Exception):
    """The caller is not known."""


class PermissionDeniedError(Exception):
    """The caller is known and lacks the role that the call needs."""


class ModelDamagedError(Exception):
    """The model to activate is not whole, or does not answer; the one before goes on."""


class ActivationUnderWayError(Exception):
    """Another model is being activated, or the one before is not put away yet."""
