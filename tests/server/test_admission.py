"""Turns are given in order, none is lost or given twice, and those refused are told when to come back."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.admission import LONGEST_WAIT, SHORTEST_WAIT, Gate
from server.admission_settings import Admission, Room
from server.errors import OverloadedError


def gate(running: int, waiting: int) -> Gate:
    return Gate("Explain", Room(running=running, waiting=waiting))


async def waits(one: Gate, order: list[str], name: str) -> None:
    await one.enter()
    order.append(name)


async def test_turns_are_given_in_the_order_of_arrival() -> None:
    one, order = gate(1, 3), []
    await one.enter()
    waiting = [asyncio.create_task(waits(one, order, name)) for name in "abc"]
    await asyncio.sleep(0)
    assert (one.running, one.waiting) == (1, 3)
    for _ in "abc":
        one.leave(0.1)
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)

    assert order == ["a", "b", "c"]
    one.leave(0.1)
    assert (one.running, one.waiting) == (0, 0)


async def test_what_finds_no_room_is_told_when_to_come_back() -> None:
    one = gate(2, 1)
    for _ in range(2):
        await one.enter()
    one.leave(4.0)
    await one.enter()
    waiting = asyncio.create_task(one.enter())
    await asyncio.sleep(0)

    with pytest.raises(OverloadedError, match="Explain") as caught:
        await one.enter()
    assert caught.value.retry_after == pytest.approx(2 * 4.0 / 2)
    one.leave(4.0)
    await waiting


async def test_nobody_slips_in_before_those_who_wait() -> None:
    one = gate(1, 1)
    await one.enter()
    waiting = asyncio.create_task(one.enter())
    await asyncio.sleep(0)
    one.leave(0.1)  # the turn is the waiting one's from here on, though its task has not run yet

    late = asyncio.create_task(one.enter())
    await asyncio.sleep(0)
    assert waiting.done()
    assert not late.done()
    one.leave(0.1)
    await late


@pytest.mark.parametrize("seconds", [1e-6, 1e6])
async def test_the_estimate_has_bounds(seconds: float) -> None:
    one = gate(1, 0)
    await one.enter()
    one.leave(seconds)

    assert SHORTEST_WAIT <= one.retry_after() <= LONGEST_WAIT


STEPS = st.lists(st.tuples(st.sampled_from(["enter", "leave", "go", "look"]), st.integers(0, 7)), max_size=40)


@given(STEPS, st.integers(1, 3), st.integers(0, 3))
def test_no_turn_is_lost_or_given_twice(steps: list[tuple[str, int]], running: int, waiting: int) -> None:
    async def play() -> None:
        one = gate(running, waiting)
        tasks: list[asyncio.Task[None]] = []
        left: set[asyncio.Task[None]] = set()
        for step, which in steps:
            inside = [task for task in tasks if task.done() and not task.cancelled() and not task.exception()]
            inside = [task for task in inside if task not in left]
            if step == "enter":
                tasks.append(asyncio.create_task(one.enter()))
            elif step == "leave" and inside:
                left.add(inside[which % len(inside)])
                one.leave(0.1)
            elif step == "go" and tasks:
                tasks[which % len(tasks)].cancel()  # a caller that goes: waiting, or in the moment of their turn
            else:
                await asyncio.sleep(0)
            assert 0 <= one.running <= running
            assert one.waiting <= waiting
        for task in tasks:
            task.cancel() if not task.done() else None
        await asyncio.gather(*tasks, return_exceptions=True)
        inside = [task for task in tasks if not task.cancelled() and not task.exception() and task not in left]
        assert (one.running, one.waiting) == (len(inside), 0)

    asyncio.run(play())


def test_a_method_can_have_room_of_its_own() -> None:
    settings = Admission(running=5, waiting=6, methods={"Explain": Room(running=1, waiting=0)})

    assert settings.room("Explain") == Room(running=1, waiting=0)
    assert settings.room("Recommend") == Room(running=5, waiting=6)
