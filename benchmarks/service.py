"""Measures `becausal serve` against the same work without gRPC, and against a bare echo, in one run; JSON on stdout.

From the repository's root, after ``make demo``::

    .venv/bin/python -m benchmarks.service [--quick] [--calls 20000]

The sides of a ratio take turns and do the same calls in the same order, and the ratio is the median over the rounds, so
that a busy machine slows both. Server, echo and this process share the machine's cores. Exit status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc

from becausal.v1.explanation_service_pb2 import ExplainRequest, RecommendRequest
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from benchmarks.servers import (
    DEADLINE_S,
    LOOP,
    History,
    Local,
    echo,
    local,
    resident_mib,
    serving,
    start_to_ready,
    timed_calls,
    timed_local,
)
from recommender import load_bundle, read_dataset
from server.cli.bench import calling
from server.load import OK, Call, Plan, measure, quantile

ROOT = Path(__file__).resolve().parent.parent
CALLERS = (1, 8, 32)
USERS, LENGTH = 24, 20
ONE = ["168", "50", "172", "181", "1", "7", "174", "195"]
ONE_CASE = "one history of 8 items"
PARTS = ("start", "batching", "beside", "explain", "recommend", "tail", "memory")
STEADY_LOAD = 0.7
WARM_SHARE = 0.2
"""Share of the calls of the memory test after which memory counts as warmed up."""


def main() -> int:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / ".demo" / "bundle")
    parser.add_argument("--data", type=Path, default=ROOT / ".demo" / "ml-100k")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=2000, help="Explain calls of the memory test")
    parser.add_argument("--only", choices=PARTS, action="append", help="these parts alone; given again, each of them")
    parser.add_argument("--quick", action="store_true", help="one round and few calls, for a first look")
    parser.add_argument("--echo", action="store_true", help=argparse.SUPPRESS)  # this script as the echo server
    options = parser.parse_args()
    if options.echo:
        LOOP.run_until_complete(echo())
        return 0
    if options.quick:
        options.rounds, options.calls = 1, 200
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "machine": {"processor": platform.machine(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]},
            **measured(options, Path(folder)),
        }
    missed = goals(found)
    print(json.dumps({**found, "missedGoals": missed}, indent=1))
    return 1 if missed else 0


def measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Every figure."""
    bundle = load_bundle(options.bundle)
    users = list(read_dataset(options.data, bundle.data_settings).histories().values())[:USERS]
    real = [list(history[-LENGTH:]) for history in users]
    cases = {ONE_CASE: [ONE] * USERS, f"{USERS} real histories of 20 items": real}
    wanted = options.only or PARTS
    found: dict[str, Any] = {}
    if "start" in wanted:
        starts = [start_to_ready(options.bundle, folder / f"start{n}.db") for n in range(options.rounds)]
        found["startToReadyS"] = round(statistics.median(starts), 2)
    if "batching" in wanted:
        found["batchingOnToOff"] = {
            name: batched(options.bundle, folder, histories, options.rounds) for name, histories in cases.items()
        }
    if "beside" in wanted:
        found["recommendBesideExplain"] = beside(options.bundle, folder, real, 1.0 if options.quick else 5.0)
    with serving(options.bundle, folder / "server.db") as (process, address):
        if "explain" in wanted:
            found["explainOverGrpcToInProcess"] = against_local(options, folder, address, cases)
        if "recommend" in wanted:
            found["recommendToEcho"] = recommended(address, options.rounds, 100 if options.quick else 1000)
        if "tail" in wanted:
            found["explainAt70Percent"] = {name: steady(address, h, quick=options.quick) for name, h in cases.items()}
        if "memory" in wanted:
            found["memory"] = memory(process, address, options.calls)
    return found


