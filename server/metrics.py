"""Metrics in Prometheus' form. One registry per server; docs/operations.md says what each metric means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from explainer.explanation import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from explainer.explanation import Explanation
    from server.admission import Gate
    from server.batching import Pass
    from server.models import Models
    from server.readiness import Check
    from server.records import Records
    from storage import ExplanationRecord

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
ROWS = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)

_CALL = ("grpc_type", "grpc_service", "grpc_method")


class Metrics:
    """All that one server counts. Safe in threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        add = self.registry
        self.started = Counter("grpc_server_started", "Calls begun.", _CALL, registry=add)
        self.handled = Counter("grpc_server_handled", "Calls ended.", (*_CALL, "grpc_code"), registry=add)
        self.handling = Histogram(
            "grpc_server_handling_seconds", "Time of a call.", _CALL, registry=add, buckets=SECONDS
        )
        self.received = Counter("grpc_server_msg_received", "Messages received.", _CALL, registry=add)
        self.sent = Counter("grpc_server_msg_sent", "Messages sent.", _CALL, registry=add)
        self._explanations = Counter("becausal_explanations", "Explanations given.", ("status",), registry=add)
        for status in Status:
            self._explanations.labels(status.value)
        self._withheld = Counter(
            "becausal_reasons_withheld",
            "Explanations whose reason is a neutral one for lack of evidence.",
            registry=add,
        )
        self._rows = Histogram(
            "becausal_explanation_rows", "Histories scored for one explanation.", registry=add, buckets=ROWS
        )
        self._stages = Histogram(
            "becausal_stage_seconds", "Time of a part of explaining.", ("stage",), registry=add, buckets=SECONDS
        )
        self._pass_rows = Histogram(
            "becausal_model_pass_rows", "Histories in one pass of the model.", registry=add, buckets=SIZES
        )
        self._pass_questions = Histogram(
            "becausal_model_pass_questions", "Questions joined in one pass.", registry=add, buckets=SIZES
        )
        self._pass_seconds = Histogram(
            "becausal_model_pass_seconds", "Time of one pass of the model.", registry=add, buckets=SECONDS
        )

    def explained(self, records: Sequence[ExplanationRecord], store_seconds: float) -> None:
        """Count explanations that were given, stored in so much time."""
        for record in records:
            explanation = record.explanation
            self._explanations.labels(explanation.status.value).inc()
            self._withheld.inc(explanation.reason_withheld)
            self._rows.observe(explanation.cost.rows_scored)
            for stage, milliseconds in stages(explanation):
                self._stages.labels(stage).observe(milliseconds / 1000)
        self._stages.labels("store").observe(store_seconds)

    def passed(self, one: Pass) -> None:
        """Count a pass of the model."""
        self._pass_rows.observe(one.rows)
        self._pass_questions.observe(one.questions)
        self._pass_seconds.observe(one.seconds)

    def watch(self, models: Models, records: Records) -> None:
        """Read these whenever the metrics are."""
        self.registry.register(_Read(lambda: _state(models, records)))

    def watch_gates(self, gates: Mapping[str, Gate]) -> None:
        """Read how many calls of each method, by its full name, are answered and wait."""
        self.registry.register(_Read(lambda: _crowd(gates)))

    def watch_checks(self, checks: Callable[[], Iterable[Check]], backlog: Callable[[], int | None]) -> None:
        """Read what readiness found at its last look."""
        self.registry.register(_Read(lambda: _looked(checks(), backlog())))


class _Read(Collector):
    """Metrics that are read where they are kept."""

    def __init__(self, read: Callable[[], Iterator[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        return self._read()


def stages(explanation: Explanation) -> tuple[tuple[str, float], ...]:
    """Name and milliseconds of each stage of explaining, in their order."""
    cost = explanation.cost
    return ("recommend", cost.recommend_ms), ("graph", cost.graph_ms), ("search", cost.search_ms)


def _state(models: Models, records: Records) -> Iterator[Metric]:
    waiting = models.batcher.waiting
    model = GaugeMetricFamily("becausal_model_info", "The model that is served.", labels=["version"])
    model.add_metric([models.version], 1)
    yield model
    yield GaugeMetricFamily(
        "becausal_model_behind", "Whether another model was activated that cannot be loaded here.", models.behind
    )
    yield GaugeMetricFamily("becausal_model_queue_questions", "Questions that wait for the model.", waiting.questions)
    yield GaugeMetricFamily("becausal_model_queue_rows", "Histories that wait for the model.", waiting.rows)
    yield GaugeMetricFamily(
        "becausal_audit_waiting_batches", "Batches that wait for the thread that stores them.", records.waiting
    )
    yield CounterMetricFamily(
        "becausal_audit_dropped",
        "Records that were answered and not stored (audit.mode = best_effort).",
        records.dropped,
    )
    failures = CounterMetricFamily(
        "becausal_audit_sequencing_failures", "Rounds that could not carry the audit log on.", labels=["error"]
    )
    for error, count in sorted(records.sequencing_failures.items()):
        failures.add_metric([error], count)
    yield failures


def _crowd(gates: Mapping[str, Gate]) -> Iterator[Metric]:
    running = GaugeMetricFamily("becausal_calls_running", "Calls that are answered now.", labels=_CALL[1:])
    waiting = GaugeMetricFamily("becausal_calls_waiting", "Calls that wait for their turn.", labels=_CALL[1:])
    for method, gate in gates.items():
        _, service, name = method.split("/")
        running.add_metric([service, name], gate.running)
        waiting.add_metric([service, name], gate.waiting)
    yield running
    yield waiting


def _looked(checks: Iterable[Check], backlog: int | None) -> Iterator[Metric]:
    found = GaugeMetricFamily("becausal_check_ok", "Whether a part was well at the last look.", labels=["check"])
    for check in checks:
        found.add_metric([check.name], check.ok)
    yield found
    if backlog is not None:
        yield GaugeMetricFamily(
            "becausal_audit_unsequenced_entries",
            "Entries without a place in the audit log, counted to 100,000.",
            backlog,
        )
