"""What a server outlives: malformed messages, callers that vanish, a database that goes. BECAUSAL_SOAK=1: at full length."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
from typing import TYPE_CHECKING
from uuid import UUID

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import storage
from becausal.errors import failure_of
from becausal.v1 import audit_service_pb2 as audit_pb
from becausal.v1 import explanation_pb2 as explanation_pb
from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from crashing import check_all
from databases import running_postgres, stopped
from server.rpc.roles import ROLES
from serving import observed, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

SOAK = bool(os.environ.get("BECAUSAL_SOAK"))
MESSAGES = 10_000 if SOAK else 1_000
CALLERS = 2_000 if SOAK else 150
GONE_SECONDS = 10.0 if SOAK else 1.0
HISTORY = ["a", "b", "c"]
NAME = "explanations/01a20b93-fd93-77a3-a145-947af1830b03"
GOOD = pb.ExplainRequest(history=HISTORY, user_id="u")
OPTIONS = explanation_pb.ExplainOptions(alpha=0.05, max_size=2, language_code="en", verb="watched", temporal=True)
SEEDS: dict[str, list[Message]] = {
    "Recommend": [pb.RecommendRequest(history=HISTORY, k=2, user_id="u")],
    "Explain": [GOOD, pb.ExplainRequest(history=HISTORY, item="t", options=OPTIONS, request_id=NAME[13:])],
    "RecommendAndExplain": [pb.RecommendAndExplainRequest(history=HISTORY, k=2, options=OPTIONS)],
    "BatchExplain": [pb.BatchExplainRequest(requests=[GOOD, GOOD])],
    "StreamExplain": [pb.StreamExplainRequest(id="1", request=GOOD)],
    "WhatIf": [pb.WhatIfRequest(history=HISTORY, remove=[0, 1], add=["d"], k=3)],
    "GetExplanation": [pb.GetExplanationRequest(name=NAME, view=pb.EXPLANATION_VIEW_BASIC)],
    "ListExplanations": [pb.ListExplanationsRequest(page_size=3, filter='user_id = "u"')],
    "ReplayExplanation": [pb.ReplayExplanationRequest(name=NAME)],
    "EraseUser": [pb.EraseUserRequest(user_id="u", reason="asked")],
    "RecordInteractions": [
        pb.RecordInteractionsRequest(interactions=[pb.RecordInteractionsRequest.Interaction(user_id="u", item="a")])
    ],
    "GetCheckpoint": [audit_pb.GetCheckpointRequest()],
    "GetInclusionProof": [audit_pb.GetInclusionProofRequest(name=NAME)],
    "GetConsistencyProof": [audit_pb.GetConsistencyProofRequest(old_size=1, new_size=2)],
}
PATHS = {path.rpartition("/")[2]: path for path in ROLES if not path.startswith("/becausal.v1.ModelService/")}


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the server took for faults of its own."""
    return [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.ERROR]


def stored(repository: storage.ExplanationRepository) -> set[UUID]:
    return set(repository.ids())


