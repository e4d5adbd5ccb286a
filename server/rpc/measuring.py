"""Around every call, outermost: its id, its span, its counters and its line in the log."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pool

from server.access import current_caller
from server.calls import REQUEST_ID, Call, current_call
from server.logs import FIELDS
from server.rpc.handlers import EXEMPT, current_flow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from prometheus_client import Counter

    from server.metrics import Metrics
    from server.rpc.handlers import Context
    from server.tracing import Tracing

logger = logging.getLogger("server.calls")

OVERDUE_SECONDS = 0.1
"""A call that is cancelled so short before its deadline is cancelled by it: the client's clock is not ours."""

_LOUD = {"UNKNOWN", "INTERNAL", "DATA_LOSS"}


class Measuring:
    """Counts, traces and logs calls, those about the server itself left out."""

    def __init__(self, metrics: Metrics, tracing: Tracing) -> None:
        self._metrics = metrics
        self._tracing = tracing

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        """Give the call its id, and see with which status it ends."""
        if method.startswith(EXEMPT):
            yield
            return
        labels = labels_of(method)
        metadata = tuple(context.invocation_metadata() or ())
        call = self._tracing.begin(Call.of(metadata), method, metadata)
        # Each call is a task with a context of its own: nothing has to be set back.
        current_call.set(call)
        current_flow.set(_Flow(self._metrics, labels))
        # Trailing: metadata that is sent first would commit clients to this answer, and they could not retry.
        context.set_trailing_metadata(((REQUEST_ID, call.request_id),))
        self._metrics.started.labels(*labels).inc()
        started = time.perf_counter()
        code = "UNKNOWN"
        try:
            yield
            code = code_of(context)
        except asyncio.CancelledError:
            code = _cancelled(context)
            raise
        except grpc.aio.AbortError:
            code = code_of(context)
            raise
        finally:
            self._ended(call, labels, code, time.perf_counter() - started)

    def _ended(self, call: Call, labels: tuple[str, str, str], code: str, seconds: float) -> None:
        self._metrics.handled.labels(*labels, code).inc()
        self._metrics.handling.labels(*labels).observe(seconds)
        self._tracing.end(call, code)
        said: dict[str, Any] = {
            "method": f"{labels[1]}/{labels[2]}",
            "code": code,
            "milliseconds": round(1000 * seconds, 1),
            "caller": current_caller.get().name,
        }
        if call.trace_parent:
            said["trace_id"] = call.trace_parent.split("-")[1]
        logger.log(logging.ERROR if code in _LOUD else logging.INFO, "call", extra={FIELDS: said})


class _Flow:
    """Counts one call's messages."""

    def __init__(self, metrics: Metrics, labels: tuple[str, str, str]) -> None:
        self._received: Counter = metrics.received.labels(*labels)
        self._sent: Counter = metrics.sent.labels(*labels)

    def received(self) -> None:
        self._received.inc()

    def sent(self) -> None:
        self._sent.inc()


@cache
def labels_of(method: str) -> tuple[str, str, str]:
    """Type, service and name of a call, as go-grpc-prometheus has them."""
    service, _, name = method.lstrip("/").partition("/")
    found: Any = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    kinds = {
        (False, False): "unary",
        (False, True): "server_stream",
        (True, False): "client_stream",
        (True, True): "bidi_stream",
    }
    return kinds[found.client_streaming, found.server_streaming], service, name


def code_of(context: Context) -> str:
    """Name of the status that a finished call has."""
    code: Any = context.code()  # None while nothing else was said, whatever the stubs say
    return code.name if isinstance(code, grpc.StatusCode) else "OK"


def _cancelled(context: Context) -> str:
    remaining: Any = context.time_remaining()  # None without a deadline, as above
    return "DEADLINE_EXCEEDED" if remaining is not None and remaining < OVERDUE_SECONDS else "CANCELLED"
