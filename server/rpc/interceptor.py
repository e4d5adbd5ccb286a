"""The outermost interceptor: whatever a call raises becomes a status that a client can use, and nothing else leaks."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import grpc

from server.rpc.errors import answer_for, grpc_status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Maps exceptions of unary calls by the table in server/rpc/errors.py."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of a unary call; others pass as they are."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        # The stubs give only the synchronous form; under grpc.aio a behaviour is a coroutine function.
        behaviour: Any = handler.unary_unary
        method = handler_call_details.method

        async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                return await behaviour(request, context)
            except (asyncio.CancelledError, grpc.aio.AbortError):
                raise
            except Exception as error:  # noqa: BLE001 - the one place where every error ends
                _log(method, error)
                await context.abort_with_status(grpc_status(error))

        return grpc.unary_unary_rpc_method_handler(
            guarded, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
        )


def _log(method: str, error: Exception) -> None:
    """Log what the client is not told: a fault with its trace, a fault of the surroundings in one line."""
    answer = answer_for(error)
    if answer is None:
        logger.error("%s failed", method, exc_info=error)
    elif answer.text:
        logger.warning("%s could not be answered: %s", method, error)
