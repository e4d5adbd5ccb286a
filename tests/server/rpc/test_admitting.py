"""Full servers, short deadlines and large messages, over real channels."""

from __future__ import annotations

import asyncio
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import storage
from becausal.errors import failure_of
from becausal.v1 import explanation_pb2 as explanation_pb
from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from fakes import FakeRecommender, HeldRecommender, SlowRecommender
from server.admission_settings import Admission, Room
from server.config import ConfigError
from server.rpc.admitting import Admitting
from serving import observed, serving

HISTORY = ["a", "b", "c"]
ASKED = pb.ExplainRequest(history=HISTORY)
SERVICE = "becausal.v1.ExplanationService"


async def test_a_full_queue_refuses_and_says_when_to_come_back(repository: storage.ExplanationRepository) -> None:
    held = HeldRecommender()
    full = {"methods": {"Explain": {"running": 1, "waiting": 1}}}
    async with observed(repository, held, admission=full, batching={"cores": 4}) as (channel, seen):
        stub = ExplanationServiceStub(channel)
        taken = [stub.Explain(ASKED)]
        assert await asyncio.to_thread(held.started.wait, 30)
        taken.append(stub.Explain(ASKED))
        labels = {"grpc_service": SERVICE, "grpc_method": "Explain"}
        async with asyncio.timeout(10):
            while not seen.metrics.registry.get_sample_value("becausal_calls_waiting", labels):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert seen.metrics.registry.get_sample_value("becausal_calls_running", labels) == 1

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Explain(ASKED)
        # Others are not kept out: those of another method, and those about the server itself.
        assert (await stub.Recommend(pb.RecommendRequest(history=HISTORY, k=1))).items
        status = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        held.go_on.set()
        answered = await asyncio.gather(*taken)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    failure = failure_of(caught.value)
    assert failure.reason == "OVERLOADED"
    assert failure.retry_after is not None
    pushback = dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"]
    assert int(pushback) == round(1000 * failure.retry_after) > 0
    assert status.status == health_pb2.HealthCheckResponse.SERVING
    assert [answer.status for answer in answered] == [explanation_pb.Explanation.EXPLAINED] * 2
    assert len(repository.list(storage.ExplanationFilter(), 10)) == 2


async def test_a_caller_that_waits_and_goes_leaves_no_trace(repository: storage.ExplanationRepository) -> None:
    held = HeldRecommender()
    async with serving(repository, held, admission={"running": 1, "waiting": 4}) as channel:
        stub = ExplanationServiceStub(channel)
        first = stub.Explain(ASKED)
        assert await asyncio.to_thread(held.started.wait, 30)
        gone = [stub.Explain(ASKED, timeout=0.2) for _ in range(3)]
        ends = await asyncio.gather(*gone, return_exceptions=True)
        held.go_on.set()
        await first
        assert await stub.Explain(ASKED)

    assert [end.code() for end in ends] == [grpc.StatusCode.DEADLINE_EXCEEDED] * 3
    assert len(repository.list(storage.ExplanationFilter(), 10)) == 2


def test_a_method_that_there_is_not_is_named() -> None:
    with pytest.raises(ConfigError, match=r"admission\.methods\.Explian is wrong.*Explain"):
        Admitting(Admission(methods={"Explian": Room(running=1, waiting=1)}))


class SlowToRead(FakeRecommender):
    """Takes longer to be read than its callers have time."""

    def attention(self, *args: object, **kwargs: object) -> object:
        time.sleep(0.3)
        return super().attention(*args, **kwargs)


async def test_a_deadline_without_any_finding_is_told_as_such(repository: storage.ExplanationRepository) -> None:
    async with serving(repository, SlowToRead(), limits={"default_seconds": 0.2}) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="give the call more time") as caught:
            await ExplanationServiceStub(channel).Explain(ASKED)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert failure_of(caught.value).reason == "OUT_OF_TIME"
    assert repository.list(storage.ExplanationFilter(), 1) == ()


async def test_at_the_deadline_what_was_found_is_answered_honestly(repository: storage.ExplanationRepository) -> None:
    # A batch takes 0.2 s: the effects of the single items are known then, and there is no time for pairs.
    async with serving(repository, SlowRecommender(), limits={"default_seconds": 0.15}) as channel:
        answer = await ExplanationServiceStub(channel).Explain(pb.ExplainRequest(history=["b", "c", "d"]))

    assert answer.status == explanation_pb.Explanation.BUDGET_EXHAUSTED
    assert len(answer.effects) == 3
    assert repository.list(storage.ExplanationFilter(), 2)


async def test_a_call_whose_time_is_up_before_its_turn_computes_nothing(
    repository: storage.ExplanationRepository,
) -> None:
    held = HeldRecommender()
    settings = {"limits": {"default_seconds": 0.2}, "batching": {"calls": 1}}
    async with serving(repository, held, **settings) as channel:
        stub = ExplanationServiceStub(channel)
        first = stub.Explain(ASKED)
        assert await asyncio.to_thread(held.started.wait, 30)
        second = stub.RecommendAndExplain(pb.RecommendAndExplainRequest(history=HISTORY, k=1))
        await asyncio.sleep(0.3)
        held.go_on.set()
        with pytest.raises(grpc.aio.AioRpcError, match="before the call had its turn"):
            await second
        await first


async def test_a_message_over_the_limit_is_refused(repository: storage.ExplanationRepository) -> None:
    async with serving(repository, limits={"message_bytes": 2048}) as channel:
        stub = ExplanationServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Recommend(pb.RecommendRequest(history=["x" * 100] * 40))
        assert (await stub.Recommend(pb.RecommendRequest(history=HISTORY))).items

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
