"""ModelService over the wire: models change under load and no call fails, each answer is one model's, the old one goes."""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from sqlalchemy import select

import storage
from becausal.client import AsyncClient, Client
from becausal.errors import InvalidRequestError, NotFoundError, PreconditionError
from becausal.v1 import explanation_service_pb2 as service_pb
from becausal.v1 import model_service_pb2 as pb
from becausal.v1.explanation_pb2 import Explanation
from becausal.v1.model_service_pb2_grpc import ModelServiceStub
from server.application import Application, Patience
from server.config import Config
from server.models import Models
from server.records import Records
from server.rpc.messages import explanation_message, recommendation_message
from server.rpc.model_service import model_name
from serving import rpc_server
from small_models import HISTORY, damage, kept, loaded
from storage.models import LogEntryRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.rpc.server import RpcServer

HISTORIES = [HISTORY[:3], HISTORY, HISTORY[::-1]]
CALLERS = 4
ANSWERS = 40
"""That are waited for after each change."""

ACTIVE, AVAILABLE = pb.Model.ACTIVE, pb.Model.AVAILABLE


@pytest.fixture(name="versions")
def _versions(tmp_path: Path) -> list[str]:
    return [kept(tmp_path, seed) for seed in range(2)]


@asynccontextmanager
async def instance(repository: storage.ExplanationRepository, folder: Path, version: str) -> AsyncIterator[RpcServer]:
    """A server whose first model is that one."""
    config = Config(
        address="127.0.0.1:0", bundles=folder / "bundles", follow_seconds=0.05, drain_delay_seconds=0, drain_seconds=10
    )
    with Records(repository._database, config.audit) as records:
        records.start()
        server = rpc_server(config, repository, loaded(folder, version), records)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


def at(server: RpcServer) -> str:
    return f"127.0.0.1:{server.port}"


def models_of(server: RpcServer) -> Models:
    return server._models._activations._models


def plain(answer: Any) -> Any:
    """An answer without what differs from call to call."""
    if isinstance(answer, Explanation):
        for changing in ("name", "id", "create_time", "cost"):
            answer.ClearField(changing)
    return answer


def expected(folder: Path, version: str) -> list[tuple[Any, Any]]:
    """What one model answers, computed alone."""
    config = Config(bundles=folder / "bundles")
    application = Application(Models(loaded(folder, version), config), config, None)
    settings = config.explain.settings()
    return [
        (
            recommendation_message(application.recommend(history, 5)),
            plain(explanation_message(application.explain(history, None, settings, "u", Patience()))),
        )
        for history in HISTORIES
    ]


