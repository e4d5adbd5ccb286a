"""Around every call: at shutdown new calls are sent elsewhere, and those under way finish.

A transport that shuts down cancels calls that reach it in that moment, and CANCELLED is not for a client to retry. So the
server first says NOT_SERVING and goes on answering while clients notice, then refuses with UNAVAILABLE, which is; the
transport is shut down only when no call is left.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from server.errors import ShuttingDownError
from server.rpc.handlers import EXEMPT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.rpc.handlers import Context


class Drain:
    """Counts the calls under way, and refuses new ones once told to."""

    def __init__(self) -> None:
        self._calls = 0
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:  # noqa: ARG002 - as all arounds
        """Count the call.

        Raises:
            ShuttingDownError: calls are not taken any more.
        """
        if method.startswith(EXEMPT):  # a health watch stays open until the end
            yield
            return
        if self._closed:
            raise ShuttingDownError("The server is shutting down and did nothing; try again at another instance.")
        self._calls += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def close(self, seconds: float, hurry: asyncio.Event) -> bool:
        """Refuse new calls, and wait for those under way, at most so long or until there is no time any more.

        Returns:
            Whether all are finished; the transport cancels what is left.
        """
        self._closed = True
        waits = [asyncio.ensure_future(event.wait()) for event in (self._idle, hurry)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
        return not self._calls
