"""Every error has one answer, and the protocol documents it."""

from __future__ import annotations

import grpc
import pytest

from becausal.v1 import error_reason_pb2
from explainer import errors as explainer_errors
from recommender import errors as recommender_errors
from server import errors
from server.rpc.errors import INTERNAL_TEXT, TABLE, answer_for, status_of
from storage import errors as storage_errors

FAULTS = {
    # What these say is about the server's own files, code or database: a client is told that there was a fault.
    explainer_errors.InvalidAttentionError,
    explainer_errors.InvalidCorrelationError,
    explainer_errors.MissingExtraError,
    recommender_errors.BundleError,
    recommender_errors.CheckpointError,
    recommender_errors.DatasetError,
    recommender_errors.HistoryError,
    recommender_errors.SelfCheckError,
    recommender_errors.TrainingError,
    recommender_errors.VocabularyError,
    storage_errors.CorruptRecordError,
    storage_errors.DatabaseFailedError,
    storage_errors.DuplicateRecordError,
    storage_errors.InvalidDatabaseUrlError,
    storage_errors.InvalidRecordError,
    storage_errors.SchemaError,
}


def leaves(base: type[Exception]) -> set[type[Exception]]:
    children = base.__subclasses__()
    return set().union(*map(leaves, children)) if children else {base}


ROOTS = (
    errors.RequestError,
    errors.MalformedMessageError,
    errors.ActivationUnderWayError,
    errors.ModelDamagedError,
    errors.OutOfTimeError,
    errors.OverloadedError,
    errors.PermissionDeniedError,
    errors.ShuttingDownError,
    errors.UnauthenticatedError,
    explainer_errors.ExplainerError,
    recommender_errors.RecommenderError,
    storage_errors.StorageError,
)
ALL = sorted(set().union(*map(leaves, ROOTS)), key=repr)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_an_answer_or_is_a_fault_by_name(kind: type[Exception]) -> None:
    answered = any(base in TABLE for base in kind.__mro__)
    fault = any(base in FAULTS for base in kind.__mro__)

    assert answered != fault


def test_every_reason_of_the_protocol_is_used() -> None:
    used = {answer.reason for answer in TABLE.values()} | {error_reason_pb2.INTERNAL}

    assert used == set(error_reason_pb2.ErrorReason.values()) - {error_reason_pb2.ERROR_REASON_UNSPECIFIED}


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.__name__)
def test_no_answer_is_ok_or_internal(kind: type[Exception]) -> None:
    assert TABLE[kind].code not in {grpc.StatusCode.OK, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}


def test_a_fault_is_told_in_a_fixed_sentence() -> None:
    assert answer_for(RuntimeError("inside")) is None
    assert status_of(RuntimeError("inside")).message == INTERNAL_TEXT
