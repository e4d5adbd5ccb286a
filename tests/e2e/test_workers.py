"""Several processes: on one port, and as instances behind one client that are replaced while calls go on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import UUID

import pytest

from becausal.client import Client
from becausal.errors import CallError
from crashing import check_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from commands import Becausal

BECAUSAL = str(Path(sys.executable).with_name("becausal"))
HISTORY = ["168", "50", "172", "181", "1", "7", "174", "195"]
CALLERS = 3


def started(
    bundle: Path, url: str, address: str = "127.0.0.1:0", log: Path | None = None, **settings: object
) -> subprocess.Popen[str]:
    command = [BECAUSAL, "serve", "--bundle", str(bundle), "--database", url, "--address", address]
    environment = os.environ | {f"BECAUSAL_{name.upper()}": str(value) for name, value in settings.items()}
    with ExitStack() as stack:
        errors = None if log is None else stack.enter_context(log.open("w"))
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)  # noqa: S603 - our own command


def address_of(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    return server.stdout.readline().split()[-1]


def children(pid: int) -> set[int]:
    """The workers of a server: its children that have the session of their own."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in found if os.getsid(int(child)) == int(child)}


def eventually(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


class Callers:
    """Threads that explain all the time, and note what they got."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stop = threading.Event()
        self.got: list[UUID] = []
        self.failed: list[CallError] = []
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def _call(self) -> None:
        while not self._stop.is_set():
            try:
                self.got.append(UUID(self._client.explain(HISTORY, user_id="7").id))
            except CallError as error:
                self.failed.append(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.timeout(300)
def test_workers_share_a_port_and_one_that_dies_is_replaced(demo_bundle: Path, database_file: str) -> None:
    with started(demo_bundle, database_file, workers=2) as server:
        try:
            address = address_of(server)
            first = children(server.pid)
            assert len(first) == 2
            with Client(address) as client:
                assert client.explain(HISTORY).reason
            os.kill(min(first), signal.SIGKILL)
            eventually(lambda: len(children(server.pid) - first) == 1)
            with Client(address) as client:
                client.wait_until_serving(60)
                assert client.explain(HISTORY).reason
            workers = children(server.pid)
            server.terminate()
            rest, _ = server.communicate(timeout=60)
        finally:
            server.kill()

    assert server.returncode == 0
    assert "stopped" in rest
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


@pytest.mark.timeout(120)
def test_workers_do_not_outlive_their_parent(demo_bundle: Path, database_file: str) -> None:
    with started(demo_bundle, database_file, workers=2) as server:
        address_of(server)
        workers = children(server.pid)
        server.kill()

    eventually(lambda: not any(alive(worker) for worker in workers))


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody waits for is no process any more."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_workers_that_cannot_start_say_why_once(demo_bundle: Path, sqlite_url: str, becausal: Becausal) -> None:
    ran = becausal(
        "serve", "--bundle", demo_bundle, "--database", sqlite_url, "--address", "127.0.0.1:0", "--workers", 2
    )

    assert ran.code == 2
    assert "becausal db upgrade" in ran.err
    assert ran.err.count("\n") == 1


def test_a_port_in_use_is_not_shared(demo_bundle: Path, database_file: str, becausal: Becausal) -> None:
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        ran = becausal(
            "serve", "--bundle", demo_bundle, "--database", database_file, "--address", address, "--workers", 2
        )

    assert ran.code == 2
    assert f"cannot listen on {address}" in ran.err


def test_a_second_signal_does_not_wait(demo_bundle: Path, database_file: str) -> None:
    with started(demo_bundle, database_file, drain_delay_seconds=100) as server:
        try:
            address_of(server)
            server.terminate()
            time.sleep(0.5)
            assert server.poll() is None
            server.terminate()
            server.communicate(timeout=20)
        finally:
            server.kill()

    assert server.returncode == 0


@pytest.mark.timeout(300)
def test_a_rolling_restart_fails_no_call_and_loses_no_answer(
    demo_bundle: Path, postgres_copy: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        servers = [started(demo_bundle, postgres_copy, log=tmp_path / "log") for _ in range(2)]
        for server in servers:
            stack.callback(server.kill)
        addresses = [address_of(server) for server in servers]
        client = stack.enter_context(Client(f"ipv4:{','.join(addresses)}"))
        client.wait_until_serving(60)
        with Callers(client) as callers:
            for place, address in enumerate(addresses):
                before = len(callers.got)
                eventually(lambda: len(callers.got) > before + 10)  # noqa: B023 - called in this round
                servers[place].terminate()
                servers[place].communicate(timeout=60)
                assert servers[place].returncode == 0
                log = tmp_path / f"log{place}"
                servers[place] = started(demo_bundle, postgres_copy, address, log)
                stack.callback(servers[place].kill)
                assert address_of(servers[place]) == address
                # Clients come back to it within their longest backoff: what minReadySeconds of the manifests is for.
                eventually(lambda: "Explain code=OK" in log.read_text())  # noqa: B023 - as above

        for server in servers:
            server.terminate()
            server.communicate(timeout=60)

    assert callers.failed == []
    assert len(callers.got) > 20
    check_all(postgres_copy, callers.got)
