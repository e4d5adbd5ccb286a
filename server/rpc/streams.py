"""Reading the messages of a stream that may have to end before its client ends it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

Message = TypeVar("Message")


async def until(messages: AsyncIterator[Message], end: asyncio.Event) -> AsyncGenerator[Message, None]:
    """The messages that come before the event, or all of them."""
    reading = aiter(messages)
    ended: asyncio.Future[Any] = asyncio.ensure_future(end.wait())
    following: asyncio.Future[Any] = ended
    try:
        while not end.is_set():
            following = asyncio.ensure_future(_next(reading))
            await asyncio.wait((following, ended), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            message = following.result()
            if message is None:
                return
            yield message
    finally:
        ended.cancel()
        following.cancel()


async def _next(reading: AsyncIterator[Message]) -> Message | None:
    return await anext(reading, None)
