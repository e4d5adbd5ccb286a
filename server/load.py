"""Load on a server, measured in windows until they agree: closed loop (a number of callers) or open loop (a rate).

Latency in the open loop counts from when a call was due, not from when it could be sent: a server that stalls is not
spared the calls that would have come meanwhile.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

Call: TypeAlias = "Callable[[], Awaitable[str]]"
"""Makes one call and gives the name of its status code."""

OK = "OK"
NOT_SENT = "NOT_SENT"
"""Calls of the open loop that were due while as many as allowed were under way."""

QUANTILES = (50.0, 90.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to load and how to measure. Exactly one of ``concurrency`` and ``rate`` is set."""

    concurrency: int | None = None
    """Callers of the closed loop: each calls again as soon as it has its answer."""

    rate: float | None = None
    """Calls per second of the open loop, whatever the answers do."""

    poisson: bool = False
    """Whether the open loop's calls come at random moments of that rate; evenly otherwise."""

    window: float = 2.0
    """Seconds of one window."""

    agreeing: int = 3
    """Windows in a row that have to agree; they are what is reported."""

    tolerance: float = 0.1
    """How far a window's answers per second and median may be from the mean of those windows, as a share."""

    most_windows: int = 15
    """Windows after which the last ones are reported although they do not agree."""

    most_under_way: int = 1000
    """Calls of the open loop that may be under way at once."""

    within: float = math.inf
    """Seconds up to which an OK answer counts as goodput."""

    seed: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """What came back in a stretch of time."""

    seconds: float
    latencies: Mapping[str, Sequence[float]]
    """Seconds of each answer, by status code."""

    @property
    def per_second(self) -> float:
        """OK answers per second."""
        return len(self.latencies.get(OK, ())) / self.seconds

    @property
    def median(self) -> float:
        """Seconds, over OK answers; NaN when there is none."""
        return statistics.median(self.latencies.get(OK) or (math.nan,))


@dataclass(frozen=True, slots=True)
class Measurement:
    """The windows that were reported, as one, and all of them."""

    stable: bool
    reported: Window
    windows: tuple[Window, ...]

    def goodput(self, within: float) -> float:
        """OK answers per second that took at most ``within`` seconds."""
        good = sum(latency <= within for latency in self.reported.latencies.get(OK, ()))
        return good / self.reported.seconds


@dataclass(slots=True)
class _Recorder:
    answers: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def record(self, call: Call, due: float) -> None:
        code = await call()
        self.answers[code].append(time.perf_counter() - due)

    def take(self) -> dict[str, list[float]]:
        taken, self.answers = self.answers, defaultdict(list)
        return dict(taken)


async def measure(call: Call, plan: Plan) -> Measurement:
    """Load until the windows agree, or for as many windows as allowed.

    Args:
        call: Never raises for a failed call; it gives the code.
        plan: How.
    """
    recorder = _Recorder()
    load = _closed(call, plan, recorder) if plan.concurrency is not None else _open(call, plan, recorder)
    loading = asyncio.create_task(load)
    windows: list[Window] = []
    try:
        async for window in _windows(recorder, plan.window):
            windows.append(window)
            if loading.done():  # only a fault ends it before it is told to
                loading.result()
            if _agree(windows, plan) or len(windows) >= plan.most_windows:
                break
    finally:
        loading.cancel()
        await asyncio.wait([loading])
    return Measurement(_agree(windows, plan), _joined(windows[-plan.agreeing :]), tuple(windows))


def quantile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank quantile: a value that did occur, never one between two."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(percent / 100 * len(ranked)) - 1)]


async def _windows(recorder: _Recorder, seconds: float) -> AsyncIterator[Window]:
    start = time.perf_counter()
    while True:
        await asyncio.sleep(seconds)
        end = time.perf_counter()
        yield Window(end - start, recorder.take())
        start = end


async def _closed(call: Call, plan: Plan, recorder: _Recorder) -> None:
    async def caller() -> None:
        while True:
            await recorder.record(call, time.perf_counter())

    async with asyncio.TaskGroup() as callers:
        for _ in range(plan.concurrency or 1):
            callers.create_task(caller())


async def _open(call: Call, plan: Plan, recorder: _Recorder) -> None:
    rate, chance = plan.rate or 1.0, random.Random(plan.seed)  # noqa: S311 - arrival times are no secret
    under_way: set[asyncio.Task[None]] = set()
    due = time.perf_counter()
    async with asyncio.TaskGroup() as calls:
        while True:
            due += chance.expovariate(rate) if plan.poisson else 1 / rate
            # A sleep of 0 when late: answers must get in, and the calls that are due are still sent.
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if len(under_way) >= plan.most_under_way:
                recorder.answers[NOT_SENT].append(0.0)
                continue
            task = calls.create_task(recorder.record(call, due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)


def _agree(windows: Sequence[Window], plan: Plan) -> bool:
    last = windows[-plan.agreeing :]
    if len(last) < plan.agreeing:
        return False
    return all(_close([getattr(window, what) for window in last], plan.tolerance) for what in ("per_second", "median"))


def _close(values: Sequence[float], tolerance: float) -> bool:
    mean = statistics.fmean(values)
    return mean > 0 and all(abs(value - mean) <= tolerance * mean for value in values)


def _joined(windows: Sequence[Window]) -> Window:
    codes = sorted({code for window in windows for code in window.latencies})
    latencies = {code: [one for window in windows for one in window.latencies.get(code, ())] for code in codes}
    return Window(sum(window.seconds for window in windows), latencies)
