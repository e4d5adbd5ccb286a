"""Which error is which gRPC status: one table, applied to every call by one interceptor (AIP-193)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from becausal.v1 import error_reason_pb2 as reasons
from becausal.v1.explanation_service_pb2 import Problem
from explainer import errors as explainer_errors
from recommender import errors as recommender_errors
from server import errors
from storage import errors as storage_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from becausal.v1.error_reason_pb2 import ErrorReason

DOMAIN = "becausal"
PUSHBACK = "grpc-retry-pushback-ms"
INTERNAL_TEXT = "The server met a fault and logged it; nothing was stored."


@dataclass(frozen=True, slots=True)
class Answer:
    """How a class of errors is told to a client."""

    code: grpc.StatusCode
    reason: ErrorReason.ValueType
    field: str = ""
    """The request's field, where the error does not name it itself."""

    text: str = ""
    """What a client is told instead of the error's own text, where that speaks of the server's inside."""

    retry_after: float | None = None
    """Seconds after which trying again may help, where the error does not say."""


_INVALID = grpc.StatusCode.INVALID_ARGUMENT

TABLE: Mapping[type[Exception], Answer] = {
    errors.InvalidFieldError: Answer(_INVALID, reasons.INVALID_FIELD),
    errors.InvalidFieldsError: Answer(_INVALID, reasons.INVALID_FIELD),
    errors.NoKnownItemsError: Answer(_INVALID, reasons.NO_KNOWN_ITEMS),
    errors.UnknownItemsError: Answer(_INVALID, reasons.UNKNOWN_ITEMS),
    errors.ItemNotInCatalogueError: Answer(_INVALID, reasons.ITEM_NOT_IN_CATALOGUE),
    errors.InvalidPageTokenError: Answer(_INVALID, reasons.INVALID_PAGE_TOKEN),
    errors.InvalidFilterError: Answer(_INVALID, reasons.INVALID_FILTER),
    errors.RequestIdReusedError: Answer(_INVALID, reasons.REQUEST_ID_REUSED),
    errors.ExplanationNotFoundError: Answer(grpc.StatusCode.NOT_FOUND, reasons.EXPLANATION_NOT_FOUND),
    errors.MalformedMessageError: Answer(_INVALID, reasons.MALFORMED_MESSAGE, "request"),
    errors.ModelNotFoundError: Answer(grpc.StatusCode.NOT_FOUND, reasons.MODEL_NOT_FOUND),
    errors.ModelDamagedError: Answer(grpc.StatusCode.FAILED_PRECONDITION, reasons.MODEL_DAMAGED),
    errors.ActivationUnderWayError: Answer(grpc.StatusCode.ABORTED, reasons.ACTIVATION_UNDER_WAY, retry_after=1.0),
    errors.OverloadedError: Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, reasons.OVERLOADED),
    errors.OutOfTimeError: Answer(grpc.StatusCode.DEADLINE_EXCEEDED, reasons.OUT_OF_TIME),
    errors.ShuttingDownError: Answer(grpc.StatusCode.UNAVAILABLE, reasons.SHUTTING_DOWN, retry_after=0.0),
    errors.UnauthenticatedError: Answer(grpc.StatusCode.UNAUTHENTICATED, reasons.UNAUTHENTICATED),
    errors.PermissionDeniedError: Answer(grpc.StatusCode.PERMISSION_DENIED, reasons.PERMISSION_DENIED),
    explainer_errors.InvalidParameterError: Answer(_INVALID, reasons.INVALID_FIELD),
    explainer_errors.EmptyHistoryError: Answer(_INVALID, reasons.NO_KNOWN_ITEMS, "history"),
    explainer_errors.NothingLeftError: Answer(_INVALID, reasons.NOTHING_LEFT, "history"),
    explainer_errors.TargetInHistoryError: Answer(_INVALID, reasons.ITEM_IN_HISTORY, "item"),
    explainer_errors.TargetOutsideTopKError: Answer(_INVALID, reasons.ITEM_OUTSIDE_TOP_K, "item"),
    explainer_errors.CancelledError: Answer(grpc.StatusCode.CANCELLED, reasons.CALLER_GONE),
    recommender_errors.UnknownItemError: Answer(_INVALID, reasons.ITEM_NOT_IN_CATALOGUE, "item"),
    recommender_errors.InterventionError: Answer(_INVALID, reasons.INVALID_FIELD, "options.intervention"),
    storage_errors.InvalidFilterError: Answer(_INVALID, reasons.INVALID_FILTER, "filter"),
    storage_errors.LegalHoldError: Answer(grpc.StatusCode.FAILED_PRECONDITION, reasons.LEGAL_HOLD),
    storage_errors.NotInLogError: Answer(grpc.StatusCode.NOT_FOUND, reasons.NOT_IN_LOG),
    storage_errors.NoCheckpointError: Answer(grpc.StatusCode.FAILED_PRECONDITION, reasons.NO_CHECKPOINT),
    storage_errors.LogDamagedError: Answer(
        grpc.StatusCode.DATA_LOSS,
        reasons.LOG_DAMAGED,
        text="The audit log was changed behind its checkpoint, so nothing can be proved; tell the operator.",
    ),
    storage_errors.DatabaseUnavailableError: Answer(
        grpc.StatusCode.UNAVAILABLE,
        reasons.DATABASE_UNAVAILABLE,
        text="The database does not answer, so nothing was stored or read; try again.",
        retry_after=1.0,
    ),
}
"""Whatever is not here is INTERNAL: it is logged, and its text stays in the log."""


