"""A request that is sent again by its id is answered once and the same."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import grpc
import pytest

import storage
from becausal.errors import failure_of
from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from fakes import HeldRecommender, SlowRecommender
from server.requests import request_key
from serving import serving

HISTORY = ["a", "b", "c"]


def asked(request_id: str, **changes: object) -> pb.ExplainRequest:
    return pb.ExplainRequest(**{"history": HISTORY, "user_id": "u", "request_id": request_id, **changes})


def stored(repository: storage.ExplanationRepository) -> int:
    return len(repository.list(storage.ExplanationFilter(), 1000))


async def test_the_same_request_again_gives_what_was_stored(repository: storage.ExplanationRepository) -> None:
    slow, one = SlowRecommender(), str(uuid4())
    async with serving(repository, slow) as channel:
        stub = ExplanationServiceStub(channel)
        first = await stub.Explain(asked(one))
        batches = slow.batches
        again = await stub.Explain(asked(one.upper()))
        batched = await stub.BatchExplain(pb.BatchExplainRequest(requests=[asked(one)]))

    assert first == again == batched.results[0].explanation
    assert slow.batches == batches
    assert stored(repository) == 1


async def test_all_answers_to_a_request_are_given_again(
    stub: ExplanationServiceStub, repository: storage.ExplanationRepository
) -> None:
    request = pb.RecommendAndExplainRequest(history=HISTORY, k=3, request_id=str(uuid4()))

    assert await stub.RecommendAndExplain(request) == await stub.RecommendAndExplain(request)
    assert stored(repository) == 3


@pytest.mark.parametrize("changes", [{"item": "r"}, {"history": ["a", "b"]}, {"user_id": "other"}])
async def test_another_request_of_the_same_id_is_refused(
    stub: ExplanationServiceStub, repository: storage.ExplanationRepository, changes: dict[str, object]
) -> None:
    one = str(uuid4())
    await stub.Explain(asked(one))
    with pytest.raises(grpc.aio.AioRpcError, match="an id of its own") as caught:
        await stub.Explain(asked(one, **changes))

    failure = failure_of(caught.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    assert failure.violations[0].field == "request_id"
    assert stored(repository) == 1


async def test_two_of_a_request_at_once_have_one_answer(repository: storage.ExplanationRepository) -> None:
    held, one = HeldRecommender(), str(uuid4())
    async with serving(repository, held) as channel:
        stub = ExplanationServiceStub(channel)
        calls = [asyncio.create_task(_explain(stub, one)) for _ in range(4)]
        assert await asyncio.to_thread(held.started.wait, 30)
        await asyncio.sleep(0.2)
        held.go_on.set()
        names = await asyncio.gather(*calls)

    assert len(set(names)) == 1
    assert stored(repository) == 1


async def _explain(stub: ExplanationServiceStub, request_id: str) -> str:
    return (await stub.Explain(asked(request_id))).name


async def test_an_id_is_a_uuid(stub: ExplanationServiceStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="must be a valid UUID") as caught:
        await stub.Explain(asked("one"))
    assert failure_of(caught.value).violations[0].field == "request_id"


async def test_what_was_erased_is_not_given_again(
    stub: ExplanationServiceStub, repository: storage.ExplanationRepository
) -> None:
    one = str(uuid4())
    first = await stub.Explain(asked(one))
    await stub.EraseUser(pb.EraseUserRequest(user_id="u"))

    assert (await stub.Explain(asked(one))).name != first.name
    assert stored(repository) == 1


def test_ids_are_a_callers_own() -> None:
    one = str(uuid4())
    mine, theirs = request_key(one, "shop", "x"), request_key(one, "app", "x")

    assert mine is not None
    assert theirs is not None
    assert mine.key != theirs.key
    assert mine.digest == theirs.digest
