"""ExplanationService: requests in, application calls on worker threads, messages out."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, cast

from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceServicer
from server.application import Patience
from server.rpc.messages import explanation_message, id_from, recommendation_message, settings_from

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from becausal.v1.explanation_pb2 import Explanation
    from server.application import Application
    from server.config import Config
    from storage import ExplanationRecord

    Context = grpc.aio.ServicerContext[Any, Any]

Result = TypeVar("Result")

DEFAULT_RECOMMENDED = 10
DEFAULT_EXPLAINED = 5
STORAGE_THREADS = 4
PATIENCE_SHARE = 0.9
"""Share of the caller's deadline that computing may use; the rest is for storing and the way back."""


class ExplanationService(ExplanationServiceServicer):
    """Serves one application.

    The model computes on one thread (more only share its cores); storing and reading have their own, so that a slow
    database never keeps the model waiting.
    """

    def __init__(self, application: Application, config: Config) -> None:
        self._application = application
        self._config = config
        self._defaults = config.explain.settings()
        self._model_thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._storage_threads = ThreadPoolExecutor(STORAGE_THREADS, thread_name_prefix="storage")

    async def Recommend(self, request: pb.RecommendRequest, context: Context) -> pb.RecommendResponse:  # noqa: ARG002, N802
        """Rank the catalogue for a history."""
        k = request.k if request.HasField("k") else DEFAULT_RECOMMENDED
        recommendation = await _run(self._model_thread, lambda: self._application.recommend(request.history, k))
        return recommendation_message(recommendation)

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> Explanation:  # noqa: N802
        """Explain one recommendation and store the answer before giving it."""
        settings = settings_from(request.options, self._defaults)
        record = await self._compute(
            context,
            lambda patience: self._application.explain(
                request.history, request.item or None, settings, request.user_id, patience
            ),
        )
        await self._store([record])
        return explanation_message(record)

    async def RecommendAndExplain(  # noqa: N802
        self, request: pb.RecommendAndExplainRequest, context: Context
    ) -> pb.RecommendAndExplainResponse:
        """Explain each of the k best and store all answers before giving them."""
        k = request.k if request.HasField("k") else DEFAULT_EXPLAINED
        settings = settings_from(request.options, self._defaults)
        records = await self._compute(
            context,
            lambda patience: self._application.recommend_and_explain(
                request.history, k, settings, request.user_id, patience
            ),
        )
        await self._store(records)
        return pb.RecommendAndExplainResponse(
            explanations=[explanation_message(record) for record in records],
            model_version=records[0].explanation.model_version if records else "",
        )

    async def GetExplanation(self, request: pb.GetExplanationRequest, context: Context) -> Explanation:  # noqa: ARG002, N802
        """Give a stored explanation."""
        explanation_id = id_from(request.name)
        record = await _run(self._storage_threads, lambda: self._application.get(explanation_id))
        return explanation_message(record, full=request.view != pb.EXPLANATION_VIEW_BASIC)

    async def ListExplanations(  # noqa: N802
        self,
        request: pb.ListExplanationsRequest,
        context: Context,  # noqa: ARG002
    ) -> pb.ListExplanationsResponse:
        """List stored explanations, newest first."""
        page = await _run(
            self._storage_threads,
            lambda: self._application.list(request.page_size, request.page_token, request.filter),
        )
        full = request.view == pb.EXPLANATION_VIEW_FULL
        return pb.ListExplanationsResponse(
            explanations=[explanation_message(record, full=full) for record in page.records],
            next_page_token=page.next_page_token,
        )

    def close(self) -> None:
        """Wait for what the threads are doing, then let them go."""
        self._model_thread.shutdown()
        self._storage_threads.shutdown()

    async def _compute(self, context: Context, work: Callable[[Patience], Result]) -> Result:
        """Run work on the model's thread until the caller's deadline; a caller that goes away stops it."""
        gone = threading.Event()
        remaining = cast("float | None", context.time_remaining())  # None without a deadline, whatever the stubs say
        longest = self._config.limits.seconds
        seconds = longest if remaining is None else min(longest, remaining)
        patience = Patience(time.monotonic() + PATIENCE_SHARE * seconds, gone.is_set)
        try:
            return await _run(self._model_thread, lambda: work(patience))
        finally:
            # A cancelled call leaves the thread running: the flag ends it at the next batch.
            gone.set()

    async def _store(self, records: list[ExplanationRecord]) -> None:
        # Shielded: a caller that goes away now must not leave a connection in the middle of a transaction.
        await asyncio.shield(_run(self._storage_threads, lambda: self._application.store(records)))


async def _run(pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(pool, work)