def spoilt(data: bytes, chance: random.Random) -> bytes:
    """A message with a few bits turned, bytes put in or taken out, or an end cut off; or one of noise alone."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(5):
            case 0 if place < len(changed):
                changed[place] ^= 1 << chance.randrange(8)
            case 1:
                changed[place:place] = chance.randbytes(chance.randint(1, 8))
            case 2:
                del changed[place : place + chance.randint(1, 8)]
            case 3:
                changed = changed[:place]
            case _:
                changed = bytearray(chance.randbytes(chance.randint(0, 40)))
    return bytes(changed)


def test_every_call_is_spoilt() -> None:
    assert set(SEEDS) == set(PATHS)


async def test_malformed_messages_are_the_callers_fault(
    repository: storage.ExplanationRepository, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(11)  # noqa: S311 - which bits to turn
    codes: dict[grpc.StatusCode, int] = {}
    reasons: list[str] = []
    async with serving(repository, limits={"default_seconds": 5}) as channel:
        calls = {
            name: (channel.stream_stream if name == "StreamExplain" else channel.unary_unary)(path)
            for name, path in PATHS.items()
        }

        async def send(name: str, data: bytes) -> None:
            try:
                if name == "StreamExplain":
                    async for _ in calls[name](iter([data, data])):
                        pass
                else:
                    await calls[name](data)
                code = grpc.StatusCode.OK
            except grpc.aio.AioRpcError as error:
                code = error.code()
                reasons.append(failure_of(error).reason)
            codes[code] = codes.get(code, 0) + 1

        names = sorted(PATHS)
        for _ in range(MESSAGES // 50):
            chosen = [chance.choice(names) for _ in range(50)]
            seeds = [chance.choice(SEEDS[name]).SerializeToString() for name in chosen]
            await asyncio.gather(*(send(name, spoilt(seed, chance)) for name, seed in zip(chosen, seeds, strict=True)))
        answer = await ExplanationServiceStub(channel).Explain(GOOD)
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())

    assert sum(codes.values()) == MESSAGES
    assert all(reasons)
    assert not {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN} & set(codes), codes
    assert codes[grpc.StatusCode.INVALID_ARGUMENT] > MESSAGES / 4, codes
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert UUID(answer.id) in stored(repository)
    assert faults(caplog) == []


async def test_callers_that_vanish_leave_nothing_behind(
    repository: storage.ExplanationRepository, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(12)  # noqa: S311 - when to go
    answered: set[UUID] = set()
    async with observed(repository, batching={"cores": 4}) as (channel, seen):
        stub = ExplanationServiceStub(channel)

        async def one() -> None:
            call = stub.Explain(GOOD)
            if chance.random() < 0.8:  # most of them
                asyncio.get_running_loop().call_later(chance.uniform(0, 0.1), call.cancel)
            answered.add(UUID((await call).id))

        async def many() -> None:
            requests = (pb.StreamExplainRequest(id=str(number), request=GOOD) for number in range(20))
            call = stub.StreamExplain(requests)
            asyncio.get_running_loop().call_later(chance.uniform(0, 0.2), call.cancel)
            async for answer in call:
                answered.add(UUID(answer.result.explanation.id))

        threads = threading.active_count()
        for _ in range(CALLERS // 15):
            await asyncio.gather(*(one() for _ in range(12)), *(many() for _ in range(3)), return_exceptions=True)
        labels = [
            {"grpc_service": "becausal.v1.ExplanationService", "grpc_method": name}
            for name in ("Explain", "StreamExplain")
        ]
        metrics = [(f"becausal_calls_{what}", one) for what in ("running", "waiting") for one in labels]
        async with asyncio.timeout(20):
            while any(seen.metrics.registry.get_sample_value(name, one) for name, one in metrics):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await stub.Explain(GOOD)
        assert threading.active_count() <= threads + 40  # the pools, and not a thread for each caller

    assert answered
    assert answered <= stored(repository)
    assert [fault for fault in faults(caplog) if "database" not in fault] == []


@pytest.mark.timeout(120)
async def test_a_database_that_goes_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    answered: list[UUID] = []
    refused: list[str] = []
    end = asyncio.Event()
    with running_postgres() as server, server.new_database() as url:
        storage.upgrade(url)
        with storage.Database(url) as database:
            repository = storage.ExplanationRepository(database)
            async with serving(repository, database_url=url) as channel:
                stub = ExplanationServiceStub(channel)

                async def call() -> None:
                    while not end.is_set():
                        try:
                            answered.append(UUID((await stub.Explain(GOOD)).id))
                        except grpc.aio.AioRpcError as error:
                            refused.append(failure_of(error).reason)
                            await asyncio.sleep(0.02)

                calls = [asyncio.create_task(call()) for _ in range(8)]
                await until(lambda: len(answered) > 20)
                gone = stopped(server)
                await asyncio.to_thread(gone.__enter__)
                await asyncio.sleep(GONE_SECONDS)
                before = len(answered)
                await asyncio.to_thread(gone.__exit__, None, None, None)
                await until(lambda: len(answered) > before + 20)
                end.set()
                await asyncio.gather(*calls)
        check_all(url, answered)

    assert refused
    assert set(refused) == {"DATABASE_UNAVAILABLE"}
    assert faults(caplog) == []


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - it is counted, not told
            await asyncio.sleep(0.05)
