"""Around every call: whatever it raises becomes a status that a client can use, and nothing else leaks."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc

from server.rpc.errors import answer_for, grpc_status, pushback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.rpc.handlers import Context

logger = logging.getLogger(__name__)


@asynccontextmanager
async def answering(method: str, context: Context) -> AsyncIterator[None]:
    """Map what a call raises by the table in server/rpc/errors.py."""
    try:
        yield
    except (asyncio.CancelledError, grpc.aio.AbortError):
        raise
    except Exception as error:  # noqa: BLE001 - the one place where every error ends
        log_failure(method, error)
        status = grpc_status(error)
        # What is set already, such as the call's id, would be lost.
        trailing = (*context.trailing_metadata(), *status.trailing_metadata, *pushback(error))
        try:
            await context.abort(status.code, status.details, trailing)
        except grpc.aio.InternalError as gone:
            # Nobody is there any more to be told.
            raise asyncio.CancelledError from gone


def log_failure(method: str, error: Exception) -> None:
    """Log what the client is not told: a fault with its trace, a fault of the surroundings in one line."""
    answer = answer_for(error)
    if answer is None:
        logger.error("%s failed", method, exc_info=error)
    elif answer.text:
        logger.warning("%s could not be answered: %s", method, error)
