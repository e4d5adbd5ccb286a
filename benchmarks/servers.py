"""What benchmarks/service.py measures with: servers of their own, the same work in this process, an echo, timed calls."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

import storage
from becausal.client import Client, Health
from becausal.errors import CallError
from becausal.v1.explanation_service_pb2 import RecommendRequest
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from explainer import warm_up
from recommender import Recommender, load_bundle
from server.application import Application, Patience
from server.config import Config
from server.models import Models
from server.records import Records
from server.rpc.messages import explanation_message
from server.scheduling import Scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from storage import ExplanationRecord

BECAUSAL = str(Path(sys.executable).with_name("becausal"))
DEADLINE_S = 60.0
History = list[str]
LOOP = asyncio.new_event_loop()
"""One for all: grpc.aio does not like a second one in a process (https://github.com/grpc/grpc/issues/25364)."""


@contextmanager
def serving(bundle: Path, database: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process of its own, and its address."""
    url = f"sqlite:///{database}"
    storage.upgrade(url)
    command = [BECAUSAL, "serve", "--bundle", str(bundle), "--database", url, "--address", "127.0.0.1:0"]
    quiet = {"BECAUSAL_LOGS__LEVEL": "WARNING", "BECAUSAL_BUNDLES": str(database.parent / "bundles")}
    environment = os.environ | quiet | settings
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:  # noqa: S603 - our own command
        try:
            assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def start_to_ready(bundle: Path, database: Path) -> float:
    """Seconds from the start of the process until it says SERVING, its caches warm."""
    start = time.perf_counter()
    with serving(bundle, database) as (_, address), Client(address) as client:
        while True:
            try:
                if client.health() is Health.SERVING:
                    return time.perf_counter() - start
            except CallError:
                time.sleep(0.01)


class Local:
    """The work of Explain without gRPC: computed by the same scheduler, stored by the same writer, as the server does it."""

    def __init__(self, application: Application, config: Config) -> None:
        self._application = application
        self._settings = config.explain.settings()

    def __call__(self, history: History) -> int:
        """Explain, store, and make the message; its size in bytes."""
        record, stored = self._application.scheduler.submit(lambda: self._computed(history)).result()
        stored.result()
        return explanation_message(record).ByteSize()

    def _computed(self, history: History) -> tuple[ExplanationRecord, Future[None]]:
        record = self._application.explain(history, None, self._settings, "bench", Patience())
        return record, self._application.submit([record])


@contextmanager
def local(bundle: Path, database: Path) -> Iterator[Local]:
    """The application in this process."""
    config = Config(bundle=bundle, database_url=f"sqlite:///{database}")
    storage.upgrade(config.database_url)
    warm_up()
    with storage.Database(config.database_url) as opened, Records(opened, config.audit) as records:
        records.start()
        with closing(Models(Recommender(load_bundle(bundle)), config, Scheduler(config.batching))) as models:
            yield Local(Application(models, config, records.explanations, records), config)


def timed_local(explain: Local, histories: list[History], callers: int) -> float:
    """Seconds for all histories, in process."""
    with ThreadPoolExecutor(callers) as pool:
        start = time.perf_counter()
        list(pool.map(explain, histories))
        return time.perf_counter() - start


def timed_calls(address: str, method: str, requests: list[Any], callers: int) -> float:
    """Seconds for all requests, over one connection that stands."""

    async def run() -> float:
        async with grpc.aio.insecure_channel(address) as channel:
            await channel.channel_ready()
            stub = echo_call(channel) if method == "Echo" else getattr(ExplanationServiceStub(channel), method)
            left = iter(requests)

            async def caller() -> None:
                for request in left:
                    await stub(request, timeout=DEADLINE_S)

            start = time.perf_counter()
            await asyncio.gather(*(caller() for _ in range(callers)))
            return time.perf_counter() - start

    return LOOP.run_until_complete(run())


async def echo() -> None:
    """Serve an RPC that gives back the bytes it is given; the port on stdout."""

    async def handler(request: bytes, _context: Any) -> bytes:
        return request

    server = grpc.aio.server()
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(handler)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def echo_call(channel: grpc.aio.Channel) -> Any:
    """The echo's RPC, which takes requests of Recommend."""
    return channel.unary_unary("/bench.Echo/Echo", request_serializer=RecommendRequest.SerializeToString)


def resident_mib(pid: int) -> float:
    """Resident memory of a process, as Linux counts it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
