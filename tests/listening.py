"""A real server that a test itself can address and stop, and a scripted one that plays what a real one does rarely."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from becausal.channel import EXPLANATION_SERVICE
from becausal.v1.explanation_service_pb2 import RecommendResponse
from becausal.v1.explanation_service_pb2_grpc import (
    ExplanationServiceServicer,
    add_ExplanationServiceServicer_to_server,
)
from server.config import Config
from server.records import Records
from serving import rpc_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import storage
    from fakes import FakeRecommender
    from server.rpc.server import RpcServer


@asynccontextmanager
async def listening(
    repository: storage.ExplanationRepository, recommender: FakeRecommender | None = None, *, drain_delay: float = 0
) -> AsyncIterator[RpcServer]:
    """A real server over a fake model; ``port`` is where."""
    config = Config(address="127.0.0.1:0", drain_delay_seconds=drain_delay, drain_seconds=10)
    with Records(repository._database, config.audit) as records:
        records.start()
        server = rpc_server(config, repository, recommender, records)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


class Scripted(ExplanationServiceServicer):
    """Answers Recommend as told, and remembers what it was asked with."""

    def __init__(self, code_of: Callable[[int], grpc.StatusCode] = lambda _: grpc.StatusCode.OK) -> None:
        self.code_of = code_of
        self.calls: list[dict[str, str]] = []
        self.health = health.aio.HealthServicer()
        self.port = 0

    async def Recommend(self, request, context):  # noqa: ANN001, ANN201, ARG002, N802
        self.calls.append(dict(context.invocation_metadata()))
        code = self.code_of(len(self.calls))
        if code is not grpc.StatusCode.OK:
            await context.abort(code, "as scripted")
        return RecommendResponse(model_version=str(self.port))

    async def says(self, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", EXPLANATION_SERVICE):
            await self.health.set(name, status)


@asynccontextmanager
async def scripted(
    code_of: Callable[[int], grpc.StatusCode] = lambda _: grpc.StatusCode.OK,
    credentials: grpc.ServerCredentials | None = None,
) -> AsyncIterator[Scripted]:
    """A scripted server that says that it serves."""
    servicer = Scripted(code_of)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_ExplanationServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(servicer.health, server)
    servicer.port = (
        server.add_insecure_port("127.0.0.1:0")
        if credentials is None
        else server.add_secure_port("127.0.0.1:0", credentials)
    )
    await server.start()
    await servicer.says(serving=True)
    try:
        yield servicer
    finally:
        await server.stop(0)
