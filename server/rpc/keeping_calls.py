"""The calls of ExplanationService on what is kept: replay, erasure, histories; and how reads are noted."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceServicer
from server.access import current_caller
from server.records import Read
from server.replay import TOLERANCE
from server.rpc.messages import id_from
from storage import Interaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import grpc

    from server.application import Application
    from server.replay import Replay

    Context = grpc.aio.ServicerContext[Any, Any]

Result = TypeVar("Result")

ACTOR = "becausal-actor"
"""Metadata key with the name of whoever calls, for the audit log of an open server; without it, the peer's address stands
there. Where callers are known it is not looked at."""

STORAGE_THREADS = 4


class KeepingCalls(ExplanationServiceServicer):
    """Part of ExplanationService.

    What computes goes to the scheduler (server/scheduling.py); reading has threads of its own, and storing one (storage/writer.py),
    so that a slow database never keeps the model waiting.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._storage_threads = ThreadPoolExecutor(STORAGE_THREADS, thread_name_prefix="storage")

    async def ReplayExplanation(  # noqa: N802
        self, request: pb.ReplayExplanationRequest, context: Context
    ) -> pb.ReplayExplanationResponse:
        """Compute a stored explanation again and compare fact by fact."""
        explanation_id = id_from(request.name)
        await self._note(context, "replay", request.name)
        replay = await self._computed(lambda: self._application.keeping.replay(explanation_id))
        return replay_message(request.name, replay)

    async def EraseUser(self, request: pb.EraseUserRequest, context: Context) -> pb.EraseUserResponse:  # noqa: N802
        """Erase all that is stored about a user."""
        actor = actor_of(context)
        # Shielded: a caller that goes away must not leave a connection in the middle of a transaction.
        erased = await asyncio.shield(
            run(
                self._storage_threads,
                lambda: self._application.keeping.erase_user(request.user_id, actor=actor, reason=request.reason),
            )
        )
        return pb.EraseUserResponse(
            explanations=erased.explanations,
            interactions=erased.interactions,
            erasure_entry_ids=[str(entry_id) for entry_id in erased.entry_ids],
        )

    async def RecordInteractions(  # noqa: N802
        self,
        request: pb.RecordInteractionsRequest,
        context: Context,  # noqa: ARG002
    ) -> pb.RecordInteractionsResponse:
        """Store what users did."""
        now = time.time()
        interactions = [
            Interaction(one.user_id, one.item, one.time.ToNanoseconds() / 1e9 if one.HasField("time") else now)
            for one in request.interactions
        ]
        recorded = await asyncio.shield(
            run(self._storage_threads, lambda: self._application.keeping.record_interactions(interactions))
        )
        return pb.RecordInteractionsResponse(recorded=recorded)

    def close(self) -> None:
        """Wait for what the threads are doing, the scheduler's among them, then let them go."""
        self._application.close()
        self._storage_threads.shutdown()

    async def _computed(self, work: Callable[[], Result]) -> Result:
        """Have work done where the model is; work that has not begun when the call is cancelled never does."""
        return await asyncio.wrap_future(self._application.scheduler.submit(work))

    async def _history(self, given: Sequence[str], user_id: str) -> Sequence[str]:
        """The request's history, or what is recorded for its user when it has none."""
        if given or not user_id or not self._application.keeps:
            return given
        return await run(self._storage_threads, lambda: self._application.keeping.history(user_id))

    async def _note(self, context: Context, action: str, subject: str, user_id: str | None = None) -> None:
        """Record that somebody reads, before they are given anything."""
        if self._application.keeps:
            read = Read(actor_of(context), action, subject, user_id)
            await asyncio.shield(asyncio.wrap_future(self._application.keeping.note(read)))


async def run(pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    """Run work on a pool's thread, which knows then for which call."""
    return await asyncio.get_running_loop().run_in_executor(pool, copy_context().run, work)


def actor_of(context: Context) -> str:
    """Who calls: the caller that was recognised, or on an open server what they say."""
    if current_caller.get().name:
        return current_caller.get().name
    for key, value in context.invocation_metadata() or ():
        if key == ACTOR and isinstance(value, str):
            return value[:256]
    return str(context.peer())


def replay_message(name: str, replay: Replay) -> pb.ReplayExplanationResponse:
    """What a replay found."""
    kind = pb.ReplayExplanationResponse
    return kind(
        name=name,
        verdict=kind.Verdict.Value(replay.verdict.value),
        summary=replay.summary,
        bit_equal=replay.bit_equal,
        tolerance=TOLERANCE,
        facts=[
            kind.Fact(
                name=fact.name,
                agreement=kind.Fact.Agreement.Value(fact.agreement.value),
                difference=fact.difference,
            )
            for fact in replay.facts
        ],
        model_version=replay.model_version,
    )
