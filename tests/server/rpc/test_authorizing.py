"""Each role can do its part and nothing else, call by call; and the name in the audit log is the recognised one."""

from __future__ import annotations

import importlib
import json
import pkgutil
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import message_factory
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from sqlalchemy import select

import becausal.v1
import storage
from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from server.access import Role, new_token, token_hash
from server.rpc.roles import ROLES
from serving import serving
from storage.models import LogEntryRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKENS = {role: new_token() for role in Role}
CALLERS = [
    {"name": f"{role}.example", "roles": [role.value], "tokens": [token_hash(token)]} for role, token in TOKENS.items()
]
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for module in pkgutil.iter_modules(becausal.v1.__path__)
    if module.name.endswith("_pb2")
    for service in importlib.import_module(f"becausal.v1.{module.name}").DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Every call of the protocol, whichever file it is in."""


@pytest.fixture
async def guarded(repository: storage.ExplanationRepository) -> AsyncIterator[grpc.aio.Channel]:
    async with serving(repository, auth={"callers": CALLERS}) as channel:
        yield channel


def bearer(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


async def outcome(
    channel: grpc.aio.Channel, path: str, metadata: list[tuple[str, str]] | None
) -> tuple[grpc.StatusCode, grpc.aio.AioRpcError | None]:
    """How a call with an empty message ends, whatever its arity."""
    method = METHODS[path]
    answer = message_factory.GetMessageClass(method.output_type)
    request: Any = message_factory.GetMessageClass(method.input_type)()
    names = {True: "stream", False: "unary"}
    multi = getattr(channel, f"{names[method.client_streaming]}_{names[method.server_streaming]}")
    call = multi(path, request_serializer=lambda one: one.SerializeToString(), response_deserializer=answer.FromString)
    given = iter([request]) if method.client_streaming else request
    try:
        if method.server_streaming:
            async for _ in call(given, metadata=metadata, timeout=30):
                pass
        else:
            await call(given, metadata=metadata, timeout=30)
    except grpc.aio.AioRpcError as error:
        return error.code(), error
    return grpc.StatusCode.OK, None


def reason(error: grpc.aio.AioRpcError | None) -> str:
    assert error is not None
    info = error_details_pb2.ErrorInfo()
    rpc_status.from_call(error).details[0].Unpack(info)
    return info.reason


def test_every_call_has_a_role() -> None:
    assert set(METHODS) <= set(ROLES)


def test_every_role_has_a_call() -> None:
    assert set(ROLES.values()) == set(Role)


@pytest.mark.parametrize("path", METHODS)
async def test_a_call_is_for_its_role_alone(guarded: grpc.aio.Channel, path: str) -> None:
    for role, token in TOKENS.items():
        code, error = await outcome(guarded, path, bearer(token))
        refused = code in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}
        assert refused is (role is not ROLES[path])
        if refused:
            assert (code, reason(error)) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")


@pytest.mark.parametrize("path", METHODS)
@pytest.mark.parametrize(
    "metadata",
    [None, bearer(new_token()), bearer(""), [("authorization", "Basic eDp5")], bearer(token_hash(TOKENS[Role.ADMIN]))],
    ids=["none", "unknown", "empty", "basic", "the hash itself"],
)
async def test_a_stranger_may_do_nothing(
    guarded: grpc.aio.Channel, path: str, metadata: list[tuple[str, str]] | None
) -> None:
    code, error = await outcome(guarded, path, metadata)

    assert (code, reason(error)) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


async def test_a_refusal_does_not_tell_what_exists(guarded: grpc.aio.Channel) -> None:
    stub = ExplanationServiceStub(guarded)
    explained = await stub.Explain(pb.ExplainRequest(history=["a", "b", "c"]), metadata=bearer(TOKENS[Role.EXPLAIN]))
    said = set()
    for name in (explained.name, f"explanations/{storage.new_id()}", "no name"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetExplanation(pb.GetExplanationRequest(name=name), metadata=bearer(TOKENS[Role.EXPLAIN]))
        said.add((caught.value.code(), caught.value.details()))

    assert len(said) == 1


async def test_health_needs_no_token(guarded: grpc.aio.Channel) -> None:
    answer = await health_pb2_grpc.HealthStub(guarded).Check(health_pb2.HealthCheckRequest())

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_reader_in_the_audit_log_cannot_be_made_up(
    guarded: grpc.aio.Channel, database: storage.Database
) -> None:
    who = [*bearer(TOKENS[Role.AUDIT_READ]), ("becausal-actor", "somebody else")]
    await ExplanationServiceStub(guarded).ListExplanations(pb.ListExplanationsRequest(), metadata=who)
    erase = [*bearer(TOKENS[Role.AUDIT_ERASE]), ("becausal-actor", "somebody else")]
    await ExplanationServiceStub(guarded).EraseUser(pb.EraseUserRequest(user_id="7"), metadata=erase)
    with database.reading() as connection:
        documents = connection.execute(select(LogEntryRow.document)).scalars().all()
    actors = {json.loads(document)["actor"] for document in documents if document}
    assert actors == {"audit.read.example", "audit.erase.example"}


async def test_an_open_server_lets_everybody_do_everything(channel: grpc.aio.Channel) -> None:
    for path in METHODS:
        code, _ = await outcome(channel, path, None)
        assert code not in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}
