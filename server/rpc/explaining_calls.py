"""The calls of ExplanationService that explain: one item, the k best, many requests at once, or as many as come."""

from __future__ import annotations

import asyncio
import threading
import time
from asyncio import Semaphore, TaskGroup
from contextlib import aclosing, nullcontext
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar, cast

from google.protobuf.json_format import MessageToJson

from becausal.v1 import explanation_service_pb2 as pb
from explainer.errors import CancelledError
from server.access import current_caller
from server.application import Patience
from server.errors import InvalidFieldError, InvalidFieldsError, OutOfTimeError, ShuttingDownError
from server.requests import request_key
from server.rpc.answering import log_failure
from server.rpc.errors import problem_of
from server.rpc.handlers import write
from server.rpc.keeping_calls import KeepingCalls, run
from server.rpc.messages import explanation_message, settings_from
from server.rpc.streams import until
from server.rpc.validating import check
from storage import DuplicateRecordError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from concurrent.futures import Future

    import grpc

    from becausal.v1.explanation_pb2 import Explanation
    from server.application import Application
    from server.config import Config
    from storage import ExplanationRecord, RequestKey

    Context = grpc.aio.ServicerContext[Any, Any]

Result = TypeVar("Result")

DEFAULT_EXPLAINED = 5
PATIENCE_SHARE = 0.9
"""Share of the caller's deadline that computing may use; the rest is for storing and the way back."""


NO_TURN = "The deadline came before the call had its turn; give it more time."


