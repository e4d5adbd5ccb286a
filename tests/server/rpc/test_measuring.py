"""What a call leaves behind: its id, its counters, its line in the log, its spans, and its trace in the record."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import grpc
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import storage
from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from fakes import FakeRecommender, HeldRecommender
from server.calls import Call
from server.config import Config, ConfigError
from server.logs import JsonFormatter, TextFormatter
from server.outside import Outside
from server.rpc.errors import INTERNAL_TEXT
from server.rpc.handlers import AroundInterceptor, current_flow
from server.tracing import OpenTelemetry, Tracing, provider, tracing
from serving import observed, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from server.logs import SafeFormatter

SERVICE = "becausal.v1.ExplanationService"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def count(seen: Outside, name: str, **labels: str) -> float:
    return seen.metrics.registry.get_sample_value(name, labels) or 0.0


def of(method: str, **more: str) -> dict[str, str]:
    return {"grpc_type": "unary", "grpc_service": SERVICE, "grpc_method": method, **more}


async def test_calls_are_counted_by_their_final_status(repository: storage.ExplanationRepository) -> None:
    async with observed(repository) as (channel, seen):
        stub = ExplanationServiceStub(channel)
        await stub.Recommend(pb.RecommendRequest(history=["a"]))
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Recommend(pb.RecommendRequest())
        async with asyncio.timeout(10):  # a refusal is with the client before it is counted
            while count(seen, "grpc_server_handling_seconds_count", **of("Recommend")) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        assert count(seen, "grpc_server_started_total", **of("Recommend")) == 2
        assert count(seen, "grpc_server_handled_total", **of("Recommend", grpc_code="OK")) == 1
        assert count(seen, "grpc_server_handled_total", **of("Recommend", grpc_code="INVALID_ARGUMENT")) == 1
        assert count(seen, "grpc_server_msg_received_total", **of("Recommend")) == 2
        assert count(seen, "grpc_server_msg_sent_total", **of("Recommend")) == 1
        assert count(seen, "grpc_server_handling_seconds_count", **of("Recommend")) == 2


@pytest.mark.parametrize(("seconds", "code"), [(0.3, "DEADLINE_EXCEEDED"), (None, "CANCELLED")])
async def test_a_call_that_ends_early_has_its_own_status(
    repository: storage.ExplanationRepository, seconds: float | None, code: str
) -> None:
    held = HeldRecommender()
    async with observed(repository, held) as (channel, seen):
        call = ExplanationServiceStub(channel).Explain(pb.ExplainRequest(history=["a", "b"]), timeout=seconds)
        assert await asyncio.to_thread(held.started.wait, 30)
        if seconds is None:
            call.cancel()
        async with asyncio.timeout(10):
            while not count(seen, "grpc_server_handled_total", **of("Explain", grpc_code=code)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        held.go_on.set()


async def test_explanations_are_counted_with_their_stages(repository: storage.ExplanationRepository) -> None:
    async with observed(repository) as (channel, seen):
        answer = await ExplanationServiceStub(channel).Explain(pb.ExplainRequest(history=["a", "b", "c"]))

        assert count(seen, "becausal_explanations_total", status="EXPLAINED") == 1
        assert count(seen, "becausal_explanation_rows_sum") == answer.cost.rows_scored > 0
        for stage in ("recommend", "graph", "search", "store"):
            assert count(seen, "becausal_stage_seconds_count", stage=stage) == 1
        assert count(seen, "becausal_reasons_withheld_total") == 0
        weak = pb.ExplainRequest(history=["a", "b", "c"])
        weak.options.min_effect = 100.0
        assert (await ExplanationServiceStub(channel).Explain(weak)).reason_withheld
        assert count(seen, "becausal_reasons_withheld_total") == 1


@pytest.mark.parametrize("given", ["order-17.b", "", "two words", "x" * 65, "line\u00e9"])
@pytest.mark.parametrize("history", [["a"], []], ids=["answered", "refused"])
async def test_a_call_gets_its_id_back(channel: grpc.aio.Channel, given: str, history: list[str]) -> None:
    metadata = [("x-request-id", given)] if given.isascii() else []
    call = ExplanationServiceStub(channel).Recommend(pb.RecommendRequest(history=history), metadata=metadata)
    assert (await call.code() is grpc.StatusCode.OK) is bool(history)
    (found,) = [value for key, value in await call.trailing_metadata() if key == "x-request-id"]

    assert found == given if given == "order-17.b" else len(found) == 32


class Broken(FakeRecommender):
    """Quotes what it was asked for in a fault."""

    def top(self, history, *_args, **_kwargs):  # noqa: ANN001, ANN002, ANN003, ANN201
        try:
            return self.gives[f"{history.items} of user-4711"]
        except KeyError as error:
            raise RuntimeError(f"no scores for {history.items} of user-4711") from error


class Lines(logging.Handler):
    """What is written, line by line, in each of two ways."""

    def __init__(self, kind: type[SafeFormatter]) -> None:
        super().__init__()
        self.kind = kind
        self.safe: list[str] = []
        self.open: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.safe.append(self.kind().format(record))
        self.open.append(self.kind(payloads=True).format(record))


@contextmanager
def written(kind: type[SafeFormatter]) -> Iterator[Lines]:
    """All that this process logs meanwhile."""
    root, lines = logging.getLogger(), Lines(kind)
    level = root.level
    root.addHandler(lines)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(lines)


@pytest.mark.parametrize("kind", [JsonFormatter, TextFormatter])
async def test_a_fault_is_logged_without_what_it_quotes(
    repository: storage.ExplanationRepository, kind: type[SafeFormatter]
) -> None:
    broken = Broken()
    broken.bundle.catalogue._titles["secret-item"] = ""
    with written(kind) as lines:
        async with observed(repository, broken) as (channel, _):
            request = pb.ExplainRequest(history=["secret-item"], user_id="user-4711")
            with pytest.raises(grpc.aio.AioRpcError, match=INTERNAL_TEXT):
                await ExplanationServiceStub(channel).Explain(request, metadata=[("x-request-id", "r-1")])
    text = "\n".join(lines.safe)

    assert "secret-item" not in text
    assert "user-4711" not in text
    (fault,) = [line for line in lines.safe if "RuntimeError" in line]
    assert "KeyError" in fault
    assert "test_measuring.py" in fault
    assert "r-1" in fault
    told = "\n".join(lines.open)
    assert "secret-item" in told
    assert "user-4711" in told


async def test_each_call_has_one_line(repository: storage.ExplanationRepository) -> None:
    with written(JsonFormatter) as lines:
        async with observed(repository) as (channel, _):
            stub = ExplanationServiceStub(channel)
            await stub.Recommend(pb.RecommendRequest(history=["a"]), metadata=[("x-request-id", "r-1")])
    (line,) = [told for told in map(json.loads, lines.safe) if told["logger"] == "server.calls"]

    assert line["method"] == f"{SERVICE}/Recommend"
    assert (line["code"], line["caller"], line["level"]) == ("OK", "", "INFO")
    assert line["request_id"] == "r-1"
    assert line["milliseconds"] > 0


async def stored(repository: storage.ExplanationRepository) -> storage.ExplanationRecord:
    (record,) = repository.list(storage.ExplanationFilter(), 10)
    return record


@pytest.mark.parametrize(("sent", "kept"), [(PARENT, PARENT), ("00-" + "0" * 32, ""), (None, "")])
async def test_the_callers_trace_is_in_the_record_without_opentelemetry(
    repository: storage.ExplanationRepository, sent: str | None, kept: str
) -> None:
    async with serving(repository) as channel:
        metadata = [] if sent is None else [("traceparent", sent)]
        answer = await ExplanationServiceStub(channel).Explain(pb.ExplainRequest(history=["a", "b"]), metadata=metadata)
        replayed = await ExplanationServiceStub(channel).ReplayExplanation(
            pb.ReplayExplanationRequest(name=answer.name)
        )
    record = await stored(repository)

    assert record.trace_parent == kept
    assert replayed.verdict != pb.ReplayExplanationResponse.RECORD_TAMPERED
    assert storage.AuditTrail(repository._database).standing(record.id) is storage.Standing.INTACT


async def test_a_call_and_its_stages_are_spans_of_the_callers_trace(
    repository: storage.ExplanationRepository,
) -> None:
    exporter = InMemorySpanExporter()
    spans = OpenTelemetry(provider(SimpleSpanProcessor(exporter)))
    async with observed(repository, spans=spans) as (channel, _):
        stub = ExplanationServiceStub(channel)
        await stub.Explain(
            pb.ExplainRequest(history=["a", "b", "c"], user_id="user-4711"), metadata=[("traceparent", PARENT)]
        )
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Recommend(pb.RecommendRequest())
    found = {span.name: span for span in exporter.get_finished_spans()}
    call = found[f"{SERVICE}/Explain"]

    assert set(found) == {
        f"{SERVICE}/Explain",
        f"{SERVICE}/Recommend",
        "recommend",
        "graph",
        "search",
        "store",
    }
    assert f"{call.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{call.parent.span_id:016x}" == PARENT.split("-")[2]
    for stage in ("recommend", "graph", "search", "store"):
        assert found[stage].parent.span_id == call.context.span_id
        assert found[stage].start_time <= found[stage].end_time
    assert call.attributes["rpc.grpc.status_code"] == "OK"
    assert found[f"{SERVICE}/Recommend"].attributes["rpc.grpc.status_code"] == "INVALID_ARGUMENT"
    assert "user-4711" not in "".join(span.to_json() for span in found.values())
    record = await stored(repository)
    assert record.trace_parent == f"00-{call.context.trace_id:032x}-{call.context.span_id:016x}-01"


def test_traces_without_the_extra_are_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)

    with pytest.raises(ConfigError, match=r"becausal-server\[otel\]"):
        tracing(on=True)
    assert type(tracing(on=False)) is Tracing


def test_two_servers_count_apart() -> None:
    first, second = Outside(Config()), Outside(Config())
    first.metrics.started.labels("unary", SERVICE, "Explain").inc()
    labels = of("Explain")

    assert first.metrics.registry.get_sample_value("grpc_server_started_total", labels) == 1
    assert second.metrics.registry.get_sample_value("grpc_server_started_total", labels) is None


@pytest.mark.parametrize("parent", [PARENT.upper(), PARENT[:-1], PARENT.replace("b7ad6b7169203331", "0" * 16)])
def test_a_trace_that_is_none_is_left_out(parent: str) -> None:
    assert Call.of([("traceparent", parent)]).trace_parent == ""


class Counted:
    """A flow that keeps count."""

    def __init__(self) -> None:
        self.counts = [0, 0]

    def received(self) -> None:
        self.counts[0] += 1

    def sent(self) -> None:
        self.counts[1] += 1


async def test_each_message_of_a_stream_is_told() -> None:
    flow = Counted()

    @asynccontextmanager
    async def around(_method: str, _context: object) -> AsyncIterator[None]:
        current_flow.set(flow)
        yield

    async def twice(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request
            yield request

    server = grpc.aio.server(interceptors=[AroundInterceptor(around)])
    handlers = {"Twice": grpc.stream_stream_rpc_method_handler(twice)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        answers = [one async for one in channel.stream_stream("/test.Service/Twice")(iter([b"a", b"b", b"c"]))]
    await server.stop(0)

    assert len(answers) == 6
    assert flow.counts == [3, 6]
