"""kill -9 of the whole server under load: every explanation that a caller got is there, whole and provable."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import grpc
import pytest

from becausal.client import Client
from crashing import check_all

if TYPE_CHECKING:
    from collections.abc import Iterator

BECAUSAL = str(Path(sys.executable).with_name("becausal"))
HISTORY = ["168", "50", "172", "181", "1", "7", "174", "195"]
ROUNDS = 20 if os.environ.get("BECAUSAL_SOAK") else 2
CALLERS = 4
WAITS = (0.05, 0.35, 0.15, 0.6)
"""Seconds of load before the kill, in turns."""


def answers(address: str, got: list[UUID]) -> None:
    """Ask until the server is gone, and note every explanation that was answered."""
    with Client(address, timeout=10) as client:
        try:
            while True:
                got.append(UUID(client.explain(HISTORY, user_id="7").id))
        except grpc.RpcError:
            return


@pytest.mark.timeout(600)
def test_kill_9_of_the_server_loses_no_answer(demo_bundle: Path, database_url: str) -> None:
    got: list[UUID] = []
    for wait in rounds():
        command = [
            BECAUSAL,
            "serve",
            "--bundle",
            str(demo_bundle),
            "--database",
            database_url,
            "--address",
            "127.0.0.1:0",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own command
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            callers = [threading.Thread(target=answers, args=(address, got)) for _ in range(CALLERS)]
            before = len(got)
            for caller in callers:
                caller.start()
            while len(got) == before:
                time.sleep(0.01)
            time.sleep(wait)
            server.kill()
            for caller in callers:
                caller.join()

    assert len(got) >= ROUNDS
    check_all(database_url, got)


def rounds() -> Iterator[float]:
    for number in range(ROUNDS):
        yield WAITS[number % len(WAITS)]
