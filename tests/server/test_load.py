"""The load generator against servers whose answers are known, and `becausal bench` against a real one."""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from listening import listening, scripted
from server.cli.app import main
from server.cli.bench import report
from server.load import NOT_SENT, OK, Plan, measure, quantile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def repository(sqlite_url: str) -> Iterator[storage.ExplanationRepository]:
    storage.upgrade(sqlite_url)
    with storage.Database(sqlite_url) as database:
        yield storage.ExplanationRepository(database)


async def steady() -> str:
    await asyncio.sleep(0.01)
    return OK


async def test_the_closed_loop_keeps_its_callers_busy() -> None:
    plan = Plan(concurrency=4, window=0.3, tolerance=0.5)
    measured = await measure(steady, plan)

    assert measured.stable
    assert len(measured.windows) == 3
    assert 100 < measured.reported.per_second <= 400  # 4 callers, 10 ms each
    assert 0.01 <= quantile(measured.reported.latencies[OK], 50) < 0.05


async def test_the_open_loop_keeps_its_rate() -> None:
    measured = await measure(steady, Plan(rate=100.0, window=0.5, tolerance=0.5))

    assert 80 < measured.reported.per_second < 120


async def test_random_moments_have_the_same_rate() -> None:
    measured = await measure(steady, Plan(rate=200.0, poisson=True, window=1.0, tolerance=0.5))

    assert 150 < measured.reported.per_second < 250


async def test_a_stall_counts_for_every_call_that_was_due() -> None:
    """A server that answers nothing for half a second delays the calls due meanwhile: p90 shows it, not just p99.9."""
    stall = time.perf_counter() + 0.5

    async def stalling() -> str:
        await asyncio.sleep(max(0.0, stall - time.perf_counter()))
        return OK

    measured = await measure(stalling, Plan(rate=100.0, window=0.4, most_windows=3))

    assert not measured.stable
    assert quantile(measured.reported.latencies[OK], 90) > 0.3


async def test_calls_that_cannot_be_sent_are_counted() -> None:
    async def never() -> str:
        await asyncio.sleep(60)
        return OK

    measured = await measure(never, Plan(rate=100.0, window=0.2, most_windows=3, most_under_way=5))

    assert set(measured.reported.latencies) == {NOT_SENT}
    assert len(measured.reported.latencies[NOT_SENT]) > 40  # 100 a second for 0.6 s, less 5


async def test_windows_that_do_not_agree_are_waited_out() -> None:
    begin = time.perf_counter()

    async def warming_up() -> str:
        await asyncio.sleep(0.05 if time.perf_counter() - begin < 0.3 else 0.01)
        return OK

    measured = await measure(warming_up, Plan(concurrency=1, window=0.2, tolerance=0.5))

    assert measured.stable
    assert len(measured.windows) > 3
    assert measured.reported.median < 0.03


async def test_a_fault_of_the_call_ends_it() -> None:
    async def broken() -> str:
        raise RuntimeError("broken")

    with pytest.raises(ExceptionGroup):
        await measure(broken, Plan(concurrency=2, window=0.05))


async def test_goodput_and_codes() -> None:
    codes = [OK, "UNAVAILABLE"]

    async def half() -> str:
        await asyncio.sleep(0.01)
        codes.reverse()
        return codes[0]

    plan = Plan(concurrency=1, window=0.2, most_windows=3, within=0.0)
    measured = await measure(half, plan)
    found = report(measured, plan)

    assert set(found["codes"]) == {OK, "UNAVAILABLE"}
    assert found["perSecond"] > 0
    assert found["goodputPerSecond"] == 0
    assert {"p50Ms", "p99Ms", "p99.9Ms"} <= set(found["codes"][OK])
    json.dumps(found, allow_nan=False)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.1, 100))
def test_a_quantile_is_a_value_with_its_share_below(values: list[float], percent: float) -> None:
    found = quantile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-9
    assert sum(value < found for value in values) < math.ceil(percent / 100 * len(values))


def ended(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code and output of `becausal bench`."""
    with pytest.raises(SystemExit) as caught:
        main(["bench", *map(str, arguments)])
    printed = capsys.readouterr()
    return int(caught.value.code or 0), printed.out, printed.err


SHORT = ("--window", "0.2", "--windows", "3")


async def test_bench_explains_on_a_real_server(
    repository: storage.ExplanationRepository, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    histories = tmp_path / "histories.txt"
    histories.write_text("a,b,c\n\nb, c\n")
    async with listening(repository) as server:
        address = f"127.0.0.1:{server.port}"
        code, out, _ = await asyncio.to_thread(
            ended, capsys, "--address", address, "--histories", histories, "--concurrency", 2, *SHORT, "--json"
        )
    found = json.loads(out)
    assert code == 0
    assert (found["call"], found["mode"], found["concurrency"]) == ("Explain", "closed", 2)
    assert set(found["codes"]) == {OK}
    assert found["goodputPerSecond"] == found["perSecond"] > 0


async def test_bench_in_words_and_its_connections(capsys: pytest.CaptureFixture[str]) -> None:
    async with scripted() as server:
        options = ("--history", "a", "--call", "recommend", "--rate", 50, "--connections", 3, *SHORT)
        code, out, _ = await asyncio.to_thread(ended, capsys, "--address", f"127.0.0.1:{server.port}", *options)
    assert code == 0
    assert "Recommend at 127.0.0.1" in out
    assert "50 calls per second" in out
    assert "OK: " in out


async def test_bench_against_a_server_that_refuses_everything(
    repository: storage.ExplanationRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    async with listening(repository) as server:
        options = ("--address", f"127.0.0.1:{server.port}", "--history", "nope", *SHORT)
        code, out, _ = await asyncio.to_thread(ended, capsys, *options)
    assert code == 1
    assert "INVALID_ARGUMENT: " in out


async def test_bench_without_a_server(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.cli.bench.READY_SECONDS", 0.2)
    code, _, err = await asyncio.to_thread(ended, capsys, "--address", "127.0.0.1:1", "--history", "a")
    assert code == 2
    assert "start one with `becausal serve`" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--history", "a", "--rate", "1", "--concurrency", "1"), "choose the closed or the open loop"),
        ((), "Give --history or --histories"),
        (("--history", " , "), "has no history"),
        (("--histories", "/nowhere"), "cannot be read"),
    ],
)
def test_bench_says_what_is_wrong(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = ended(capsys, "--address", "127.0.0.1:1", *arguments)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
