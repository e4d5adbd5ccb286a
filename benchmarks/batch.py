"""What offline runs cost against a plain loop, how they grow with workers and users: prints one JSON object.

    .venv/bin/python -m benchmarks.batch --users 960 --memory 1000 10000 100000

`loop` explains in this process and stores nothing; `runs` are whole runs of `becausal batch` over the same users, into
Parquet; histories are the newest 20 items of real users. Figures per core-second hold on a busy machine too, where
wall-clock times do not: beside these stands how many cores the workers got. `two_loops_against_one` is what the machine
itself loses when both cores work: the loop in two processes, without Ray. `memory` takes histories of two items, so that
there can be many. `memory_without_model` is the run alone, with a work that does nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet

from batch.folder import RunFolder
from batch.preparing import Preparing
from batch.run import run as batch_run
from batch.values import Answer, Cluster
from explainer import warm_up
from recommender import Recommender, load_bundle, read_dataset
from server.application import FOREVER, Application
from server.config import Config
from server.models import Models

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
BUNDLE = DEMO / "bundle"
BECAUSAL = str(Path(sys.executable).with_name("becausal"))
BLOCK = 16
LENGTH = 20
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
WARM_UP = 5

Histories = dict[str, list[str]]


@dataclass
class Watched:
    """A process and all that it starts, looked at twice a second: processor seconds and largest memory by process id."""

    root: int
    seconds: dict[int, float] = field(default_factory=dict)
    bytes: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    def watch(self, ended: Event) -> None:
        """Look until it has ended."""
        while not ended.wait(0.5):
            self._look()

    def _look(self) -> None:
        parents: dict[int, int] = {}
        stats: dict[int, list[str]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, _, rest = path.read_text().partition("(")[2].rpartition(")")
                cells = rest.split()
            except OSError:
                continue
            pid = int(path.parent.name)
            parents[pid], stats[pid], self.names[pid] = int(cells[1]), cells, name
        for pid, cells in stats.items():
            if self._is_ours(pid, parents):
                self.seconds[pid] = (int(cells[11]) + int(cells[12])) / TICKS
                self.bytes[pid] = max(self.bytes.get(pid, 0), int(cells[21]) * PAGE)

    def _is_ours(self, pid: int, parents: dict[int, int]) -> bool:
        while pid in parents:
            if pid == self.root:
                return True
            pid = parents[pid]
        return False

    def megabytes(self, name: str) -> float:
        """Largest memory of one process whose name begins so."""
        return max((size for pid, size in self.bytes.items() if self.names[pid].startswith(name)), default=0) / 1e6


def drawn(users: int, seed: int = 2026) -> Histories:
    """The newest items of real users, again and again under other names when there are too few."""
    known = list(read_dataset(DEMO / "ml-100k", load_bundle(BUNDLE).data_settings).histories().values())
    random.Random(seed).shuffle(known)  # noqa: S311 - a sample
    return {f"u{number}": list(known[number % len(known)][-LENGTH:]) for number in range(users)}


def pairs(users: int, seed: int = 2026) -> Histories:
    """Histories of two items each."""
    items = sorted({item for history in drawn(943).values() for item in history})
    choice = random.Random(seed)  # noqa: S311 - a sample
    return {f"u{number}": choice.sample(items, 2) for number in range(users)}


def loop(histories: Histories) -> float:
    """Core-seconds for each user of `Application.explain` in this process."""
    config = Config()
    application = Application(Models(Recommender(load_bundle(BUNDLE)), config), config, None)
    asked = list(histories.items())
    for number, (user, history) in enumerate([*asked[:WARM_UP], *asked]):
        if number == WARM_UP:
            began = time.process_time()
        application.explain(history, None, config.explain.settings(), user, FOREVER)
    return (time.process_time() - began) / len(asked)


def loops_side_by_side(histories: Histories) -> float:
    """The same of two processes at once."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        return mean(pool.map(loop, [histories] * 2))


def run(histories: Histories, workers: int, block: int = BLOCK) -> dict[str, Any]:
    """A whole run of the command."""
    with tempfile.TemporaryDirectory() as scratch:
        source, out = Path(scratch) / "histories.parquet", Path(scratch) / "out"
        parquet.write_table(pa.table({"user_id": list(histories), "history": list(histories.values())}), source)
        command = [BECAUSAL, "batch", "--bundle", BUNDLE, "--histories", source, "--out", out, "--json"]
        command += ["--workers", str(workers), "--block", str(block)]
        report, watched = watched_run(command)
        times = sorted(path.stat().st_mtime for path in (out / "users").iterdir())
    return figures(report, watched, times, workers=workers, block=block)