def against_local(
    options: argparse.Namespace, folder: Path, address: str, cases: dict[str, list[History]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Explain over gRPC against the same work in this process."""
    with local(options.bundle, folder / "local.db") as explain:
        return {
            name: {
                f"{callers} callers": explained(address, explain, histories, callers, options.rounds)
                for callers in CALLERS
            }
            for name, histories in cases.items()
        }


def goals(found: dict[str, Any]) -> list[str]:
    """The goals that were missed. Histories of different lengths take different times, so tails count for one alone."""
    explained_, tails = found.get("explainOverGrpcToInProcess", {}), found.get("explainAt70Percent", {})
    figures = [
        *(
            (f"Explain, {callers}", case["ratio"], 0.85, None)
            for name, ratios in explained_.items()
            if name != ONE_CASE
            for callers, case in ratios.items()
        ),
        ("Recommend to echo", found.get("recommendToEcho", {}).get("ratio"), 0.25, None),
        ("p99/p50 at 70 % load", tails.get(ONE_CASE, {}).get("p99ToP50"), None, 3.0),
        ("memory growth", found.get("memory", {}).get("growth"), None, 0.02),
        ("start to ready, s", found.get("startToReadyS"), None, 6.0),
    ]
    return [
        f"{name}: {value}, goal {low or high}"
        for name, value, low, high in figures
        if value is not None and ((low is not None and value < low) or (high is not None and value > high))
    ]


def batched(bundle: Path, folder: Path, histories: list[History], rounds: int) -> dict[str, float]:
    """Explain by 32 callers on a server that joins questions that wait, against one that gives each question its own pass.

    On the CPU next to none waits (docs/decisions/0711-turns-and-joined-passes.md): this is about 1 there.
    """
    requests = [ExplainRequest(history=history, user_id="bench") for history in histories]
    with (
        serving(bundle, folder / "joined.db") as (_, joined),
        serving(bundle, folder / "alone.db", BECAUSAL_BATCHING__ROWS="1") as (_, alone),
    ):
        pairs = [
            tuple(timed_calls(address, "Explain", requests, CALLERS[-1]) for address in (joined, alone))
            for _ in range(rounds + 1)
        ][1:]
    on, off = (statistics.median(side) for side in zip(*pairs, strict=True))
    return {
        "onPerSecond": round(len(histories) / on, 1),
        "offPerSecond": round(len(histories) / off, 1),
        "ratio": round(statistics.median(alone / together for together, alone in pairs), 3),
    }


def explained(address: str, explain: Local, histories: list[History], callers: int, rounds: int) -> dict[str, float]:
    """Explain over gRPC and in process, in turns."""
    requests = [ExplainRequest(history=history, user_id="bench") for history in histories]
    pairs = [
        (timed_calls(address, "Explain", requests, callers), timed_local(explain, histories, callers))
        for _ in range(rounds + 1)
    ][1:]  # the first round warms both up
    over, inside = (statistics.median(side) for side in zip(*pairs, strict=True))
    return {
        "grpcPerSecond": round(len(histories) / over, 1),
        "inProcessPerSecond": round(len(histories) / inside, 1),
        "ratio": round(statistics.median(there / here for here, there in pairs), 3),
    }


def recommended(address: str, rounds: int, calls: int) -> dict[str, float]:
    """Recommend against a bare echo of the same request, 8 callers each, in turns."""
    requests = [RecommendRequest(history=ONE)] * calls
    command = [sys.executable, "-m", "benchmarks.service", "--echo"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this script
        try:
            assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
            there = f"127.0.0.1:{process.stdout.readline().strip()}"
            pairs = [
                (timed_calls(address, "Recommend", requests, 8), timed_calls(there, "Echo", requests, 8))
                for _ in range(rounds + 1)
            ][1:]
        finally:
            process.terminate()
    ours, echoes = (statistics.median(side) for side in zip(*pairs, strict=True))
    return {
        "recommendPerSecond": round(calls / ours, 1),
        "echoPerSecond": round(calls / echoes, 1),
        "ratio": round(statistics.median(theirs / ours for ours, theirs in pairs), 3),
    }


def beside(bundle: Path, folder: Path, histories: list[History], seconds: float) -> dict[str, dict[str, float]]:
    """Recommend while eight callers explain, on every core and with one left to others."""
    explain = [ExplainRequest(history=history, user_id="bench") for history in histories]
    recommend = [RecommendRequest(history=ONE)]
    cores = os.cpu_count() or 1
    found = {}
    for turns in sorted({cores, max(cores - 1, 1)}, reverse=True):
        with serving(bundle, folder / f"turns{turns}.db", BECAUSAL_BATCHING__CORES=str(turns)) as (_, address):
            found[f"batching.cores = {turns}"] = LOOP.run_until_complete(mixed(address, explain, recommend, seconds))
    return found


async def mixed(address: str, explain: list[Any], recommend: list[Any], seconds: float) -> dict[str, float]:
    """Explanations a second of eight callers, and the latencies of one more who asks for recommendations meanwhile."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = ExplanationServiceStub(channel)
        explaining = Plan(concurrency=8, window=seconds, most_windows=3)
        asking = Plan(rate=50.0, window=seconds, most_windows=3)
        explained, asked = await asyncio.gather(
            measure(calling([stub.Explain], explain, DEADLINE_S), explaining),
            measure(calling([stub.Recommend], recommend, DEADLINE_S), asking),
        )
    latencies = asked.reported.latencies[OK]
    return {
        "explainPerSecond": round(explained.reported.per_second, 1),
        "recommendP50Ms": round(1000 * quantile(latencies, 50.0), 2),
        "recommendP99Ms": round(1000 * quantile(latencies, 99.0), 2),
    }


def steady(address: str, histories: list[History], *, quick: bool) -> dict[str, Any]:
    """Latencies of the open loop at 70 % of what eight callers get through."""
    requests = [ExplainRequest(history=history, user_id="bench") for history in histories]

    async def run() -> dict[str, Any]:
        async with grpc.aio.insecure_channel(address) as channel:
            call: Call = calling([ExplanationServiceStub(channel).Explain], requests, DEADLINE_S)
            seconds = 1.0 if quick else 4.0
            most = await measure(call, Plan(concurrency=8, window=seconds, most_windows=6))
            rate = STEADY_LOAD * most.reported.per_second
            found = await measure(call, Plan(rate=rate, window=seconds, most_windows=6))
        latencies = found.reported.latencies[OK]
        p50, p99 = (quantile(latencies, percent) for percent in (50.0, 99.0))
        return {
            "rate": round(rate, 1),
            "calls": len(latencies),
            "stable": found.stable,
            "p50Ms": round(1000 * p50, 2),
            "p99Ms": round(1000 * p99, 2),
            "p99ToP50": round(p99 / p50, 2),
        }

    return LOOP.run_until_complete(run())


def memory(process: subprocess.Popen[str], address: str, calls: int) -> dict[str, Any]:
    """How the server's resident memory grows over many Explain calls of 8 callers, once it is warm."""
    requests = (ExplainRequest(history=ONE, user_id="bench") for _ in itertools.count())
    warm = int(WARM_SHARE * calls)
    timed_calls(address, "Explain", list(itertools.islice(requests, warm)), 8)
    before = resident_mib(process.pid)
    timed_calls(address, "Explain", list(itertools.islice(requests, calls - warm)), 8)
    after = resident_mib(process.pid)
    return {
        "calls": calls,
        "warmMiB": round(before, 1),
        "afterMiB": round(after, 1),
        "growth": round(after / before - 1, 4),
    }


if __name__ == "__main__":
    sys.exit(main())
