"""What a call raises: one class for each thing that a caller can do about it.

Every class is a ``grpc.RpcError`` with ``code()`` and ``details()``, so code that catches gRPC's own errors keeps working::

    CallError
    +- InvalidRequestError   the request has to change; .violations names the fields
    +- NotFoundError         there is nothing of that name
    +- NotAllowedError       the token or certificate is missing, wrong, or not for this
    +- PreconditionError     something else has to happen first (a legal hold, an unsigned log)
    +- OverloadedError       the server is full, or a message is too large; .retry_after says when to come back
    +- UnavailableError      no server answers, or its database does not; the retries were used up
    +- DeadlineError         time was up
    +- CallCancelledError    the call was cancelled
    +- ServerFaultError      a fault of the server, or one that this client does not know
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

from becausal import _wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DETAILS_KEY = "grpc-status-details-bin"
_PUSHBACK_KEY = "grpc-retry-pushback-ms"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field of the request."""

    field: str
    """Path of the field, such as ``options.max_size``."""

    description: str
    """What is wrong, with a remedy, in one sentence."""


@dataclass(frozen=True, slots=True)
class Failure:
    """All that is known of a failed call."""

    code: grpc.StatusCode
    details: str = ""
    """The text that came with the status."""

    reason: str = ""
    """Name of a value of ``becausal.v1.ErrorReason``; empty when the answer is not the service's own but gRPC's."""

    violations: tuple[FieldViolation, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    """ErrorInfo.metadata."""

    retry_after: float | None = None
    """Seconds after which the server asks to be called again."""

    trailing_metadata: tuple[tuple[str, str | bytes], ...] = ()


class CallError(grpc.RpcError):
    """A call failed; ``str(error)`` is one sentence that says what to do.

    Args:
        sentence: What went wrong, and a remedy.
        failure: All that is known.
    """

    def __init__(self, sentence: str, failure: Failure) -> None:
        super().__init__(sentence, failure)
        self.sentence = sentence
        self.failure = failure

    def __str__(self) -> str:
        return self.sentence

    @property
    def reason(self) -> str:
        """Name of a value of ``becausal.v1.ErrorReason``, or empty (see ``Failure.reason``)."""
        return self.failure.reason

    @property
    def violations(self) -> tuple[FieldViolation, ...]:
        """The fields of the request that are wrong."""
        return self.failure.violations

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the server asks to be called again; None when it does not say."""
        return self.failure.retry_after

    def code(self) -> grpc.StatusCode:
        """The gRPC status code."""
        return self.failure.code

    def details(self) -> str:
        """The text that came with the status, as it came."""
        return self.failure.details

    def trailing_metadata(self) -> tuple[Any, ...]:
        """The metadata that came with the status."""
        return self.failure.trailing_metadata


class InvalidRequestError(CallError):
    """The request has to change."""


class NotFoundError(CallError):
    """There is nothing of that name."""


class NotAllowedError(CallError):
    """The token or certificate is missing, wrong, or does not allow this call."""


class PreconditionError(CallError):
    """Something else has to happen first."""


class OverloadedError(CallError):
    """The server is full, or a message is too large."""


class UnavailableError(CallError):
    """No server answers, or its database does not; retries were used up."""


class DeadlineError(CallError):
    """Time was up before the answer."""


class CallCancelledError(CallError):
    """The call was cancelled."""


class ServerFaultError(CallError):
    """A fault of the server, or one that this client does not know."""


_KINDS: Mapping[grpc.StatusCode, type[CallError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.UNAUTHENTICATED: NotAllowedError,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowedError,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionError,
    grpc.StatusCode.ALREADY_EXISTS: PreconditionError,
    grpc.StatusCode.ABORTED: PreconditionError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.CANCELLED: CallCancelledError,
}

_SENTENCES: Mapping[grpc.StatusCode, str] = {
    grpc.StatusCode.UNAVAILABLE: "No server answers at {address} ({details}); check that it runs and serves, and that "
    "address and TLS are right.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "{call} took longer than {timeout:g} s; give it more time (timeout=...) or ask for "
    "less.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "{call} was turned away ({details}); call again later or ask for less.",
    grpc.StatusCode.UNIMPLEMENTED: "The server at {address} does not know {call}; bring server and client to one version.",
    grpc.StatusCode.UNAUTHENTICATED: "{call} needs a caller that the server knows ({details}); give token=... or tls=... "
    "with a certificate.",
    grpc.StatusCode.PERMISSION_DENIED: "The caller may not do {call} ({details}); use a token or certificate of a role "
    "that may.",
}
"""For statuses that gRPC itself gives, or somebody between client and service; the service's own come with a sentence."""


def error_from(error: grpc.RpcError, *, call: str, address: str, timeout: float) -> CallError:
    """The helpful form of an error of gRPC.

    Args:
        error: As ``grpc`` or ``grpc.aio`` raised it.
        call: Name of the RPC, for the sentence.
        address: The server's, for the sentence.
        timeout: Seconds that the call was given.
    """
    failure = failure_of(error)
    kind = _KINDS.get(failure.code, ServerFaultError)
    if failure.reason:
        return kind(failure.details, failure)
    sentence = _SENTENCES.get(failure.code, "{call} failed at {address} with {code}: {details}")
    return kind(
        sentence.format(call=call, address=address, timeout=timeout, details=failure.details, code=failure.code.name),
        failure,
    )


def failure_of(error: grpc.RpcError) -> Failure:
    """All that an error of gRPC carries. Details that cannot be read count as none: the code stands all the same."""
    told: Any = error  # both kinds of errors have these three methods; the stubs give them to neither's base
    trailing = tuple((str(key), value) for key, value in told.trailing_metadata() or ())
    reason, metadata, retry_after = "", {}, _pushback(trailing)
    violations: tuple[FieldViolation, ...] = ()
    for name, value in _details(trailing):
        if name == "google.rpc.ErrorInfo":
            info = _wire.ErrorInfo.FromString(value)
            reason, metadata = info.reason, {pair.key: pair.value for pair in info.metadata}
        elif name == "google.rpc.BadRequest":
            fields = _wire.BadRequest.FromString(value).field_violations
            violations = tuple(FieldViolation(one.field, one.description) for one in fields)
        elif name == "google.rpc.RetryInfo":
            delay = _wire.RetryInfo.FromString(value).retry_delay
            retry_after = delay.seconds + delay.nanos / 1e9
    return Failure(told.code(), told.details() or "", reason, violations, metadata, retry_after, trailing)


def _details(trailing: Iterable[tuple[str, str | bytes]]) -> list[tuple[str, bytes]]:
    """Message name and bytes of each detail."""
    packed = next((value for key, value in trailing if key == _DETAILS_KEY), b"")
    if not isinstance(packed, bytes):
        return []
    try:
        return [(one.type_url.rpartition("/")[2], one.value) for one in _wire.Status.FromString(packed).details]
    except DecodeError:
        return []


def _pushback(trailing: Iterable[tuple[str, str | bytes]]) -> float | None:
    """Seconds that the server pushes retries back by; a negative number means "do not retry" and no time."""
    told = next((value for key, value in trailing if key == _PUSHBACK_KEY), "")
    return int(told) / 1000 if isinstance(told, str) and told.isdecimal() else None
