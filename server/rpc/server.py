"""The gRPC server around the service: health, reflection, shutdown in order."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from becausal.v1 import audit_service_pb2, explanation_service_pb2, model_service_pb2
from becausal.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from becausal.v1.explanation_service_pb2_grpc import add_ExplanationServiceServicer_to_server
from becausal.v1.model_service_pb2_grpc import add_ModelServiceServicer_to_server
from server.access import Access
from server.outside import Outside
from server.rpc import validating
from server.rpc.admitting import Admitting
from server.rpc.answering import answering
from server.rpc.authorizing import Guard
from server.rpc.draining import Drain
from server.rpc.handlers import AroundInterceptor
from server.rpc.measuring import Measuring
from server.rpc.port import add_port

if TYPE_CHECKING:
    from server.config import Config
    from server.rpc.audit_service import AuditService
    from server.rpc.model_service import ModelService
    from server.rpc.service import ExplanationService

logger = logging.getLogger(__name__)

EXPLANATION_SERVICE = explanation_service_pb2.DESCRIPTOR.services_by_name["ExplanationService"].full_name
AUDIT_SERVICE = audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"].full_name
MODEL_SERVICE = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
SERVICES = ("", EXPLANATION_SERVICE, AUDIT_SERVICE, MODEL_SERVICE)
"""Names that the health service answers for; "" stands for the whole server."""

LAST_GRACE = 0.5
"""Seconds for the last answers to reach their clients when no call is under way any more."""


class RpcServer:
    """Starts, says that it serves, and stops without failing a call under way."""

    def __init__(
        self,
        service: ExplanationService,
        config: Config,
        audit: AuditService,
        models: ModelService,
        outside: Outside | None = None,
    ) -> None:
        self._service = service
        self._audit = audit
        self._models = models
        self._config = config
        self._health = health.aio.HealthServicer()
        self._drain = Drain()
        self._outside = outside or Outside(config)
        measuring = Measuring(self._outside.metrics, self._outside.tracing)
        admitting = Admitting(config.admission)
        self._outside.metrics.watch_gates(admitting.gates)
        validating.warm_up()
        around = AroundInterceptor(
            measuring.around,
            answering,
            Guard(Access.of(config.auth)).around,
            self._drain.around,
            admitting.around,
            check=validating.check,
        )
        options = [
            # On by default in gRPC: a second server on the same port would take half the calls in silence.
            ("grpc.so_reuseport", int(config.workers > 1)),
            ("grpc.max_receive_message_length", config.limits.message_bytes),
        ]
        self._server = grpc.aio.server(interceptors=[around], options=options)
        self._started = False
        self.port = 0

    async def start(self) -> None:
        """Listen; ``port`` is the bound one from here on.

        Raises:
            ConfigError: the address cannot be bound, or strangers could reach it (server/rpc/port.py).
        """
        add_ExplanationServiceServicer_to_server(self._service, self._server)
        add_AuditServiceServicer_to_server(self._audit, self._server)
        add_ModelServiceServicer_to_server(self._models, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if self._config.reflection:
            names = (*SERVICES[1:], health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)
        self.port = add_port(self._server, self._config)
        await self._server.start()
        self._started = True
        self._models.start()
        await self._outside.start(self._tell_health)
        await self._tell_health()

    async def stop(self, hurry: asyncio.Event | None = None) -> bool:
        """Say NOT_SERVING, let clients notice, let calls under way finish, then end the threads.

        Args:
            hurry: set when there is no time for clients and calls any more. What was answered is stored all the same.

        Returns:
            Whether all calls under way were finished.
        """
        hurry = hurry or asyncio.Event()
        self._outside.leave()
        self._service.leave()
        await self._health.enter_graceful_shutdown()
        if self._started:
            self._started = False
            with suppress(TimeoutError):
                await asyncio.wait_for(hurry.wait(), self._config.drain_delay_seconds)
        finished = await self._drain.close(self._config.drain_seconds, hurry)
        await self._server.stop(LAST_GRACE)
        await asyncio.to_thread(self._models.close)
        await asyncio.to_thread(self._service.close)
        await asyncio.to_thread(self._audit.close)
        await self._outside.stop()
        return finished

    async def _tell_health(self) -> None:
        for name in SERVICES:
            status = health_pb2.HealthCheckResponse
            await self._health.set(name, status.SERVING if self._outside.serves(name) else status.NOT_SERVING)