class ExplainingCalls(KeepingCalls):
    """Part of ExplanationService."""

    def __init__(self, application: Application, config: Config) -> None:
        super().__init__(application)
        self._limits = config.limits
        self._defaults = config.explain.settings()
        self._leaving = asyncio.Event()
        # Half of the threads at most: callers with one question each do not wait behind those with thousands.
        self._bulk = Semaphore(max(config.batching.calls // 2, 1))

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> Explanation:  # noqa: N802
        """Explain one recommendation and store the answer before giving it."""
        return await self._explained(request, lambda: self._seconds(context))

    async def RecommendAndExplain(  # noqa: N802
        self, request: pb.RecommendAndExplainRequest, context: Context
    ) -> pb.RecommendAndExplainResponse:
        """Explain each of the k best and store all answers before giving them."""
        k = request.k if request.HasField("k") else DEFAULT_EXPLAINED
        settings = settings_from(request.options, self._defaults)

        async def made(key: RequestKey | None) -> list[ExplanationRecord]:
            history = await self._history(request.history, request.user_id)
            return await self._kept(
                self._seconds(context),
                key,
                lambda patience: self._application.recommend_and_explain(
                    history, k, settings, request.user_id, patience
                ),
            )

        records = await self._once(request, made)
        return pb.RecommendAndExplainResponse(
            explanations=[explanation_message(record) for record in records],
            model_version=records[0].explanation.model_version if records else "",
        )

    async def BatchExplain(self, request: pb.BatchExplainRequest, context: Context) -> pb.BatchExplainResponse:  # noqa: N802
        """Explain each request; what fails is told in its place."""
        given, most = request.requests, self._limits.batch
        if len(given) > most:
            raise InvalidFieldError("requests", f"requests are {len(given)}; give at most {most} in one call.")
        end = time.monotonic() + self._seconds(context)
        async with TaskGroup() as group:
            tasks = [group.create_task(self._result(one, lambda: end - time.monotonic())) for one in given]
        return pb.BatchExplainResponse(results=[task.result() for task in tasks])

    # A coroutine, where the stub has a generator: cancelled, it ends at once and with all that it began.
    async def StreamExplain(  # type: ignore[override]  # noqa: N802
        self, requests: AsyncIterator[pb.StreamExplainRequest], context: Context
    ) -> None:
        """Explain what comes, and answer each request when it is ready."""
        # Taken by a request until its answer was sent: the server reads no faster than the client does.
        places, writing = Semaphore(self._limits.outstanding), asyncio.Lock()

        async def answer(one: pb.StreamExplainRequest) -> None:
            result = await self._streamed(one, context)
            async with writing:
                await write(context, pb.StreamExplainResponse(id=one.id, result=result))
            places.release()

        try:
            async with TaskGroup() as group, aclosing(until(requests, self._leaving)) as coming:
                async for one in coming:
                    await places.acquire()
                    group.create_task(answer(one))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors  # no answer can be sent: one reason is as good as another
        if self._leaving.is_set():
            raise ShuttingDownError(
                "The instance is shutting down; send the requests without an answer again, to another one."
            )

    def leave(self) -> None:
        """Read no more of the streams that are open; what was read is answered."""
        self._leaving.set()

    async def _streamed(self, one: pb.StreamExplainRequest, context: Context) -> pb.ExplainResult:
        try:
            check(one)
        except InvalidFieldsError as error:
            return pb.ExplainResult(problem=problem_of(error))
        return await self._result(one.request, lambda: min(self._limits.default_seconds, self._seconds(context)))

    async def _result(self, request: pb.ExplainRequest, seconds: Callable[[], float]) -> pb.ExplainResult:
        """What came of one of many requests, whose time begins when it has a place."""
        try:
            check(request)
            return pb.ExplainResult(explanation=await self._explained(request, seconds, self._bulk))
        except Exception as error:  # noqa: BLE001 - it ends here as that of a call ends in answering
            log_failure("ExplanationService of many requests", error)
            return pb.ExplainResult(problem=problem_of(error))

    async def _explained(
        self, request: pb.ExplainRequest, seconds: Callable[[], float], places: Semaphore | None = None
    ) -> Explanation:
        settings = settings_from(request.options, self._defaults)

        async def made(key: RequestKey | None) -> list[ExplanationRecord]:
            async with places or nullcontext():
                history = await self._history(request.history, request.user_id)
                return await self._kept(
                    seconds(),
                    key,
                    lambda patience: [
                        self._application.explain(history, request.item or None, settings, request.user_id, patience)
                    ],
                )

        (record,) = await self._once(request, made)
        return explanation_message(record)

    def _seconds(self, context: Context) -> float:
        """How long the call may take from now on."""
        remaining = cast("float | None", context.time_remaining())  # None without a deadline, whatever the stubs say
        return min(self._limits.seconds, self._limits.default_seconds if remaining is None else remaining)

    async def _compute(self, seconds: float, work: Callable[[Patience], Result]) -> Result:
        """Compute for so long at most; a caller that goes away stops it."""
        gone = threading.Event()
        deadline = time.monotonic() + PATIENCE_SHARE * seconds
        patience = Patience(deadline, gone.is_set)

        def timely() -> Result:
            if patience.over:
                raise OutOfTimeError(NO_TURN)
            return work(patience)

        try:
            return await self._computed(timely)
        finally:
            # A cancelled call leaves its thread running: the flag ends it at the next batch.
            gone.set()

    async def _once(
        self,
        request: pb.ExplainRequest | pb.RecommendAndExplainRequest,
        made: Callable[[RequestKey | None], Awaitable[list[ExplanationRecord]]],
    ) -> Sequence[ExplanationRecord]:
        """Have records made and stored, or give what was stored for the same request before."""
        key = _key(request)
        if key is None:
            return await made(None)
        given_before = await run(self._storage_threads, lambda: self._application.given_before(key))
        if given_before:
            return given_before
        try:
            return await made(key)
        except DuplicateRecordError:
            # The same request came to another thread or instance meanwhile: both callers get its answer.
            given_before = await run(self._storage_threads, lambda: self._application.given_before(key))
            if not given_before:
                raise
            return given_before

    async def _kept(
        self, seconds: float, key: RequestKey | None, work: Callable[[Patience], list[ExplanationRecord]]
    ) -> list[ExplanationRecord]:
        """Compute and store."""

        def keeping(patience: Patience) -> tuple[list[ExplanationRecord], Future[None]]:
            records = work(patience)
            if patience.cancelled():
                raise CancelledError("The caller has gone; nothing is stored that nobody was given.")
            # On the same thread: writing the rows is no waiting, and a change of threads costs as much.
            return records, self._application.submit(records, key)

        records, stored = await self._compute(seconds, keeping)
        # Shielded: what is under way to the database is stored, whether or not the caller goes away now.
        await asyncio.shield(asyncio.wrap_future(stored))
        return records


def _key(request: pb.ExplainRequest | pb.RecommendAndExplainRequest) -> RequestKey | None:
    if not request.request_id:
        return None
    asked = deepcopy(request)
    asked.ClearField("request_id")
    # JSON and not bytes: protobuf may write the same message differently from version to version.
    text = type(request).__name__ + MessageToJson(asked, preserving_proto_field_name=True, sort_keys=True)
    return request_key(request.request_id, current_caller.get().name, text)
