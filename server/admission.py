"""Room for calls: so many are answered at once, so many wait, and those after them are told when to come back.

A queue without an end answers everybody too late. Here each method has its own, so that slow calls never keep quick ones out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from server.errors import OverloadedError

if TYPE_CHECKING:
    from server.admission_settings import Room

SHORTEST_WAIT, LONGEST_WAIT = 0.1, 30.0
"""Bounds of what a refused caller is told, in seconds: the estimate is a guess."""

_SHARE_OF_THE_NEWEST = 0.1


class Gate:
    """Lets in the calls of one method, first come first served. For one event loop; its numbers are readable from any thread."""

    def __init__(self, method: str, room: Room) -> None:
        self._method = method
        self._room = room
        self._queue: deque[asyncio.Future[None]] = deque()
        self._seconds: float | None = None
        self.running = 0
        """Calls that are answered now."""

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return len(self._queue)

    async def enter(self) -> None:
        """Wait for a turn; each one that was given is to be given back with `leave`.

        Raises:
            OverloadedError: too many wait already.
        """
        if self.running < self._room.running:
            self.running += 1
            return
        if len(self._queue) >= self._room.waiting:
            raise OverloadedError(
                f"Too many calls of {self._method} are waiting already; come back later, at another instance if there is "
                "one.",
                self.retry_after(),
            )
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn came in the moment in which the caller went
                self._pass_on()
            elif turn in self._queue:
                self._queue.remove(turn)
            raise

    def leave(self, seconds: float) -> None:
        """End a turn that took so long."""
        known = self._seconds
        self._seconds = seconds if known is None else known + _SHARE_OF_THE_NEWEST * (seconds - known)
        self._pass_on()

    def retry_after(self) -> float:
        """Seconds after which those that wait now will have had their turns, as far as can be told."""
        estimate = (len(self._queue) + 1) * (self._seconds or 0.0) / self._room.running
        return min(max(estimate, SHORTEST_WAIT), LONGEST_WAIT)

    def _pass_on(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.cancelled():  # a caller that goes is in the queue until its task runs
                turn.set_result(None)  # the turn changes hands, so nobody can slip in between
                return
        self.running -= 1
