"""A real gRPC server on a free port, over a fake model and a real database."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc

import storage
from fakes import FakeRecommender
from server.activation import Activations
from server.application import Application
from server.config import Config
from server.models import Models
from server.outside import Outside
from server.records import Records
from server.rpc.audit_service import AuditService
from server.rpc.model_service import ModelService
from server.rpc.server import RpcServer
from server.rpc.service import ExplanationService
from server.scheduling import Scheduler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.tracing import Tracing


def rpc_server(
    config: Config,
    repository: storage.ExplanationRepository,
    recommender: FakeRecommender | None = None,
    records: Records | None = None,
    outside: Outside | None = None,
) -> RpcServer:
    """What the composition root makes, over a fake model; not started."""
    models = Models(recommender or FakeRecommender(), config, Scheduler(config.batching))
    application = Application(models, config, repository, records)
    activations = Activations(models, storage.ActivationRepository(repository._database), config)
    if outside is not None and records is not None:
        outside.watch(records, models)
    services = ExplanationService(application, config), config, AuditService(application), ModelService(activations)
    return RpcServer(*services, outside)


@asynccontextmanager
async def serving(
    repository: storage.ExplanationRepository, recommender: FakeRecommender | None = None, **settings: object
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server of its own."""
    config = Config(address="127.0.0.1:0", **{"drain_delay_seconds": 0, **settings})
    with Records(repository._database, config.audit) as records:
        records.start()
        server = rpc_server(config, repository, recommender, records)
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                yield channel
        finally:
            await server.stop()


@asynccontextmanager
async def observed(
    repository: storage.ExplanationRepository,
    recommender: FakeRecommender | None = None,
    *,
    spans: Tracing | None = None,
    **settings: object,
) -> AsyncIterator[tuple[grpc.aio.Channel, Outside]]:
    """A channel to a server of its own, and what is seen of that from outside."""
    config = Config(address="127.0.0.1:0", **{"drain_delay_seconds": 0, "drain_seconds": 0, **settings})
    with Records(repository._database, config.audit) as records:
        records.start()
        outside = Outside(config, spans)
        server = rpc_server(config, repository, recommender, records, outside)
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                yield channel, outside
        finally:
            await server.stop()
