"""Many requests in one call, and streams of them: nothing is lost, one bad request hurts no other, slow readers slow nobody."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import grpc
import pytest

import storage
from becausal.errors import failure_of
from becausal.v1 import error_reason_pb2 as reasons
from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from fakes import FakeRecommender, HeldRecommender
from listening import listening
from serving import observed, serving

if TYPE_CHECKING:
    from explainer.model import History

HISTORY = ["a", "b", "c"]
GOOD = pb.ExplainRequest(history=HISTORY)
BAD = pb.ExplainRequest(history=HISTORY, item="nope")


def stored(repository: storage.ExplanationRepository) -> int:
    return len(repository.list(storage.ExplanationFilter(), 1000))


def asked(name: str, request: pb.ExplainRequest = GOOD) -> pb.StreamExplainRequest:
    return pb.StreamExplainRequest(id=name, request=request)


async def test_a_batch_answers_in_order_and_tells_what_failed(
    stub: ExplanationServiceStub, repository: storage.ExplanationRepository
) -> None:
    users = [f"u{number}" for number in range(20)]
    requests = [pb.ExplainRequest(history=HISTORY, user_id=user) for user in users]
    requests[7] = BAD
    response = await stub.BatchExplain(pb.BatchExplainRequest(requests=requests))

    problem = response.results[7].problem
    assert (problem.code, problem.reason) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], reasons.ITEM_NOT_IN_CATALOGUE)
    assert [(one.field, one.description) for one in problem.violations] == [("item", problem.message)]
    given = [result.explanation for place, result in enumerate(response.results) if place != 7]
    assert [one.user_id for one in given] == users[:7] + users[8:]
    assert {one.name for one in given} == {
        f"explanations/{one.id}" for one in repository.list(storage.ExplanationFilter(), 50)
    }


@pytest.mark.parametrize(("count", "said"), [(0, "at least 1"), (3, "at most 2")])
async def test_a_batch_has_bounds(repository: storage.ExplanationRepository, count: int, said: str) -> None:
    async with serving(repository, limits={"batch": 2}) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match=said) as caught:
            await ExplanationServiceStub(channel).BatchExplain(pb.BatchExplainRequest(requests=[GOOD] * count))

    assert failure_of(caught.value).violations[0].field == "requests"
    assert stored(repository) == 0


async def test_a_batch_gives_what_was_ready_in_time(repository: storage.ExplanationRepository) -> None:
    held = HeldRecommender()
    settings = {"batching": {"calls": 2}, "limits": {"default_seconds": 0.3}}
    async with serving(repository, held, **settings) as channel:
        call = ExplanationServiceStub(channel).BatchExplain(pb.BatchExplainRequest(requests=[GOOD] * 3))
        assert await asyncio.to_thread(held.started.wait, 30)
        await asyncio.sleep(0.4)
        held.go_on.set()
        results = (await call).results

    assert [result.WhichOneof("outcome") for result in results] == ["explanation", "problem", "problem"]
    assert {result.problem.reason for result in results[1:]} == {reasons.OUT_OF_TIME}


async def test_a_stream_answers_each_request_by_its_id(
    stub: ExplanationServiceStub, repository: storage.ExplanationRepository
) -> None:
    requests = [asked(f"r{number}", BAD if number % 10 == 0 else GOOD) for number in range(40)]
    answers = {answer.id: answer.result async for answer in stub.StreamExplain(iter(requests))}

    assert set(answers) == {one.id for one in requests}
    bad = {name for name, result in answers.items() if result.HasField("problem")}
    assert bad == {"r0", "r10", "r20", "r30"}
    assert stored(repository) == 36


async def test_a_name_that_is_too_long_is_a_problem_of_that_request(stub: ExplanationServiceStub) -> None:
    answers = [answer async for answer in stub.StreamExplain(iter([asked("x" * 257), asked("ok")]))]

    assert {answer.id[:2]: answer.result.WhichOneof("outcome") for answer in answers} == {
        "xx": "problem",
        "ok": "explanation",
    }


class Overtaken(FakeRecommender):
    """Its first answer waits until another was given."""

    def __init__(self) -> None:
        super().__init__()
        self.held = HeldRecommender()

    def attention(self, history: History, target: str) -> object:
        if len(history.items) == 1:
            self.held.started.set()
            assert self.held.go_on.wait(30)
        return super().attention(history, target)


async def test_answers_come_as_they_are_ready(repository: storage.ExplanationRepository) -> None:
    model = Overtaken()
    async with serving(repository, model, batching={"calls": 8, "cores": 4}) as channel:
        call = ExplanationServiceStub(channel).StreamExplain()
        await call.write(asked("slow", pb.ExplainRequest(history=["a"])))
        await call.write(asked("quick"))
        assert (await call.read()).id == "quick"
        model.held.go_on.set()
        assert (await call.read()).id == "slow"
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_a_client_that_does_not_read_is_not_worked_for(sqlite_url: str) -> None:
    history = [*HISTORY, *(f"{number:0250}" for number in range(1500))]  # answers of 0.4 MB
    storage.upgrade(sqlite_url)
    with storage.Database(sqlite_url) as database:
        repository = storage.ExplanationRepository(database)
        async with serving(repository, limits={"outstanding": 2}) as channel:
            stub = ExplanationServiceStub(channel)
            requests = [asked(str(number), pb.ExplainRequest(history=history)) for number in range(60)]
            call = stub.StreamExplain(iter(requests))
            before, now = -1, 0
            async with asyncio.timeout(60):
                while now > before or not now:
                    await asyncio.sleep(0.5)
                    before, now = now, stored(repository)
            # What gRPC buffers on the way is full, and the server stands still.
            assert now < len(requests)
            assert await stub.Explain(GOOD)  # nobody else is held up
            answers = {answer.id async for answer in call}
        assert answers == {one.id for one in requests}


async def test_a_client_that_goes_stops_its_stream(
    repository: storage.ExplanationRepository, caplog: pytest.LogCaptureFixture
) -> None:
    held = HeldRecommender()
    labels = {"grpc_service": "becausal.v1.ExplanationService", "grpc_method": "StreamExplain"}
    async with observed(repository, held) as (channel, seen):
        call = ExplanationServiceStub(channel).StreamExplain()
        for number in range(5):
            await call.write(asked(str(number)))
        assert await asyncio.to_thread(held.started.wait, 30)
        call.cancel()
        async with asyncio.timeout(10):
            while seen.metrics.registry.get_sample_value("becausal_calls_running", labels):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        held.go_on.set()

    assert stored(repository) == 0
    assert not [
        entry for entry in caplog.records if entry.levelno >= logging.WARNING and entry.name.startswith("server.rpc")
    ]


async def test_at_shutdown_what_was_read_is_answered(repository: storage.ExplanationRepository) -> None:
    held = HeldRecommender()
    async with (
        listening(repository, held) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        call = ExplanationServiceStub(channel).StreamExplain()
        await call.write(asked("read"))
        assert await asyncio.to_thread(held.started.wait, 30)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.1)
        held.go_on.set()
        assert (await call.read()).id == "read"
        with pytest.raises(grpc.aio.AioRpcError, match="again, to another one") as caught:
            await call.read()
        await asyncio.wait_for(stopping, 5)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert failure_of(caught.value).reason == "SHUTTING_DOWN"
    assert stored(repository) == 1
