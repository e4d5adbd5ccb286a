"""What is seen of a server from outside, in one place: metrics, traces, health, and the listener that shows them."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from becausal.channel import AUDIT_SERVICE, EXPLANATION_SERVICE, MODEL_SERVICE
from server.admin import AdminListener, Page, metrics_page
from server.calls import current_call
from server.metrics import Metrics
from server.readiness import Readiness
from server.tracing import Tracing, tracing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from server.config import Config
    from server.models import Models
    from server.records import Records
    from storage import ExplanationRecord

logger = logging.getLogger(__name__)

STALLED_SECONDS = 30.0
"""An event loop that has not come round for so long, besides the checks' own time, is taken for dead."""


class Outside:
    """Metrics and traces of one server; with `watch`, its health too.

    Args:
        config: the settings `admin` and `telemetry`.
        spans: where spans go; None takes what the settings say.

    Raises:
        ConfigError: traces are on and OpenTelemetry is not installed.
    """

    def __init__(self, config: Config, spans: Tracing | None = None) -> None:
        self._config = config
        self.metrics = Metrics()
        self.tracing = spans or tracing(on=config.telemetry.traces)
        self.readiness: Readiness | None = None
        self._listener: AdminListener | None = None
        self._looking: asyncio.Task[None] | None = None
        self._beat = time.monotonic()
        self._leaving = False

    def watch(self, records: Records, models: Models) -> None:
        """Count what these do and look after their health."""
        self.readiness = readiness = Readiness(self._config, records, lambda: models.batcher)
        self.metrics.watch(models, records)
        self.metrics.watch_checks(lambda: readiness.checks, lambda: readiness.backlog)
        models.passed = self.metrics.passed
        records.stored = self._explained

    def serves(self, service: str) -> bool:
        """Whether a service can work; "" stands for the process."""
        return self.readiness is None or not self.readiness.causes(service)

    async def start(self, tell: Callable[[], Awaitable[None]]) -> None:
        """Look at everything once, then open the listener and go on looking; `tell` is called after each later look.

        Raises:
            ConfigError: the admin address cannot be bound.
        """
        if self.readiness is not None:
            await asyncio.to_thread(self.readiness.look)
            self._looking = asyncio.create_task(self._keep_looking(self.readiness, tell))
        if self._config.admin.address is not None:
            pages = {"/metrics": metrics_page(self.metrics.registry), "/livez": self._live, "/readyz": self._ready}
            self._listener = AdminListener(self._config.admin.address, pages)

    @property
    def port(self) -> int | None:
        """Where the listener is bound; None without one."""
        return None if self._listener is None else self._listener.port

    def leave(self) -> None:
        """Say on /readyz that the server goes away."""
        self._leaving = True
        if self._looking is not None:
            self._looking.cancel()

    async def stop(self) -> None:
        """Close the listener, and send the spans that wait."""
        self.leave()
        if self._listener is not None:
            await asyncio.to_thread(self._listener.close)
        if self.readiness is not None:
            self.readiness.close()
        await asyncio.to_thread(self.tracing.close)

    def _explained(self, records: Sequence[ExplanationRecord], store_seconds: float) -> None:
        self.metrics.explained(records, store_seconds)
        self.tracing.explained(current_call.get(), records, store_seconds)

    async def _keep_looking(self, readiness: Readiness, tell: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._config.admin.check_seconds)
            self._beat = time.monotonic()
            try:
                await asyncio.to_thread(readiness.look)
                await tell()
            except Exception:
                # Health that is never looked at again would stay green for ever.
                logger.exception("The server could not look at its own health")

    def _live(self, _: str) -> Page:
        admin = self._config.admin
        causes = [] if self.readiness is None else list(self.readiness.causes())
        since = time.monotonic() - self._beat
        if self._looking is not None and not self._leaving:
            allowed = STALLED_SECONDS + admin.check_seconds + admin.check_timeout_seconds
            if since > allowed:
                causes.append(f"The event loop has stood still for {since:.0f} s; restart.")
        return Page.told({"live": not causes, "causes": causes}, well=not causes)

    def _ready(self, _: str) -> Page:
        names = (EXPLANATION_SERVICE, AUDIT_SERVICE, MODEL_SERVICE)
        services = {name: self.serves(name) and not self._leaving for name in names}
        checks = () if self.readiness is None else self.readiness.checks
        told = {
            "ready": services[EXPLANATION_SERVICE],
            "shutting_down": self._leaving,
            "services": services,
            "checks": [{"name": check.name, "ok": check.ok, "cause": check.cause} for check in checks],
        }
        return Page.told(told, well=services[EXPLANATION_SERVICE])
