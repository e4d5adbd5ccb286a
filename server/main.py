"""The composition root: the only place where configuration, model, storage and service meet."""

from __future__ import annotations

import asyncio
import gc
import signal
from operator import attrgetter
from typing import TYPE_CHECKING

import storage
from explainer import warm_up
from recommender import Recommender, load_bundle
from server.application import Application
from server.batching import Scheduler
from server.bundles import Bundles
from server.outside import Outside
from server.records import Records
from server.rpc.audit_service import AuditService
from server.rpc.server import RpcServer
from server.rpc.service import ExplanationService

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.config import Config


async def serve(config: Config, ready: Callable[[int], None]) -> bool:
    """Serve until SIGTERM or SIGINT, the second of which ends it at once; ``ready`` is told the bound port.

    Returns:
        Whether all calls under way were finished.
    """
    storage.check(config.database_url)
    recommender = Recommender(load_bundle(config.bundle))
    warm_up()
    # What is loaded now stays: the collector need not walk through it, which takes 0.1 s, in the middle of a call.
    gc.collect()
    gc.freeze()
    Bundles.of(config).keep_if_possible(config.bundle, recommender.version)
    with storage.Database(config.database_url) as database, Records(database, config.audit) as records:
        records.start()
        scheduler = Scheduler(recommender.predictions, attrgetter("rows"), config.batching)
        application = Application(recommender, config, records.explanations, records, scheduler)
        outside = Outside(config)
        outside.watch(records, lambda: scheduler.batcher, lambda: recommender.version)
        server = RpcServer(ExplanationService(application, config), config, AuditService(application), outside)
        stop, hurry = asyncio.Event(), asyncio.Event()

        def signalled() -> None:
            (hurry if stop.is_set() else stop).set()

        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, signalled)
        try:
            await server.start()
            ready(server.port)
            await stop.wait()
        finally:
            finished = await server.stop(hurry)
    return finished