def answer_for(error: Exception) -> Answer | None:
    """The table's row for an error, or None for a fault."""
    return next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), None)


def status_of(error: Exception) -> status_pb2.Status:
    """The google.rpc.Status that a client is told."""
    answer = answer_for(error)
    if answer is None:
        return _status(grpc.StatusCode.INTERNAL, INTERNAL_TEXT, _info(reasons.INTERNAL))
    text = answer.text or str(error)
    details: list[Message] = [_info(answer.reason)]
    if answer.code is _INVALID:
        violation = error_details_pb2.BadRequest.FieldViolation
        problems = (
            error.problems
            if isinstance(error, errors.InvalidFieldsError)
            else (errors.FieldProblem(_field(error, answer), text),)
        )
        told = [violation(field=problem.field, description=problem.text) for problem in problems]
        details.append(error_details_pb2.BadRequest(field_violations=told))
    if answer.code is grpc.StatusCode.FAILED_PRECONDITION:
        unmet = error_details_pb2.PreconditionFailure.Violation(
            type=reasons.ErrorReason.Name(answer.reason), description=text
        )
        details.append(error_details_pb2.PreconditionFailure(violations=[unmet]))
    retry_after = _retry_after(error, answer)
    if retry_after is not None:
        delay = error_details_pb2.RetryInfo()
        delay.retry_delay.FromMilliseconds(round(1000 * retry_after))
        details.append(delay)
    return _status(answer.code, text, *details)


def grpc_status(error: Exception) -> grpc.Status:
    """As ``status_of``, ready to abort a call with."""
    status: grpc.Status = rpc_status.to_status(status_of(error))
    return status


def pushback(error: Exception) -> tuple[tuple[str, str], ...]:
    """Trailing metadata that keeps gRPC's own retries back for as long as the error says."""
    if isinstance(error, errors.OverloadedError):
        return ((PUSHBACK, str(round(1000 * error.retry_after))),)
    return ()


def problem_of(error: Exception) -> Problem:
    """What a client is told of one of many requests that failed: the same as of a call."""
    answer = answer_for(error)
    problem = Problem(reason=reasons.INTERNAL if answer is None else answer.reason)
    status = status_of(error)
    problem.code, problem.message = status.code, status.message
    for detail in status.details:
        bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(bad):
            problem.violations.extend(
                Problem.FieldViolation(field=one.field, description=one.description) for one in bad.field_violations
            )
        elif detail.Unpack(retry):
            problem.retry_delay.CopyFrom(retry.retry_delay)
    return problem


def _retry_after(error: Exception, answer: Answer) -> float | None:
    return error.retry_after if isinstance(error, errors.OverloadedError) else answer.retry_after


def _field(error: Exception, answer: Answer) -> str:
    if isinstance(error, errors.RequestError):
        return error.field
    if isinstance(error, explainer_errors.InvalidParameterError):
        return f"options.{error.parameter}"
    return answer.field


def _info(reason: ErrorReason.ValueType) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reasons.ErrorReason.Name(reason), domain=DOMAIN)


def _status(code: grpc.StatusCode, text: str, *details: Message) -> status_pb2.Status:
    packed = []
    for detail in details:
        wrapped = any_pb2.Any()
        wrapped.Pack(detail)
        packed.append(wrapped)
    return status_pb2.Status(code=code_pb2.Code.Value(code.name), message=text, details=packed)
