"""The composition root: the only place where configuration, model, storage and service meet."""

from __future__ import annotations

import asyncio
import gc
import signal
from typing import TYPE_CHECKING

import storage
from explainer import warm_up
from server.activation import Activations, starting_model
from server.application import Application
from server.bundles import Bundles
from server.models import Models
from server.outside import Outside
from server.records import Records
from server.rpc.audit_service import AuditService
from server.rpc.model_service import ModelService
from server.rpc.server import RpcServer
from server.rpc.service import ExplanationService
from server.scheduling import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.config import Config
    from server.web.listener import WebListener


async def serve(config: Config, ready: Callable[[int], None]) -> bool:
    """Serve until SIGTERM or SIGINT, the second of which ends it at once; ``ready`` is told the bound port.

    Returns:
        Whether all calls under way were finished.
    """
    storage.check(config.database_url)
    with storage.Database(config.database_url) as database, Records(database, config.audit) as records:
        decisions = storage.ActivationRepository(database)
        models = started_models(config, decisions)
        records.start()
        application = Application(models, config, records.explanations, records)
        activations = Activations(models, decisions, config)
        outside = Outside(config)
        outside.watch(records, models)
        server = RpcServer(
            ExplanationService(application, config),
            config,
            AuditService(application),
            ModelService(activations),
            outside,
        )
        stop, hurry = asyncio.Event(), asyncio.Event()

        def signalled() -> None:
            (hurry if stop.is_set() else stop).set()

        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, signalled)
        page = None if config.web.address is None else _page(application, activations, config)
        try:
            await server.start()
            ready(server.port)
            await stop.wait()
        finally:
            if page is not None:
                await asyncio.to_thread(page.close)
            finished = await server.stop(hurry)
    return finished


def started_models(config: Config, decisions: storage.ActivationRepository) -> Models:
    """The model to start with, at work."""
    recommender = starting_model(config, Bundles.of(config), decisions)
    warm_up()
    # What is loaded now stays: the collector need not walk through it, which takes 0.1 s, in the middle of a call.
    gc.collect()
    gc.freeze()
    models = Models(recommender, config, Scheduler(config.batching))
    models.bundles.keep_if_possible(recommender.bundle.path, recommender.version)
    return models


def _page(application: Application, activations: Activations, config: Config) -> WebListener:
    from server.web.listener import WebListener  # noqa: PLC0415 - a fifth of a second for those who want no page

    return WebListener(application, activations, config)
