"""`becausal bench`: a load generator for a running server."""

from __future__ import annotations

import asyncio
import itertools
import json as json_text
import random
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import grpc
import typer

from becausal.client import AsyncClient
from becausal.errors import CallError, DeadlineError
from becausal.v1.explanation_service_pb2 import ExplainRequest, RecommendAndExplainRequest, RecommendRequest
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from server.cli.failure import CommandError
from server.cli.options import Json
from server.load import OK, QUANTILES, Call, Measurement, Plan, measure, quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

READY_SECONDS = 10.0
# Every attempt is to be seen, and each connection is to be one.
CHANNEL_OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))


class Kind(Enum):
    """The calls that can be made."""

    RECOMMEND = "recommend"
    EXPLAIN = "explain"
    RECOMMEND_AND_EXPLAIN = "recommend-and-explain"


_REQUESTS: dict[Kind, tuple[str, Any]] = {
    Kind.RECOMMEND: ("Recommend", RecommendRequest),
    Kind.EXPLAIN: ("Explain", ExplainRequest),
    Kind.RECOMMEND_AND_EXPLAIN: ("RecommendAndExplain", RecommendAndExplainRequest),
}


def bench(
    *,
    address: Annotated[str, typer.Option("--address", help="HOST:PORT of a running server.")],
    history: Annotated[str, typer.Option("--history", help="Item tokens separated by commas.")] = "",
    histories: Annotated[
        Path | None,
        typer.Option("--histories", help="File with a history a line, taken in random order.", show_default=False),
    ] = None,
    call: Annotated[Kind, typer.Option("--call", help="What to call; explanations are stored.")] = Kind.EXPLAIN,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, help="Closed loop: number of callers (default 1).")
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.01, help="Open loop: calls per second, whatever the answers do.")
    ] = None,
    poisson: Annotated[bool, typer.Option("--poisson", help="Open loop at random moments, not evenly.")] = False,
    window: Annotated[float, typer.Option("--window", min=0.1, help="Seconds of a window; three must agree.")] = 2.0,
    windows: Annotated[int, typer.Option("--windows", min=3, help="Most windows to wait for agreement.")] = 15,
    deadline: Annotated[float, typer.Option("--deadline", min=0.001, help="Deadline of each call, in seconds.")] = 10.0,
    within: Annotated[
        float | None,
        typer.Option("--within", help="Milliseconds up to which an answer is goodput; by default the deadline."),
    ] = None,
    connections: Annotated[int, typer.Option("--connections", min=1, help="Connections to spread calls over.")] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Of the order of histories and of random moments.")] = 0,
    json: Json = False,
) -> None:
    """Load a server and report latencies by status code. Exit code 1 when no call was answered."""
    if concurrency is not None and rate is not None:
        raise CommandError("Both --concurrency and --rate are given; choose the closed or the open loop.")
    plan = Plan(
        concurrency=concurrency or (1 if rate is None else None),
        rate=rate,
        poisson=poisson,
        window=window,
        most_windows=windows,
        within=deadline if within is None else within / 1000,
        seed=seed,
    )
    requests = _requests(call, _histories(history, histories), seed)
    try:
        measured = asyncio.run(_run(address, call, requests, plan, deadline=deadline, connections=connections))
    except CallError as error:
        raise CommandError(str(error)) from error
    found = {"call": _REQUESTS[call][0], "address": address, **report(measured, plan)}
    if json:
        print(json_text.dumps(found, indent=1))  # noqa: T201 - the command's output
    else:
        _print(found)
    if OK not in measured.reported.latencies:
        sys.exit(1)


async def _run(
    address: str, kind: Kind, requests: Sequence[Message], plan: Plan, *, deadline: float, connections: int
) -> Measurement:
    clients = [AsyncClient(address, options=CHANNEL_OPTIONS) for _ in range(connections)]
    try:
        for client in clients:
            await _ready(client, address)
        methods = [getattr(ExplanationServiceStub(client.channel), _REQUESTS[kind][0]) for client in clients]
        return await measure(calling(methods, requests, deadline), plan)
    finally:
        for client in clients:
            await client.close()


async def _ready(client: AsyncClient, address: str) -> None:
    try:
        await client.wait_until_serving(READY_SECONDS)
    except DeadlineError as error:
        raise CommandError(
            f"No server at {address} says that it serves within {READY_SECONDS:g} s; start one with `becausal serve`."
        ) from error


def calling(methods: Sequence[Any], requests: Sequence[Message], deadline: float) -> Call:
    """Calls of grpc.aio in turn over methods and requests; a failed one gives its code."""
    pairs = zip(itertools.cycle(methods), itertools.cycle(requests))

    async def call() -> str:
        method, request = next(pairs)
        try:
            await method(request, timeout=deadline)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return OK

    return call


def report(measured: Measurement, plan: Plan) -> dict[str, Any]:
    """One JSON object: times in milliseconds, by status code; quantiles are by nearest rank."""
    return {
        "mode": "closed" if plan.rate is None else "open",
        "concurrency": plan.concurrency,
        "rate": plan.rate,
        "stable": measured.stable,
        "windows": [
            {"perSecond": round(window.per_second, 2), "p50Ms": _ms(window.median)} for window in measured.windows
        ],
        "measuredSeconds": round(measured.reported.seconds, 2),
        "perSecond": round(measured.reported.per_second, 2),
        "goodputPerSecond": round(measured.goodput(plan.within), 2),
        "goodputWithinMs": _ms(plan.within),
        "codes": {code: _latencies(values) for code, values in measured.reported.latencies.items()},
    }


def _latencies(values: Sequence[float]) -> dict[str, Any]:
    quantiles = {f"p{percent:g}Ms": _ms(quantile(values, percent)) for percent in QUANTILES}
    return {"count": len(values), "meanMs": _ms(sum(values) / len(values)), **quantiles, "maxMs": _ms(max(values))}


def _ms(seconds: float) -> float | None:
    return round(1000 * seconds, 3) if seconds < float("inf") else None  # also None for NaN: JSON has neither


def _histories(history: str, file: Path | None) -> list[list[str]]:
    if (file is None) is not bool(history):
        raise CommandError("Give --history or --histories, a file with one history a line.")
    try:
        lines = [history] if file is None else file.read_text("utf-8").splitlines()
    except OSError as error:
        raise CommandError(f"{file} cannot be read ({error.strerror}); give a file with one history a line.") from error
    parsed = [[token.strip() for token in line.split(",") if token.strip()] for line in lines]
    parsed = [tokens for tokens in parsed if tokens]
    if not parsed:
        raise CommandError(
            f"{file or '--history'} has no history; give item tokens separated by commas, in a file one history a line."
        )
    return parsed


def _requests(kind: Kind, histories: list[list[str]], seed: int) -> list[Message]:
    random.Random(seed).shuffle(histories)  # noqa: S311 - an order, no secret
    return [_REQUESTS[kind][1](history=history, user_id="becausal-bench") for history in histories]


def _print(found: dict[str, Any]) -> None:
    loop = f"{found['concurrency']} callers" if found["rate"] is None else f"{found['rate']:g} calls per second"
    steady = "stable" if found["stable"] else "NOT stable"
    typer.echo(f"{found['call']} at {found['address']}, {loop}: {steady} after {len(found['windows'])} windows")
    typer.echo(f"{found['perSecond']} answers per second, {found['goodputPerSecond']} of them goodput")
    for code, figures in found["codes"].items():
        times = "  ".join(f"{name.removesuffix('Ms')} {value} ms" for name, value in figures.items() if name != "count")
        typer.echo(f"{code}: {figures['count']}  {times}")
