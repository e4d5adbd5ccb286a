"""ExplanationService: requests in, application calls on worker threads, messages out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from becausal.v1 import explanation_service_pb2 as pb
from server.errors import OutOfTimeError
from server.pages import parse_filter
from server.rpc.explaining_calls import NO_TURN, ExplainingCalls
from server.rpc.keeping_calls import run
from server.rpc.messages import (
    explanation_message,
    id_from,
    intervention_from,
    recommendation_message,
    what_if_message,
)
from server.what_if import Edit

if TYPE_CHECKING:
    import grpc

    from becausal.v1.explanation_pb2 import Explanation

    Context = grpc.aio.ServicerContext[Any, Any]

DEFAULT_RECOMMENDED = 10


class ExplanationService(ExplainingCalls):
    """Serves one application. To be made where the event loop runs."""

    async def Recommend(self, request: pb.RecommendRequest, context: Context) -> pb.RecommendResponse:  # noqa: N802
        """Rank the catalogue for a history."""
        k = request.k if request.HasField("k") else DEFAULT_RECOMMENDED
        history = await self._history(request.history, request.user_id)
        try:
            async with asyncio.timeout(self._seconds(context)):
                return recommendation_message(await self._application.recommend_soon(history, k))
        except TimeoutError as error:
            raise OutOfTimeError(NO_TURN) from error

    async def WhatIf(self, request: pb.WhatIfRequest, context: Context) -> pb.WhatIfResponse:  # noqa: N802
        """Edit a history and say how the recommendations change."""
        k = request.k if request.HasField("k") else DEFAULT_RECOMMENDED
        intervention = intervention_from(request.intervention, self._defaults.intervention)
        edit = Edit(request.history, request.remove, request.add, intervention)
        return what_if_message(
            await self._compute(self._seconds(context), lambda patience: self._application.what_if(edit, k, patience))
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
