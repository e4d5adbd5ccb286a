"""One interceptor for all that goes around a call: errors, draining, identity, limits, counting.

Each of them is an async context manager in which the call runs, so none has to know the four kinds of calls (one or many
messages in, one or many out).
"""

from __future__ import annotations

import inspect
from contextlib import AsyncExitStack
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from explainer.errors import CancelledError
from server.errors import MalformedMessageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
    Around: TypeAlias = Callable[[str, Context], AbstractAsyncContextManager[None]]
    """Given the method's full name and the call's context, what the call runs in."""


EXEMPT = ("/grpc.health.", "/grpc.reflection.")
"""Calls about the server itself, which those that refuse or count calls let pass."""


class Flow(Protocol):
    """Is told of each message of a call."""

    def received(self) -> None:
        """One came in."""

    def sent(self) -> None:
        """One went out."""


current_flow: ContextVar[Flow | None] = ContextVar("current_flow", default=None)
"""Set by what goes around a call and wants to know; it is told of messages written with `write`."""


class AroundInterceptor(grpc.aio.ServerInterceptor):
    """Runs each call inside what it is given, outermost first.

    Args:
        arounds: what goes around each call.
        check: raises for a request that is not to be answered; messages of a stream are for its call to check.
    """

    def __init__(self, *arounds: Around, check: Callable[[Any], None] = lambda _: None) -> None:
        self._arounds = arounds
        self._check = check

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the method's handler; a method that does not exist has none."""
        handler = await continuation(handler_call_details)
        return None if handler is None else self._wrapped(handler, handler_call_details.method)

    def _wrapped(self, handler: grpc.RpcMethodHandler[Any, Any], method: str) -> grpc.RpcMethodHandler[Any, Any]:
        # The stubs give only the synchronous forms; under grpc.aio a behaviour is a coroutine or an async generator.
        one: Any = handler.stream_unary if handler.request_streaming else handler.unary_unary
        many: Any = handler.stream_stream if handler.request_streaming else handler.unary_stream
        make: Any = _MAKERS[handler.request_streaming, handler.response_streaming]
        wrapped: grpc.RpcMethodHandler[Any, Any] = make(
            self._streamed(many, method) if handler.response_streaming else self._called(one, method),
            request_deserializer=_forgiving(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )
        return wrapped

    def _called(self, behaviour: Any, method: str) -> Any:
        async def called(request: Any, context: Context) -> Any:
            async with AsyncExitStack() as stack:
                await self._enter(stack, method, context)
                answer = await behaviour(self._passed(request), context)
                _sent(answer)
                return answer

        return called

    def _streamed(self, behaviour: Any, method: str) -> Any:
        if not inspect.isasyncgenfunction(behaviour):  # it writes to the context by itself
            return self._called(behaviour, method)

        async def streamed(request: Any, context: Context) -> AsyncIterator[Any]:
            async with AsyncExitStack() as stack:
                await self._enter(stack, method, context)
                async for message in behaviour(self._passed(request), context):
                    _sent(message)
                    yield message

        return streamed

    def _passed(self, request: Any) -> Any:
        received = _received(request)
        if not hasattr(request, "__aiter__"):
            self._check(received)
        return received

    async def _enter(self, stack: AsyncExitStack, method: str, context: Context) -> None:
        for around in self._arounds:
            await stack.enter_async_context(around(method, context))


def _forgiving(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """Read a message, or say that it cannot be read: gRPC's own answer to that is a fault of the server."""
    if deserialize is None:
        return None

    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return _UNREADABLE

    return read


def _received(request: Any) -> Any:
    """The request, or the stream of them, that tells the flow.

    Raises:
        MalformedMessageError: it cannot be read.
    """
    if hasattr(request, "__aiter__"):
        return _each(request)
    flow = current_flow.get()
    if flow is not None:
        flow.received()
    if request is _UNREADABLE:
        raise MalformedMessageError("The request is no message of this call; make it with the published protocol.")
    return request


async def _each(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _received(request)


async def write(context: Context, message: Any) -> None:
    """Send one of many messages, and tell the flow.

    Raises:
        CancelledError: nobody is there any more.
    """
    try:
        await context.write(message)
    except grpc.aio.InternalError as error:
        raise CancelledError("The caller has gone.") from error
    _sent(message)


def _sent(message: Any) -> None:
    flow = current_flow.get()
    if flow is not None and message is not None:
        flow.sent()


_UNREADABLE = object()
"""Stands for a message that is none."""

_MAKERS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