@dataclass(frozen=True)
class Nothing:
    """A work without a model: what is left is the run itself."""

    kind: str = "explanations"
    keeps_files: bool = True

    def open(self, _: object) -> Nothing:
        """Nothing to load."""
        return self

    def answer(self, user_id: str, _: object) -> Answer:
        """A row as large as a short record's."""
        return Answer(({"user_id": user_id, "ordinal": 0, "payload": user_id * 400},), ("EXPLAINED",))

    def keep(self, _: object) -> None:
        """Nowhere."""


def run_nothing(folder: Path) -> None:
    """In a process of its own, so that its memory is a driver's."""
    work = Nothing()
    preparing = Preparing(folder / "histories.parquet")
    report = batch_run(work, RunFolder(folder / "out", work.kind), preparing, Cluster(workers=2), asked={})
    print(json.dumps(report))


def without_model(users: int) -> dict[str, Any]:
    """Memory of a run whose work does nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        histories = pairs(users)
        table = pa.table({"user_id": list(histories), "history": list(histories.values())})
        parquet.write_table(table, Path(scratch) / "histories.parquet")
        report, watched = watched_run([sys.executable, "-m", "benchmarks.batch", "--nothing", scratch])
    return {
        "users": report["users"]["answered"],
        "driver_mb": watched.bytes[watched.root] / 1e6,
        "worker_mb": watched.megabytes("ray::MapWorker"),
    }


def watched_run(command: list[Any]) -> tuple[dict[str, Any], Watched]:
    """What a command prints, and what it took."""
    ended = Event()
    # Ray makes its workers give way to everything else; the loop that they are compared with does not.
    equal = {**os.environ, "RAY_worker_niceness": "0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=equal) as process:  # noqa: S603 - our own command
        watched = Watched(process.pid)
        watching = Thread(target=watched.watch, args=(ended,))
        watching.start()
        text, _ = process.communicate()
        ended.set()
        watching.join()
    return json.loads(text), watched


def figures(
    report: dict[str, Any], watched: Watched, times: list[float], *, workers: int, block: int
) -> dict[str, Any]:
    """Of one run; its pace is that between the first and the last block, without the start."""
    users, seconds = report["users"]["answered"], report["cost"]["coreSeconds"]
    wall = times[-1] - times[0]
    paced = (len(times) - 1) * block
    return {
        "users": users,
        "workers": workers,
        "ms_per_user": 1000 * seconds / users,
        "users_per_second": paced / wall,
        "cores_got": seconds * paced / users / wall,
        "core_hours_per_million": report["cost"]["coreHoursPerMillion"],
        "bytes_per_user": report["bytes"] / users,
        "core_seconds_of_driver_and_ray": sum(watched.seconds.values()) - seconds,
        "driver_mb": watched.bytes[watched.root] / 1e6,
        "worker_mb": watched.megabytes("ray::MapWorker"),
    }


def measured(users: int, memory: list[int]) -> dict[str, Any]:
    """All figures; the loop runs before and after each run, since the machine's pace changes."""
    histories = drawn(users)
    loops, beside, runs = [1000 * loop(histories)], [], []
    for workers in (1, 2, 1, 2):
        runs.append(run(histories, workers))
        beside.append(1000 * loops_side_by_side(histories))
        loops.append(1000 * loop(histories))
    return {
        "loop_ms_per_user": loops,
        "two_loops_ms_per_user": beside,
        "runs": runs,
        "users_per_core_second_against_loop": median(
            (before + after) / 2 / one["ms_per_user"]
            for before, after, one in zip(loops, loops[1:], runs, strict=False)
        ),
        "two_loops_against_one": {
            "users_per_core_second": median(alone / both for alone, both in zip(loops[1:], beside, strict=True))
        },
        "two_workers_against_one": {
            "users_per_core_second": _ratio(runs, lambda one: 1 / one["ms_per_user"]),
            "users_per_second": _ratio(runs, lambda one: one["users_per_second"]),
            "cores_got": _ratio(runs, lambda one: one["cores_got"]),
        },
        "memory": [run(pairs(count), 2, block=64) for count in memory],
        "memory_without_model": [without_model(count) for count in (1000, 100_000)],
    }


def _ratio(runs: list[dict[str, Any]], figure: Callable[[dict[str, Any]], float]) -> float:
    """The figure of two workers, over that of one in the run before."""
    return median(figure(two) / figure(one) for one, two in zip(runs[::2], runs[1::2], strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=960)
    parser.add_argument("--memory", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--nothing", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.nothing is not None:
        run_nothing(given.nothing)
        return
    warm_up()
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    print(json.dumps({"machine": machine, **measured(given.users, given.memory)}, indent=1))


if __name__ == "__main__":
    main()
