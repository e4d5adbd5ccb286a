"""Readiness that follows the database, the listener that shows it, and what is counted when nothing can be stored."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import update

import storage
from becausal.channel import AUDIT_SERVICE, EXPLANATION_SERVICE
from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from databases import running_postgres, stopped
from server import probe
from server.admin import AdminListener, Page
from server.config import Config, ConfigError
from server.logs import JsonFormatter, configure
from server.outside_settings import Logs
from serving import observed
from storage.models import LogCheckpointRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import grpc

    from databases import Postgres
    from server.outside import Outside

ADMIN = {"address": "127.0.0.1:0", "check_seconds": 0.05, "check_timeout_seconds": 2.0}
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def fetched(outside: Outside, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{outside.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def health(channel: grpc.aio.Channel, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    return (await health_pb2_grpc.HealthStub(channel).Check(request)).status


async def until(channel: grpc.aio.Channel, service: str, status: int) -> None:
    async with asyncio.timeout(30):
        while await health(channel, service) != status:  # noqa: ASYNC110 - over a wire
            await asyncio.sleep(0.02)


async def follows(url: str, gone: Callable[[], AbstractContextManager[None]]) -> None:
    """Serve over a database, take it away, and give it back."""
    with storage.Database(url, timeout_s=2) as database:
        repository = storage.ExplanationRepository(database)
        async with observed(repository, database_url=url, admin=ADMIN) as (channel, outside):
            assert await health(channel, EXPLANATION_SERVICE) == SERVING
            assert (await asyncio.to_thread(fetched, outside, "/readyz"))[0] == 200
            with gone():
                for service in (EXPLANATION_SERVICE, AUDIT_SERVICE):
                    await until(channel, service, NOT_SERVING)
                # The process itself is well: nobody should restart it.
                assert await health(channel, "") == SERVING
                assert (await asyncio.to_thread(fetched, outside, "/livez"))[0] == 200
                status, text = await asyncio.to_thread(fetched, outside, "/readyz")
                told = json.loads(text)
                assert (status, told["ready"]) == (503, False)
                assert [check["name"] for check in told["checks"] if not check["ok"]] == ["database"]
                assert 'becausal_check_ok{check="database"} 0.0' in fetched(outside, "/metrics")[1]
            await until(channel, EXPLANATION_SERVICE, SERVING)
            await until(channel, AUDIT_SERVICE, SERVING)
            assert (await ExplanationServiceStub(channel).Explain(pb.ExplainRequest(history=["a", "b"]))).name


async def test_health_follows_postgresql() -> None:
    with running_postgres() as server, server.new_database() as url:
        storage.upgrade(url)
        await follows(url, lambda: stopped(server))


@contextmanager
def moved(file: Path) -> Iterator[None]:
    away = file.with_suffix(".away")
    file.rename(away)
    try:
        yield
    finally:
        away.rename(file)


async def test_health_follows_a_sqlite_file(sqlite_url: str, tmp_path: Path) -> None:
    storage.upgrade(sqlite_url)
    await follows(sqlite_url, lambda: moved(tmp_path / "becausal.db"))


async def test_an_older_schema_is_not_ready(database_url: str) -> None:
    with storage.Database(database_url) as database:
        repository = storage.ExplanationRepository(database)
        async with observed(repository, database_url=database_url, admin=ADMIN) as (channel, outside):
            storage.downgrade(database_url, "base")
            await until(channel, EXPLANATION_SERVICE, NOT_SERVING)
            assert any("db upgrade" in cause for cause in outside.readiness.causes(EXPLANATION_SERVICE))
            storage.upgrade(database_url)
            await until(channel, EXPLANATION_SERVICE, SERVING)


async def test_best_effort_serves_without_a_database_and_counts_what_it_drops() -> None:
    with running_postgres() as server, server.new_database() as url:
        storage.upgrade(url)
        with storage.Database(url, timeout_s=2) as database:
            repository = storage.ExplanationRepository(database)
            settings = {"database_url": url, "admin": ADMIN, "audit": {"mode": "best_effort"}}
            async with observed(repository, **settings) as (channel, outside):
                assert dropped(outside) == 0
                with stopped(server):
                    await until(channel, AUDIT_SERVICE, NOT_SERVING)
                    assert await health(channel, EXPLANATION_SERVICE) == SERVING
                    answer = await ExplanationServiceStub(channel).Explain(pb.ExplainRequest(history=["a", "b", "c"]))
                    assert answer.reason
                    async with asyncio.timeout(30):
                        while not dropped(outside):  # noqa: ASYNC110 - another thread counts
                            await asyncio.sleep(0.02)
                assert dropped(outside) == 1
                assert "becausal_audit_dropped_total 1.0" in fetched(outside, "/metrics")[1]


def dropped(outside: Outside) -> float | None:
    return outside.metrics.registry.get_sample_value("becausal_audit_dropped_total")


async def test_a_database_that_hangs_is_not_ready(postgres: Postgres) -> None:
    with postgres.new_database() as url:
        storage.upgrade(url)
        admin = ADMIN | {"check_timeout_seconds": 0.2}
        with storage.Database(url) as database:
            repository = storage.ExplanationRepository(database)
            async with observed(repository, database_url=url, admin=admin) as (channel, _):
                with psycopg.connect(url) as locking:
                    locking.execute("LOCK TABLE alembic_version")
                    await until(channel, EXPLANATION_SERVICE, NOT_SERVING)
                await until(channel, EXPLANATION_SERVICE, SERVING)


async def test_a_pass_that_does_not_end_is_not_ready_but_live(
    explanations: storage.ExplanationRepository, database_url: str
) -> None:
    limits = {"seconds": 0.1}
    async with observed(explanations, database_url=database_url, admin=ADMIN, limits=limits) as (channel, outside):
        batcher, go_on = outside.readiness._batcher(), threading.Event()
        batcher._rows = lambda _: 1
        batcher._answer = lambda questions: [go_on.wait(60) for _ in questions]
        asked = asyncio.ensure_future(asyncio.to_thread(batcher.ask, "question"))
        await until(channel, EXPLANATION_SERVICE, NOT_SERVING)
        assert await health(channel, AUDIT_SERVICE) == await health(channel, "") == SERVING
        go_on.set()
        await until(channel, EXPLANATION_SERVICE, SERVING)
        assert await asked
        assert outside.metrics.registry.get_sample_value("becausal_model_pass_rows_sum") == 1


async def test_a_server_that_leaves_is_not_ready(
    explanations: storage.ExplanationRepository, database_url: str
) -> None:
    async with observed(explanations, database_url=database_url, admin=ADMIN) as (_, outside):
        outside.leave()
        status, text = await asyncio.to_thread(fetched, outside, "/readyz")

    assert (status, json.loads(text)["shutting_down"]) == (503, True)


async def test_a_damaged_log_is_counted(explanations: storage.ExplanationRepository, database_url: str) -> None:
    audit = {"sequence_seconds": 0.05}
    async with observed(explanations, database_url=database_url, admin=ADMIN, audit=audit) as (channel, outside):
        damaged = partial(
            outside.metrics.registry.get_sample_value,
            "becausal_audit_sequencing_failures_total",
            {"error": "LogDamagedError"},
        )
        assert damaged() == 0
        stub = ExplanationServiceStub(channel)
        await stub.Explain(pb.ExplainRequest(history=["a", "b", "c"]))
        async with asyncio.timeout(30):
            # The backlog of the last look may still be that of the empty log.
            while storage.AuditLog(explanations._database, "becausal").state() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            with explanations._database.writing() as connection:
                connection.execute(update(LogCheckpointRow).values(root=bytes(32)))
            await stub.Explain(pb.ExplainRequest(history=["a", "b", "c"]))
            while not damaged():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)


async def test_a_dead_thread_is_not_live(explanations: storage.ExplanationRepository, database_url: str) -> None:
    async with observed(explanations, database_url=database_url, admin=ADMIN) as (channel, outside):
        assert fetched(outside, "/livez")[0] == 200
        outside.readiness._batcher().close()
        await until(channel, "", NOT_SERVING)
        status, text = await asyncio.to_thread(fetched, outside, "/livez")

    assert status == 503
    assert "the model" in json.loads(text)["causes"][0]


async def test_the_metrics_have_every_name_that_the_operations_page_has(
    explanations: storage.ExplanationRepository, database_url: str
) -> None:
    async with observed(explanations, database_url=database_url, admin=ADMIN) as (channel, outside):
        await ExplanationServiceStub(channel).Explain(pb.ExplainRequest(history=["a", "b", "c"]))
        _, text = await asyncio.to_thread(fetched, outside, "/metrics")
    own = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    own = {name for name in own if name.startswith(("becausal_", "grpc_")) and not name.endswith("_created")}
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()

    assert own
    assert {name for name in own if f"`{name}" not in page} == set()
    assert 'becausal_model_info{version="sha256:fake"} 1.0' in text


async def test_other_paths_are_not_found(explanations: storage.ExplanationRepository) -> None:
    async with observed(explanations, admin=ADMIN) as (_, outside):
        assert fetched(outside, "/")[0] == 404


def test_an_admin_address_that_is_taken_is_refused() -> None:
    first = AdminListener("127.0.0.1:0", {})
    try:
        with pytest.raises(ConfigError, match=r"admin\.address"):
            AdminListener(f"127.0.0.1:{first.port}", {})
    finally:
        first.close()


@pytest.mark.parametrize("status", [0, 1])
def test_the_probe_says_what_the_listener_says(
    status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    well = status == 0
    listener = AdminListener("127.0.0.1:0", {"/readyz": lambda _: Page.told({"ready": well}, well=well)})
    monkeypatch.setenv("BECAUSAL_ADMIN__ADDRESS", f"0.0.0.0:{listener.port}")
    try:
        assert probe.main([]) == probe.main([f"127.0.0.1:{listener.port}"]) == status
    finally:
        listener.close()
    assert probe.main([]) == 1
    printed = capsys.readouterr()
    assert '"ready"' in printed.out + printed.err
    assert "does not answer" in printed.err


def test_the_probe_needs_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BECAUSAL_ADMIN__ADDRESS", raising=False)
    assert probe.main([]) == 2


@pytest.fixture
def _root_logger() -> Iterator[None]:
    root, hook = logging.getLogger(), threading.excepthook
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    threading.excepthook = hook


@pytest.mark.usefixtures("_root_logger")
@pytest.mark.parametrize("form", ["text", "json"])
def test_exceptions_in_messages_and_of_threads_are_withheld(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(Logs(format=form))

    def fails() -> None:
        raise ValueError("item-4711")

    thread = threading.Thread(target=fails, name="worker")
    thread.start()
    thread.join()
    logging.getLogger("some.library").warning("could not: %s", ValueError("item-4711"))
    logging.getLogger("asyncio").error("Task exception\nfuture: item-4711")
    logging.getLogger("some.library").warning("database: %s", storage.DatabaseUnavailableError("becausal is away"))
    printed = capsys.readouterr().err

    assert "item-4711" not in printed
    assert "The thread worker ended" in printed
    assert "becausal is away" in printed
    if form == "json":
        assert all(json.loads(line)["logger"] for line in printed.splitlines())


def test_a_message_cannot_forge_a_second_json_line() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "first\n%s", ('{"level": "INFO"}',), None)
    (line,) = JsonFormatter().format(record).splitlines()

    assert json.loads(line)["message"] == 'first\n{"level": "INFO"}'


def test_the_defaults_open_no_port() -> None:
    assert Config().admin.address is None
    assert Config().telemetry.traces is False
    assert Config().logs.payloads is False
