"""OpenTelemetry, where the extra `otel` is installed and `telemetry.traces` is on; else nothing is imported or done."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from server.config import ConfigError
from server.metrics import stages

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    from server.calls import Call
    from storage import ExplanationRecord

FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
"""Codes that are the server's fault, by OpenTelemetry's conventions."""

_MS = 1_000_000


class Tracing:
    """Sends no spans: what the service does without OpenTelemetry."""

    def begin(self, call: Call, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> Call:  # noqa: ARG002
        """Open the call's span; the call with it."""
        return call

    def end(self, call: Call, code: str) -> None:
        """Close the call's span."""

    def explained(self, call: Call, records: Sequence[ExplanationRecord], store_seconds: float) -> None:
        """Add the stages of explanations that have just been stored."""

    def close(self) -> None:
        """Send what waits."""


class OpenTelemetry(Tracing):
    """One span per call, with the stages of explaining under it. No span holds user ids, items or texts of exceptions."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - only with the extra
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - as above

        self._provider = provider
        self._tracer = provider.get_tracer("becausal")
        self._trace = trace
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, call: Call, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> Call:
        """Open the call's span, under the caller's where the metadata has one."""
        given = {key: value for key, value in metadata if isinstance(value, str)}
        service, _, name = method.lstrip("/").partition("/")
        span = self._tracer.start_span(
            method.lstrip("/"),
            context=self._propagator.extract(given),
            kind=self._trace.SpanKind.SERVER,
            attributes={
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": name,
                "becausal.request_id": call.request_id,
            },
        )
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, self._trace.set_span_in_context(span))
        return replace(call, span=span, trace_parent=carrier.get("traceparent", call.trace_parent))

    def end(self, call: Call, code: str) -> None:
        """Close the call's span with its status."""
        call.span.set_attribute("rpc.grpc.status_code", code)
        if code in FAULTS:
            call.span.set_status(self._trace.StatusCode.ERROR)
        call.span.end()

    def explained(self, call: Call, records: Sequence[ExplanationRecord], store_seconds: float) -> None:
        """Add the stages: each record was made when its search ended, and storing ends now."""
        if call.span is None:
            return
        for record in records:
            at = int(record.create_time.timestamp() * 1000) * _MS
            spans: list[tuple[str, int, int]] = []
            for name, milliseconds in reversed(stages(record.explanation)):
                spans.append((name, at - int(milliseconds * _MS), at))
                at -= int(milliseconds * _MS)
            for name, start, end in reversed(spans):
                self._child(call, name, start, end)
        now = time.time_ns()
        self._child(call, "store", now - int(store_seconds * 1e9), now)

    def close(self) -> None:
        """Send what waits, then let the exporter go."""
        self._provider.shutdown()

    def _child(self, call: Call, name: str, start: int, end: int) -> None:
        context = self._trace.set_span_in_context(call.span)
        self._tracer.start_span(name, context=context, start_time=start).end(end)


def tracing(*, on: bool) -> Tracing:
    """The tracing that the settings ask for.

    Raises:
        ConfigError: it is on and OpenTelemetry is not installed.
    """
    if not on:
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - the extra
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ConfigError(
            "telemetry.traces needs OpenTelemetry; install becausal-server[otel] or set it to false."
        ) from error
    return OpenTelemetry(provider(BatchSpanProcessor(OTLPSpanExporter())))


def provider(processor: SpanProcessor) -> TracerProvider:
    """A provider of this server's own, nothing global, that sends to a processor."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415 - only with the extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above

    named: dict[str, Any] = {"service.name": "becausal"}
    resource = Resource.create(named).merge(OTELResourceDetector().detect())
    made = TracerProvider(resource=resource, shutdown_on_exit=False)
    made.add_span_processor(processor)
    return made