@dataclass
class Load:
    """Callers that never stop; what they got, by the model that answered, and what failed."""

    address: str
    stop: threading.Event = field(default_factory=threading.Event)
    answers: list[tuple[str, int, Any]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def call(self) -> None:
        with Client(self.address, options=[("grpc.enable_retries", 0)]) as client:
            while not self.stop.is_set():
                for place, history in enumerate(HISTORIES):
                    try:
                        ranked = client.recommend(history, k=5)
                        explained = client.explain(history, user_id="u")
                    except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                        self.failures.append(error)
                        return
                    self.answers += [
                        (ranked.model_version, place, ranked),
                        (explained.model_version, place, plain(explained)),
                    ]

    def count(self, version: str) -> int:
        return sum(one[0] == version for one in list(self.answers))

    async def until(self, version: str, count: int) -> None:
        async with asyncio.timeout(60):
            while self.count(version) < count:
                assert not self.failures
                await asyncio.sleep(0.01)


async def until_gone(server: RpcServer) -> None:
    async with asyncio.timeout(30):
        while models_of(server).draining is not None:  # noqa: ASYNC110 - a thread puts it away
            await asyncio.sleep(0.01)


async def test_models_change_under_load_and_no_call_fails(
    repository: storage.ExplanationRepository, tmp_path: Path, versions: list[str]
) -> None:
    right = {version: await asyncio.to_thread(expected, tmp_path, version) for version in versions}
    assert right[versions[0]] != right[versions[1]]
    async with instance(repository, tmp_path, versions[0]) as server, AsyncClient(at(server)) as operator:
        load = Load(at(server))
        callers = ThreadPoolExecutor(CALLERS)
        calls = [asyncio.wrap_future(callers.submit(load.call)) for _ in range(CALLERS)]
        try:
            for version in (versions[1], versions[0]):
                await load.until(models_of(server).version, load.count(models_of(server).version) + ANSWERS)
                before = weakref.ref(models_of(server).active.recommender)
                batcher = models_of(server).batcher
                activated = await operator.activate_model(model_name(version))
                assert (activated.version, activated.state) == (version, ACTIVE)
                await until_gone(server)
                assert not batcher.alive
                del batcher
                assert await released(before)
                await load.until(version, load.count(version) + ANSWERS)
        finally:
            load.stop.set()
            await asyncio.gather(*calls)
            callers.shutdown()
    assert load.failures == []
    assert {one[0] for one in load.answers} == set(versions)
    wrong = [one for one in load.answers if one[2] not in right[one[0]][one[1]]]
    assert wrong == []


async def released(reference: weakref.ref[Any]) -> bool:
    """Whether nothing refers to it: no collector is needed, only the end of what last used it."""
    for _ in range(500):
        if reference() is None:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_each_request_of_a_batch_is_answered_by_one_model(
    repository: storage.ExplanationRepository, tmp_path: Path, versions: list[str]
) -> None:
    right = {version: await asyncio.to_thread(expected, tmp_path, version) for version in versions}
    requests = [service_pb.ExplainRequest(history=history, user_id="u") for history in HISTORIES]
    async with instance(repository, tmp_path, versions[0]) as server, AsyncClient(at(server)) as client:
        answers: list[Any] = []

        async def batches() -> None:
            while len({one[1].model_version for one in answers}) < 2:
                results = await client.batch_explain(requests)
                answers.extend(enumerate(result.explanation for result in results))

        calling = asyncio.gather(batches(), batches())
        while not answers:  # noqa: ASYNC110 - over a wire
            await asyncio.sleep(0.01)
        await client.activate_model(model_name(versions[1]))
        await asyncio.wait_for(calling, 60)
    assert [one for one in answers if plain(one[1]) != right[one[1].model_version][one[0]][1]] == []


async def test_the_calls_of_the_service(
    repository: storage.ExplanationRepository, tmp_path: Path, versions: list[str]
) -> None:
    names = [model_name(version) for version in versions]
    async with instance(repository, tmp_path, versions[0]) as server, AsyncClient(at(server)) as client:
        listed = [one async for one in client.list_models(page_size=1)]
        assert [(one.name, one.state) for one in listed] == [(names[1], AVAILABLE), (names[0], ACTIVE)]
        assert [one.HasField("imported") for model in listed for one in model.figures] == [True, False]
        assert await client.get_model(names[0]) == listed[1]
        assert (await client.activate_model(names[1], validate_only=True)).state == AVAILABLE
        assert (await client.recommend(HISTORY)).model_version == versions[0]
        assert (await client.activate_model(names[1])).state == ACTIVE
        assert (await client.recommend(HISTORY)).model_version == versions[1]


async def test_an_activation_is_in_the_audit_log(
    repository: storage.ExplanationRepository, tmp_path: Path, versions: list[str]
) -> None:
    actor = [("becausal-actor", "ann")]
    async with instance(repository, tmp_path, versions[0]) as server, AsyncClient(at(server), metadata=actor) as client:
        await client.activate_model(model_name(versions[1]))
    with repository._database.reading() as connection:
        (document,) = connection.execute(select(LogEntryRow.document).where(LogEntryRow.kind == "activation")).scalars()
    assert f'"actor":"ann","format":1,"model_version":"{versions[1]}"' in document


async def test_what_is_wrong_is_told(
    repository: storage.ExplanationRepository, tmp_path: Path, versions: list[str]
) -> None:
    damage(tmp_path, versions[1])
    nobody = "models/" + 64 * "0"
    async with instance(repository, tmp_path, versions[0]) as server, AsyncClient(at(server)) as client:
        for call in (client.get_model, client.activate_model):
            for name in ("", "models/x", versions[1], nobody.upper()):
                with pytest.raises(InvalidRequestError) as invalid:
                    await call(name)
                assert [one.field for one in invalid.value.violations] == ["name"]
            with pytest.raises(NotFoundError) as missing:
                await call(nobody)
            assert missing.value.reason == "MODEL_NOT_FOUND"
        with pytest.raises(PreconditionError) as damaged:
            await client.activate_model(model_name(versions[1]))
        assert (damaged.value.reason, damaged.value.code()) == ("MODEL_DAMAGED", grpc.StatusCode.FAILED_PRECONDITION)
        assert str(tmp_path) not in str(damaged.value)
        with models_of(server).lease():
            models_of(server).switch(models_of(server).made(loaded(tmp_path, versions[0])))
            with pytest.raises(PreconditionError) as busy:
                await client.activate_model(model_name(versions[1]))
        assert (busy.value.reason, busy.value.code()) == ("ACTIVATION_UNDER_WAY", grpc.StatusCode.ABORTED)
        assert busy.value.retry_after == 1
        assert (await client.recommend(HISTORY)).model_version == versions[0]


async def test_another_instance_on_the_database_follows(
    repository: storage.ExplanationRepository, tmp_path: Path, versions: list[str]
) -> None:
    async with (
        instance(repository, tmp_path, versions[0]) as here,
        instance(repository, tmp_path, versions[0]) as there,
        AsyncClient(at(here)) as operator,
        AsyncClient(at(there)) as client,
    ):
        await operator.activate_model(model_name(versions[1]))
        async with asyncio.timeout(30):
            while (await client.recommend(HISTORY)).model_version != versions[1]:  # noqa: ASYNC110 - over a wire
                await asyncio.sleep(0.01)
        assert [one.state async for one in client.list_models()] == [ACTIVE, AVAILABLE]


async def test_a_caller_that_goes_leaves_the_model_as_it_is(
    repository: storage.ExplanationRepository, tmp_path: Path, versions: list[str]
) -> None:
    async with instance(repository, tmp_path, versions[0]) as server, AsyncClient(at(server)) as client:
        bundles, loading, go_on = models_of(server).bundles, asyncio.Event(), threading.Event()
        loop, fresh = asyncio.get_running_loop(), bundles.fresh

        def held(version: str) -> Any:
            loop.call_soon_threadsafe(loading.set)
            assert go_on.wait(60)
            return fresh(version)

        bundles.fresh = held
        call = ModelServiceStub(client.channel).ActivateModel(pb.ActivateModelRequest(name=model_name(versions[1])))
        asking = asyncio.ensure_future(call)
        await asyncio.wait_for(loading.wait(), 30)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(30):
            while server._drain._calls:  # noqa: ASYNC110 - over a wire
                await asyncio.sleep(0.01)
        go_on.set()
        await asyncio.to_thread(server._models.close)
        assert models_of(server).version == versions[0]
        assert storage.ActivationRepository(repository._database).latest() is None
