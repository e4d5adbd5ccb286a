"""ExplanationService: requests in, application calls on worker threads, messages out."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

from becausal.v1 import explanation_service_pb2 as pb
from server.application import Patience
from server.pages import parse_filter
from server.rpc.keeping_calls import KeepingCalls, run
from server.rpc.messages import (
    explanation_message,
    id_from,
    intervention_from,
    recommendation_message,
    settings_from,
    what_if_message,
)
from server.what_if import Edit

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
PATIENCE_SHARE = 0.9
"""Share of the caller's deadline that computing may use; the rest is for storing and the way back."""


class ExplanationService(KeepingCalls):
    """Serves one application."""

    def __init__(self, application: Application, config: Config) -> None:
        super().__init__(application)
        self._config = config
        self._defaults = config.explain.settings()

    async def Recommend(self, request: pb.RecommendRequest, context: Context) -> pb.RecommendResponse:  # noqa: N802
        """Rank the catalogue for a history."""
        k = request.k if request.HasField("k") else DEFAULT_RECOMMENDED
        history = await self._history(request.history, request.user_id)
        return recommendation_message(
            await self._compute(context, lambda patience: self._application.recommend(history, k, patience))
        )

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> Explanation:  # noqa: N802
        """Explain one recommendation and store the answer before giving it."""
        settings = settings_from(request.options, self._defaults)
        history = await self._history(request.history, request.user_id)
        record = await self._compute(
            context,
            lambda patience: self._application.explain(
                history, request.item or None, settings, request.user_id, patience
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
        history = await self._history(request.history, request.user_id)
        records = await self._compute(
            context,
            lambda patience: self._application.recommend_and_explain(history, k, settings, request.user_id, patience),
        )
        await self._store(records)
        return pb.RecommendAndExplainResponse(
            explanations=[explanation_message(record) for record in records],
            model_version=records[0].explanation.model_version if records else "",
        )

    async def WhatIf(self, request: pb.WhatIfRequest, context: Context) -> pb.WhatIfResponse:  # noqa: N802
        """Edit a history and say how the recommendations change."""
        k = request.k if request.HasField("k") else DEFAULT_RECOMMENDED
        intervention = intervention_from(request.intervention, self._defaults.intervention, "intervention")
        edit = Edit(request.history, request.remove, request.add, intervention)
        return what_if_message(
            await self._compute(context, lambda patience: self._application.what_if(edit, k, patience))
        )

    async def GetExplanation(self, request: pb.GetExplanationRequest, context: Context) -> Explanation:  # noqa: N802
        """Give a stored explanation."""
        explanation_id = id_from(request.name)
        await self._note(context, "get", request.name)
        record = await run(self._storage_threads, lambda: self._application.get(explanation_id))
        return explanation_message(record, full=request.view != pb.EXPLANATION_VIEW_BASIC)

    async def ListExplanations(  # noqa: N802
        self, request: pb.ListExplanationsRequest, context: Context
    ) -> pb.ListExplanationsResponse:
        """List stored explanations, newest first."""
        await self._note(context, "list", request.filter, parse_filter(request.filter).user_id)
        page = await run(
            self._storage_threads,
            lambda: self._application.list(request.page_size, request.page_token, request.filter),
        )
        full = request.view == pb.EXPLANATION_VIEW_FULL
        return pb.ListExplanationsResponse(
            explanations=[explanation_message(record, full=full) for record in page.records],
            next_page_token=page.next_page_token,
        )

    async def _compute(self, context: Context, work: Callable[[Patience], Result]) -> Result:
        """Compute until the caller's deadline; a caller that goes away stops it."""
        gone = threading.Event()
        remaining = cast("float | None", context.time_remaining())  # None without a deadline, whatever the stubs say
        longest = self._config.limits.seconds
        seconds = longest if remaining is None else min(longest, remaining)
        patience = Patience(time.monotonic() + PATIENCE_SHARE * seconds, gone.is_set)
        try:
            return await self._computed(lambda: work(patience))
        finally:
            # A cancelled call leaves its thread running: the flag ends it at the next batch.
            gone.set()

    async def _store(self, records: list[ExplanationRecord]) -> None:
        # Shielded: a caller that goes away now must not leave a connection in the middle of a transaction.
        await asyncio.shield(self._stored(records))

    async def _stored(self, records: list[ExplanationRecord]) -> None:
        await asyncio.wrap_future(await run(self._storage_threads, lambda: self._application.submit(records)))
