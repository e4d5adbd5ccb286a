"""Health, reflection, one port for one server, and shutdown in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from becausal.v1 import explanation_service_pb2 as service_pb
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from fakes import FakeRecommender, HeldRecommender
from listening import listening
from server.config import Config, ConfigError
from server.rpc.server import SERVICES, RpcServer
from serving import rpc_server, serving

if TYPE_CHECKING:
    import storage


@pytest.mark.parametrize("service", SERVICES)
async def test_health_says_serving(channel: grpc.aio.Channel, service: str) -> None:
    response = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))

    assert response.status == health_pb2.HealthCheckResponse.SERVING


async def reflected(channel: grpc.aio.Channel) -> set[str]:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
    return {service.name async for answer in call for service in answer.list_services_response.service}


async def test_reflection_lists_the_services(channel: grpc.aio.Channel) -> None:
    assert {"becausal.v1.ExplanationService", "grpc.health.v1.Health"} <= await reflected(channel)


async def test_reflection_can_be_switched_off(repository: storage.ExplanationRepository) -> None:
    async with serving(repository, reflection=False) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reflected(channel)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def server_at(
    address: str, repository: storage.ExplanationRepository, recommender: FakeRecommender | None = None
) -> RpcServer:
    return rpc_server(Config(address=address, drain_delay_seconds=0), repository, recommender)


async def test_two_servers_cannot_share_a_port(repository: storage.ExplanationRepository) -> None:
    first = server_at("127.0.0.1:0", repository)
    await first.start()
    second = server_at(f"127.0.0.1:{first.port}", repository)
    try:
        with pytest.raises(ConfigError, match="free the port"):
            await second.start()
    finally:
        await first.stop()
        await second.stop()


async def until_refused(stub: ExplanationServiceStub) -> None:
    while True:
        await stub.ListExplanations(service_pb.ListExplanationsRequest())


async def test_a_call_under_way_finishes_and_a_late_one_is_sent_elsewhere(
    repository: storage.ExplanationRepository,
) -> None:
    recommender = HeldRecommender()
    server = server_at("127.0.0.1:0", repository, recommender)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = ExplanationServiceStub(channel)
        call = asyncio.ensure_future(stub.Explain(service_pb.ExplainRequest(history=["a", "b", "c"])))
        assert await asyncio.to_thread(recommender.started.wait, 30)
        stopping = asyncio.ensure_future(server.stop())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await until_refused(stub)
        assert not call.done()
        recommender.go_on.set()
        await stopping
        assert (await call).reason
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "try again at another instance" in (refused.value.details() or "")


async def test_the_server_answers_until_clients_have_noticed(repository: storage.ExplanationRepository) -> None:
    async with (
        listening(repository, drain_delay=1) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        stopping = asyncio.ensure_future(server.stop())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await ExplanationServiceStub(channel).Recommend(service_pb.RecommendRequest(history=["a"]))
        await stopping
