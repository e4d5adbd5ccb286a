"""Several server processes on one port: started afresh, watched, started again when one dies, stopped together.

The kernel shares connections, not calls, out among them: clients that keep one connection keep one process. The parent
loads no model.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import time
from contextlib import contextmanager
from multiprocessing.connection import wait
from threading import Thread
from typing import TYPE_CHECKING, Any

from server.config import Config, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

logger = logging.getLogger(__name__)

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before a worker that died is started again; longer each time while it dies young."""

LAST_PATIENCE = 10.0
"""Seconds beyond the drain's own that a worker has for its end."""

# Spawned and not forked: threads of gRPC and torch do not live through a fork.
_processes = multiprocessing.get_context("spawn")


class Workers:
    """The processes of one `becausal serve`.

    Args:
        config: for each of them; `workers` says how many.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._running: dict[int, SpawnProcess] = {}
        self._stopping = asyncio.Event()

    async def run(self, ready: Callable[[int], None]) -> bool:
        """Serve until SIGTERM or SIGINT; ``ready`` is told the port when all serve.

        Returns:
            Whether all calls under way were finished.

        Raises:
            ConfigError: the address cannot be bound, or a worker cannot start.
        """
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, self._signalled)
        with held_port(self._config.address) as port:
            host = self._config.address.rpartition(":")[0]
            self._config = self._config.model_copy(update={"address": f"{host}:{port}"})
            numbers = range(self._config.workers)
            starts = await asyncio.gather(*map(self._start, numbers), return_exceptions=True)
            failed = [start for start in starts if isinstance(start, BaseException)]
            if not failed and not self._stopping.is_set():
                ready(port)
            elif not self._stopping.is_set():
                self._signalled()
            codes = await asyncio.gather(*map(self._keep, numbers))
        if failed:
            raise failed[0]
        return all(code == 0 for code in codes)

    def _signalled(self) -> None:
        self._stopping.set()
        for process in self._running.values():
            process.terminate()  # the second time tells them to end at once

    async def _keep(self, number: int) -> int | None:
        """Start a worker again whenever it dies, until all are stopped; gives its last exit code."""
        pause, began = SHORTEST_PAUSE, time.monotonic()
        while not self._stopping.is_set():
            await self._until_ended(number)
            if self._stopping.is_set():
                break
            pause = SHORTEST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            code = self._running[number].exitcode
            logger.error("Worker %d died with exit code %s and is started again in %.0f s", number, code, pause)
            try:
                await asyncio.wait_for(self._stopping.wait(), pause)
            except TimeoutError:
                began = time.monotonic()
                try:
                    await self._start(number)
                except ConfigError as error:
                    logger.error("Worker %d cannot start: %s", number, error)  # noqa: TRY400 - the sentence says it all
        await self._last(number)
        return self._running[number].exitcode if number in self._running else 0

    async def _start(self, number: int) -> None:
        """Start a worker, and wait until it serves.

        Raises:
            ConfigError: it ended before.
        """
        receive, send = _processes.Pipe(duplex=False)
        settings = of_worker(self._config, number).model_dump(mode="json")
        process = _processes.Process(target=_work, args=(settings, send), name=f"becausal-worker-{number}")
        process.start()
        send.close()
        self._running[number] = process
        with receive:
            await _readable(receive.fileno())
            try:
                told = receive.recv()
            except EOFError:
                told = "A worker ended at its start; the lines before this one say why."
        if told is not None and not self._stopping.is_set():
            await _readable(process.sentinel)
            raise ConfigError(told)

    async def _until_ended(self, number: int) -> None:
        """Wait for a worker's end, or for the word to stop."""
        waits = [asyncio.ensure_future(_readable(self._running[number].sentinel))]
        waits.append(asyncio.ensure_future(self._stopping.wait()))  # type: ignore[arg-type]  # both give nothing of use
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()

    async def _last(self, number: int) -> None:
        """Wait for the end of a worker that was told to stop; one that does not come to it is killed."""
        process = self._running.get(number)
        if process is None:
            return
        patience = self._config.drain_delay_seconds + self._config.drain_seconds + LAST_PATIENCE
        try:
            await asyncio.wait_for(_readable(process.sentinel), patience)
        except TimeoutError:
            logger.error("Worker %d did not stop and is killed", number)  # noqa: TRY400 - there is no trace to show
            process.kill()
        process.join()


def of_worker(config: Config, number: int) -> Config:
    """The settings of one worker: its share of the cores, an admin port of its own, and the audit page for the first."""
    cores = config.batching.cores or max((os.cpu_count() or 1) // config.workers, 1)
    batching = config.batching.model_copy(update={"cores": cores})
    address = config.admin.address
    if address is not None and not address.endswith(":0"):
        host, _, port = address.rpartition(":")
        address = f"{host}:{int(port) + number}"
    admin = config.admin.model_copy(update={"address": address})
    # One process shows the page: who looks goes on with the one that has the session's secret and the replays under way.
    web = config.web if number == 0 else config.web.model_copy(update={"address": None})
    return config.model_copy(update={"batching": batching, "admin": admin, "web": web})


@contextmanager
def held_port(address: str) -> Iterator[int]:
    """The port of an address, held so that nobody else takes it while the workers come and go.

    Raises:
        ConfigError: it is in use, or the address has none.
    """
    host, _, port = address.rpartition(":")
    try:
        family, kind, *_, where = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # Without port sharing: a server that is there already would have half of its calls taken in silence.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen()
            bound = probe.getsockname()
        held = socket.socket(family, kind)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(bound)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Workers cannot listen on {address}; free the port, or set address to another HOST:PORT (port 0 takes a free one)."
        ) from error
    with held:
        yield int(bound[1])


async def _readable(descriptor: int) -> None:
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(descriptor)


def _work(settings: dict[str, Any], told: Connection) -> None:
    """One worker: serves, and tells when it does, or why it cannot."""
    from server.cli.failure import EXPECTED  # noqa: PLC0415 - the parent needs none of these
    from server.logs import configure  # noqa: PLC0415 - as above
    from server.main import serve  # noqa: PLC0415 - as above

    os.setsid()  # Ctrl-C reaches the parent alone, which passes it on
    config = Config(**settings)
    configure(config.logs)
    Thread(target=_follow, name="parent", daemon=True).start()
    try:
        finished = asyncio.run(serve(config, lambda _: told.send(None)))
    except EXPECTED as error:
        told.send(str(error))
        raise SystemExit(2) from None
    raise SystemExit(0 if finished else 1)


def _follow() -> None:
    """Stop when the parent is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
