"""On two Ray nodes: driver and workers are killed with SIGKILL at any moment, and every user has one record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

import storage
from batch.files import read_rows
from crashing import check_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent.parent
# Ray's workers begin with the environment of their node.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "proto", ROOT / "tests", TESTS))),
    "RAY_USAGE_STATS_ENABLED": "0",
}
NODES = """
from ray.cluster_utils import Cluster
settings = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
cluster = Cluster(initialize_head=True, head_node_args={**settings, "include_dashboard": False})
cluster.add_node(**settings)
print(cluster.address, flush=True)
try:
    input()
except EOFError:
    pass
cluster.shutdown()
"""
USERS = {f"u{number}": [f"i{number}"] for number in range(60)}
POISON = {"raise": ["a"]}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Two nodes of one core each, in processes of their own: Ray's warnings are not ours."""
    command = [sys.executable, "-c", NODES]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT
    ) as nodes:
        assert nodes.stdin is not None
        assert nodes.stdout is not None
        while ":" not in (line := nodes.stdout.readline()):
            assert line
        yield line.strip()
        nodes.stdin.close()


def users_done(folder: Path) -> int:
    return sum(len(read_rows(path)) for path in (folder / "users").glob("*.parquet"))


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.timeout(180)
def test_killed_drivers_and_workers_leave_one_record_for_every_user(
    address: str, write_lists: Callable[..., Path], postgres_copy: str, tmp_path: Path
) -> None:
    folder, pids = tmp_path / "run", tmp_path / "pids"
    pids.mkdir()
    source = write_lists({**dict(list(USERS.items())[:30]), **POISON, **dict(list(USERS.items())[30:])})
    command = [sys.executable, "-m", "driving", str(folder), str(source), postgres_copy, str(pids), address]

    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:  # noqa: S603 - our own command
        until(lambda: users_done(folder) >= 8)
        driver.kill()
    assert not (folder / "report.json").exists()
    before, first = users_done(folder), {path.name for path in pids.iterdir()}
    assert before < len(USERS)
    with subprocess.Popen(  # noqa: S603 - as above
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as driver:
        until(lambda: users_done(folder) >= before + 4)
        kill_one({path.name for path in pids.iterdir()} - first)
        out, error = driver.communicate(timeout=100)

    assert driver.returncode == 0, error
    check(json.loads(out), folder, postgres_copy)


def kill_one(pids: set[str]) -> None:
    os.kill(int(min(pids)), signal.SIGKILL)


def check(report: dict[str, dict[str, int]], folder: Path, url: str) -> None:
    assert report["users"] == {"answered": len(USERS), "setAside": 1, "unchanged": 0}
    assert set(report["setAside"]) == {"ValueError"}
    rows = [row for path in (folder / "explanations").glob("*.parquet") for row in read_rows(path)]
    assert Counter(row["user_id"] for row in rows) == dict.fromkeys(USERS, 1)
    ids = [UUID(row["id"]) for row in rows]
    with storage.Database(url) as database:
        assert sorted(storage.ExplanationRepository(database).ids()) == sorted(ids)
    check_all(url, ids)
