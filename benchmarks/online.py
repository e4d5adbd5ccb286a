"""One, two and four server processes behind one round-robin client over loopback, on one PostgreSQL; JSON on stdout.

From the repository's root, after ``make demo``: ``.venv/bin/python -m benchmarks.online [--quick]``. All processes, the
client and PostgreSQL share the machine's cores, so ratios say what more processes give on one machine, no more.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

import grpc  # noqa: E402 - after the path
import psycopg  # noqa: E402

import storage  # noqa: E402
from becausal.channel import OPTIONS  # noqa: E402
from becausal.client import Client  # noqa: E402
from becausal.errors import CallError  # noqa: E402
from becausal.v1.explanation_service_pb2 import ExplainRequest  # noqa: E402
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub  # noqa: E402
from benchmarks.servers import BECAUSAL, DEADLINE_S, LOOP, resident_mib  # noqa: E402
from databases import running_postgres  # noqa: E402
from recommender import load_bundle, read_dataset  # noqa: E402
from server.cli.bench import calling  # noqa: E402
from server.load import OK, Plan, measure, quantile  # noqa: E402

PROCESSES = (1, 2, 4)
CALLERS = 32
USERS, LENGTH = 24, 20


class Fleet:
    """Server processes on one database."""

    def __init__(self, bundle: Path, url: str, folder: Path) -> None:
        self._bundle, self._url, self._folder = bundle, url, folder
        self.processes: list[subprocess.Popen[str]] = []
        self.addresses: list[str] = []

    def start(self, place: int, address: str = "127.0.0.1:0") -> None:
        """Start the process of a place, and wait until it serves."""
        command = [BECAUSAL, "serve", "--bundle", str(self._bundle), "--database", self._url, "--address", address]
        quiet = {"BECAUSAL_LOGS__LEVEL": "WARNING", "BECAUSAL_BUNDLES": str(self._folder / "bundles")}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | quiet)  # noqa: S603 - our own command
        assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        told = process.stdout.readline().split()[-1]
        self.processes[place : place + 1], self.addresses[place : place + 1] = [process], [told]

    def target(self, count: int) -> str:
        """What a client of the first so many calls."""
        return f"ipv4:{','.join(self.addresses[:count])}"

    def stop(self) -> None:
        """End all of them."""
        for process in self.processes:
            process.terminate()
            process.wait()


def loaded(target: str, requests: list[ExplainRequest], window: float) -> dict[str, float]:
    """Answers per second and tail of 32 callers."""

    async def run() -> dict[str, float]:
        async with grpc.aio.insecure_channel(target, OPTIONS) as channel:
            await channel.channel_ready()
            call = calling([ExplanationServiceStub(channel).Explain], requests, DEADLINE_S)
            found = await measure(call, Plan(concurrency=CALLERS, window=window, most_windows=4))
        latencies = found.reported.latencies[OK]
        p50, p99 = (quantile(latencies, percent) for percent in (50.0, 99.0))
        return {"perSecond": found.reported.per_second, "p50Ms": 1000 * p50, "p99Ms": 1000 * p99}

    return LOOP.run_until_complete(run())


def restarted(fleet: Fleet, requests: list[ExplainRequest]) -> dict[str, Any]:
    """Replace each process, one after the other, while callers go on: what failed, and the longest wait."""
    waits: list[float] = []
    failed: list[str] = []
    end = threading.Event()
    with Client(fleet.target(len(fleet.addresses))) as client:

        def call() -> None:
            while not end.is_set():
                for request in requests:
                    started = time.perf_counter()
                    try:
                        client.explain(request.history, user_id="bench")
                    except CallError as error:
                        failed.append(str(error))
                    waits.append(time.perf_counter() - started)

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for place, address in enumerate(list(fleet.addresses)):
            fleet.processes[place].send_signal(signal.SIGTERM)
            fleet.processes[place].wait()
            fleet.start(place, address)
            time.sleep(12)  # the manifests' minReadySeconds: clients come back within their longest backoff
        end.set()
        for thread in threads:
            thread.join()
    return {"calls": len(waits), "failed": len(failed), "longestMs": round(1000 * max(waits), 1), "errors": failed[:3]}


def main() -> int:
    """Print one JSON object; exit status 1 when a call failed in the rolling restart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short windows, for a first look")
    quick = parser.parse_args().quick
    demo = ROOT / ".demo"
    bundle = load_bundle(demo / "bundle")
    users = list(read_dataset(demo / "ml-100k", bundle.data_settings).histories().values())[:USERS]
    requests = [ExplainRequest(history=history[-LENGTH:], user_id="bench") for history in users]
    with ExitStack() as stack:
        server = stack.enter_context(running_postgres(fsync=True))
        url = stack.enter_context(server.new_database())
        storage.upgrade(url)
        fleet = Fleet(demo / "bundle", url, demo)
        stack.callback(fleet.stop)
        for place in range(PROCESSES[-1]):
            fleet.start(place)
        rounds = [
            {count: loaded(fleet.target(count), requests, 1.0 if quick else 3.0) for count in PROCESSES}
            for _ in range(1 if quick else 3)
        ]
        found: dict[str, Any] = {
            "cpus": os.cpu_count(),
            "processes": {
                count: {name: round(statistics.median(one[count][name] for one in rounds), 2) for name in rounds[0][1]}
                for count in PROCESSES
            },
            "toOneProcess": {
                count: round(statistics.median(one[count]["perSecond"] / one[1]["perSecond"] for one in rounds), 2)
                for count in PROCESSES
            },
            "residentMiB": [round(resident_mib(process.pid), 1) for process in fleet.processes],
            "connectionsOfPostgreSQL": connections(url),
        }
        for process in fleet.processes[2:]:
            process.terminate()
            process.wait()
        del fleet.processes[2:], fleet.addresses[2:]
        found["rollingRestartOfTwo"] = restarted(fleet, requests)
    print(json.dumps(found, indent=1))
    return 1 if found["rollingRestartOfTwo"]["failed"] else 0


def connections(url: str) -> int:
    """How many connections the servers hold."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    sys.exit(main())
