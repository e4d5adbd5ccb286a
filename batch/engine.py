"""Ray Data at work: a fixed pool of workers, block numbers in, summaries out.

Numbers and not rows go through Ray: each worker reads its block itself, so that nothing large is moved or spilt, and a
run goes on from files alone after Ray and its driver have died. Ray Data hands out blocks no faster than the workers do
them, gives those of a dead worker to another, and starts that one again.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from batch.errors import RunStoppedError
from batch.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from batch.folder import RunFolder, RunIdentity
    from batch.values import Cluster, Work

MOST_PARTS = 10_000
"""Tasks that Ray Data is given at most; with more blocks than that, each takes several."""

CONNECT_SECONDS = 10.0

IN_FLIGHT = 2
"""Tasks that wait at each worker: one that it does, and one to go on with."""


def summaries(
    blocks: Sequence[int], work: Work, folder: RunFolder, run: RunIdentity, cluster: Cluster
) -> Generator[dict[str, Any], None, None]:
    """Do blocks; gives the summary of each as it is done.

    Raises:
        RunStoppedError: Ray cannot be started or reached, or a worker met an error that is not a user's.
    """
    # Ray writes of workers that died to standard output, which belongs to the report.
    with redirect_stdout(sys.stderr), _connected(cluster) as ray:
        workers = min(_workers(ray, cluster), len(blocks))
        data = ray.data.from_items(list(blocks), override_num_blocks=min(len(blocks), MOST_PARTS)).map_batches(
            Worker,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=IN_FLIGHT),
            num_cpus=1,
            num_gpus=cluster.gpus or None,
            fn_constructor_args=(work, folder.path, run),
        )
        try:
            for batch in data.iter_batches(batch_size=None, prefetch_batches=0):
                yield from map(json.loads, batch["summary"])
        except ray.exceptions.RayError as error:
            raise RunStoppedError(f"{_reason(error)} Run the same command again: it goes on where it ended.") from error


def _workers(ray: Any, cluster: Cluster) -> int:
    if cluster.workers is not None:
        return cluster.workers
    there = ray.cluster_resources()
    share = there.get("GPU", 0) / cluster.gpus if cluster.gpus else there.get("CPU", 1)
    return max(int(share), 1)


def _reason(error: BaseException) -> str:
    """The first line of what went wrong, without Ray's frames."""
    cause = getattr(error, "cause", None) or error.__cause__ or error
    text = str(cause).strip().splitlines() or [type(cause).__name__]
    return text[0].removesuffix(".") + "."


def _check_there(address: str) -> None:
    """Ray itself waits for many minutes for a cluster that is not there."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise RunStoppedError(f"The Ray address {address!r} is no HOST:PORT; give that of the cluster's head.")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RunStoppedError(f"No Ray cluster answers at {address}; start one with `ray start --head`.") from error


def _imported() -> Any:
    # Before Ray is imported: it tells its makers of its use otherwise, and the core writes to the terminal by itself.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray.data  # noqa: PLC0415 - an extra, and seconds to import
    except ImportError as error:
        raise RunStoppedError("Offline runs need Ray; run `pip install becausal-server[batch]`.") from error
    # Of an error that stops the run, the terminal shows one sentence; the trace is in the logs of Ray.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    return ray


@contextmanager
def _connected(cluster: Cluster) -> Iterator[Any]:
    ray = _imported()
    if cluster.address is not None:
        _check_there(cluster.address)
    here: dict[str, Any] = {
        "address": "local",
        "num_cpus": cluster.workers,
        "object_store_memory": cluster.store_bytes,
        "include_dashboard": False,
    }
    there = {"address": cluster.address}
    try:
        ray.init(**(here if cluster.address is None else there), log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise RunStoppedError(
            f"Ray cannot be used ({_reason(error)}); check --ray-address and `ray status`."
        ) from error
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        yield ray
    finally:
        ray.shutdown()
