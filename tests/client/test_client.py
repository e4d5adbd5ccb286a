"""Both clients say the same, call by call, and turn failures into something to act on."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from becausal import errors
from becausal.client import AsyncClient, Client, Health
from becausal.errors import error_from
from becausal.v1.audit_service_pb2 import GetCheckpointRequest
from becausal.v1.audit_service_pb2_grpc import AuditServiceStub
from becausal.v1.explanation_service_pb2 import ExplainRequest, StreamExplainRequest
from becausal.v1.model_service_pb2 import Model
from fakes import SlowRecommender
from listening import listening, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    import storage

HISTORY = ["a", "b", "c"]
ASKED = [ExplainRequest(history=HISTORY), ExplainRequest(history=HISTORY, item="nope")]
CALLS = sorted(name for name, member in vars(Client).items() if inspect.isfunction(member) and name[0] != "_")


@pytest.mark.parametrize("call", CALLS)
def test_the_two_clients_have_the_same_calls(call: str) -> None:
    ours, theirs = (inspect.signature(getattr(client, call)).parameters for client in (Client, AsyncClient))
    assert ours == theirs
    assert call == "close" or "timeout" in ours


def test_the_two_clients_are_made_alike() -> None:
    assert inspect.signature(Client).parameters == inspect.signature(AsyncClient).parameters


def streamed() -> Iterator[StreamExplainRequest]:
    return (StreamExplainRequest(id=name, request=ASKED[0]) for name in ("1", "2"))


def everything(address: str) -> dict[str, Any]:
    """Every call of the synchronous client."""
    with Client(address, metadata=[("becausal-actor", "tests")]) as client:
        explained = client.explain(HISTORY, user_id="u")
        return {
            "health": client.health(),
            "recommend": [one.item for one in client.recommend(HISTORY, k=2).items],
            "explain": explained.reason,
            "all": [one.target.item for one in client.recommend_and_explain(HISTORY, k=2).explanations],
            "batch": [one.WhichOneof("outcome") for one in client.batch_explain(ASKED)],
            "stream": sorted((one.id, one.result.explanation.target.item) for one in client.stream_explain(streamed())),
            "what_if": [one.item for one in client.what_if(HISTORY, remove=[0], k=2).after],
            "same": client.get_explanation(explained.name) == explained,
            "listed": [one.name == explained.name for one in client.list_explanations(filter='user_id = "u"')],
            "paged": len(list(client.list_explanations(page_size=1))),
            "recorded": client.record_interactions("u", HISTORY, time=datetime(2026, 1, 1, tzinfo=UTC)),
            "again": client.record_interactions("u", HISTORY, time=datetime(2026, 1, 1, tzinfo=UTC)),
            "by_user": [one.item for one in client.recommend(user_id="u", k=2).items],
            "replayed": client.replay_explanation(explained.name).name == explained.name,
            "erased": client.erase_user("u", reason="asked").interactions,
            "models": [(one.name, one.state) for one in client.list_models(page_size=1)],
        }


async def everything_async(address: str) -> dict[str, Any]:
    """Every call of the asyncio client."""
    async with AsyncClient(address, metadata=[("becausal-actor", "tests")]) as client:
        explained = await client.explain(HISTORY, user_id="u")
        return {
            "health": await client.health(),
            "recommend": [one.item for one in (await client.recommend(HISTORY, k=2)).items],
            "explain": explained.reason,
            "all": [one.target.item for one in (await client.recommend_and_explain(HISTORY, k=2)).explanations],
            "batch": [one.WhichOneof("outcome") for one in await client.batch_explain(ASKED)],
            "stream": sorted(
                [(one.id, one.result.explanation.target.item) async for one in client.stream_explain(streamed())]
            ),
            "what_if": [one.item for one in (await client.what_if(HISTORY, remove=[0], k=2)).after],
            "same": await client.get_explanation(explained.name) == explained,
            "listed": [one.name == explained.name async for one in client.list_explanations(filter='user_id = "u"')],
            "paged": len([one async for one in client.list_explanations(page_size=1)]),
            "recorded": await client.record_interactions("u", HISTORY, time=datetime(2026, 1, 1, tzinfo=UTC)),
            "again": await client.record_interactions("u", HISTORY, time=datetime(2026, 1, 1, tzinfo=UTC)),
            "by_user": [one.item for one in (await client.recommend(user_id="u", k=2)).items],
            "replayed": (await client.replay_explanation(explained.name)).name == explained.name,
            "erased": (await client.erase_user("u", reason="asked")).interactions,
            "models": [(one.name, one.state) async for one in client.list_models(page_size=1)],
        }


EXPECTED = {
    "health": Health.SERVING,
    "recommend": ["t", "r"],
    "explain": "Because you watched Alien",
    "all": ["t", "r"],
    "batch": ["explanation", "problem"],
    "stream": [("1", "t"), ("2", "t")],
    "what_if": ["r", "q"],
    "same": True,
    "listed": [True],
    "paged": 6,
    "recorded": 3,
    "again": 0,
    "by_user": ["t", "r"],
    "replayed": True,
    "erased": 3,
    "models": [("models/fake", Model.ACTIVE)],
}


async def test_every_call_of_the_synchronous_client(address: str) -> None:
    assert await asyncio.to_thread(everything, address) == EXPECTED


async def test_every_call_of_the_asyncio_client(address: str) -> None:
    assert await everything_async(address) == EXPECTED


@pytest.mark.parametrize("call", ["get_model", "activate_model"])
async def test_both_clients_name_models_alike(address: str, call: str) -> None:
    with Client(address) as client, pytest.raises(errors.NotFoundError) as one:
        await asyncio.to_thread(getattr(client, call), "models/" + 64 * "0")
    async with AsyncClient(address) as client:
        with pytest.raises(errors.NotFoundError) as other:
            await getattr(client, call)("models/" + 64 * "0")
    assert str(one.value) == str(other.value)
    assert "becausal models add" in str(one.value)


async def test_other_services_are_called_over_the_same_channel(address: str) -> None:
    async with AsyncClient(address) as client:
        with pytest.raises(grpc.RpcError) as caught:
            await AuditServiceStub(client.channel).GetCheckpoint(GetCheckpointRequest())
    failure = errors.failure_of(caught.value)
    assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
    assert failure.reason == "NO_CHECKPOINT"


async def failed(address: str, **arguments: Any) -> errors.CallError:
    async with AsyncClient(address) as client:
        with pytest.raises(errors.CallError) as caught:
            await client.explain(**arguments)
    return caught.value


async def test_a_bad_field_is_named(address: str) -> None:
    error = await failed(address, history=HISTORY, item="nope")

    assert type(error) is errors.InvalidRequestError
    assert error.reason == "ITEM_NOT_IN_CATALOGUE"
    (violation,) = error.violations
    assert violation.field == "item"
    assert str(error) == violation.description == error.details()
    assert error.retry_after is None


async def test_the_synchronous_client_raises_the_same(address: str) -> None:
    def call() -> errors.CallError:
        with Client(address) as client, pytest.raises(grpc.RpcError) as caught:
            client.get_explanation("explanations/01a20b93-fd93-77a3-a145-947af1830b03")
        return caught.value

    error = await asyncio.to_thread(call)
    assert type(error) is errors.NotFoundError
    assert error.reason == "EXPLANATION_NOT_FOUND"


async def test_an_error_can_be_sent_between_processes(address: str) -> None:
    error = await failed(address, history=[])

    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - made a line before
    assert (type(copied), str(copied), copied.failure) == (type(error), str(error), error.failure)


async def test_a_deadline_says_how_long_it_was(repository: storage.ExplanationRepository) -> None:
    async with listening(repository, SlowRecommender()) as server, AsyncClient(f"127.0.0.1:{server.port}") as client:
        await client.health()
        with pytest.raises(errors.DeadlineError, match=r"Explain took longer than 0.1 s; give it more time"):
            await client.explain(HISTORY, timeout=0.1)


async def test_nobody_there_is_said_with_a_remedy() -> None:
    async with AsyncClient("127.0.0.1:1") as client:
        with pytest.raises(errors.UnavailableError, match=r"No server answers at 127\.0\.0\.1:1 .*check that it runs"):
            await client.recommend(HISTORY)


async def test_waiting_for_a_server_ends(address: str) -> None:
    async with AsyncClient(address) as client, AsyncClient("127.0.0.1:1") as nobody:
        await client.wait_until_serving(5)
        with pytest.raises(errors.DeadlineError):
            await nobody.wait_until_serving(0.3)


async def test_a_call_that_the_server_lacks(address: str) -> None:
    async with scripted() as old, AsyncClient(f"127.0.0.1:{old.port}") as client:
        with pytest.raises(
            errors.ServerFaultError, match="does not know WhatIf; bring server and client to one version"
        ):
            await client.what_if(HISTORY)
    assert address


class Told(grpc.RpcError):
    """An error of gRPC with details of its own."""

    def __init__(self, code: grpc.StatusCode, *trailing: tuple[str, str | bytes]) -> None:
        super().__init__()
        self._told = code, trailing

    def code(self) -> grpc.StatusCode:
        return self._told[0]

    def details(self) -> str:
        return "told"

    def trailing_metadata(self) -> Any:
        return self._told[1]


def packed(*details: Any) -> tuple[str, bytes]:
    status = status_pb2.Status(code=8, message="told")
    for detail in details:
        status.details.add().Pack(detail)
    return "grpc-status-details-bin", status.SerializeToString()


def test_details_are_read_beside_the_original_messages() -> None:
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(1500)
    info = error_details_pb2.ErrorInfo(reason="FULL", domain="becausal", metadata={"queue": "32"})
    help_ = error_details_pb2.Help()  # a kind that this client does not read
    told = Told(grpc.StatusCode.RESOURCE_EXHAUSTED, ("x", "y"), packed(help_, info, retry))

    error = error_from(told, call="Explain", address="here", timeout=1)

    assert type(error) is errors.OverloadedError
    assert (error.reason, error.retry_after, error.failure.metadata) == ("FULL", 1.5, {"queue": "32"})


@pytest.mark.parametrize(("told", "seconds"), [("250", 0.25), ("-1", None), ("soon", None)])
def test_pushback_counts_as_a_time_to_come_back(told: str, seconds: float | None) -> None:
    error = Told(grpc.StatusCode.RESOURCE_EXHAUSTED, ("grpc-retry-pushback-ms", told))
    assert errors.failure_of(error).retry_after == seconds


@pytest.mark.parametrize("damaged", [b"\xff\xff\xff", b"", "text"])
def test_damaged_details_leave_the_code(damaged: bytes | str) -> None:
    failure = errors.failure_of(Told(grpc.StatusCode.INTERNAL, ("grpc-status-details-bin", damaged)))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INTERNAL, "")


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_makes_one_sentence(code: grpc.StatusCode) -> None:
    error = error_from(Told(code), call="Explain", address="here:1", timeout=2)
    assert error.code() is code
    assert "Explain" in str(error) or "here:1" in str(error)
    assert "{" not in str(error)
