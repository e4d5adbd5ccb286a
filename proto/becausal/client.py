"""A small client of the explanation service.

    with Client("localhost:50051") as becausal:
        explanation = becausal.explain(history=["50", "172", "181"], user_id="42")

Calls raise ``grpc.RpcError`` as gRPC gives it: ``error.code()`` says what to do, ``error.details()`` says why in one
sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import grpc

from becausal.v1.explanation_pb2 import ExplainOptions
from becausal.v1.explanation_service_pb2 import (
    EXPLANATION_VIEW_UNSPECIFIED,
    EraseUserRequest,
    EraseUserResponse,
    ExplainRequest,
    ExplanationView,
    GetExplanationRequest,
    ListExplanationsRequest,
    RecommendAndExplainRequest,
    RecommendAndExplainResponse,
    RecommendRequest,
    RecommendResponse,
    RecordInteractionsRequest,
    ReplayExplanationRequest,
    ReplayExplanationResponse,
    WhatIfRequest,
    WhatIfResponse,
)
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from becausal.v1.explanation_pb2 import Explanation

DEFAULT_TIMEOUT = 30.0
"""Seconds that a call may take unless the client is told otherwise."""


class Client:
    """Calls the service at one address over one channel; safe to share between threads.

    Args:
        address: Host and port, or any gRPC target such as ``dns:///becausal:50051``.
        timeout: Seconds that each call may take.
        credentials: TLS credentials; None opens a plaintext channel.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._timeout = timeout
        self._channel = (
            grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)
        )
        self._stub = ExplanationServiceStub(self._channel)

    def recommend(self, history: Sequence[str] = (), *, k: int | None = None, user_id: str = "") -> RecommendResponse:
        """The k best items for a history of item tokens, oldest first, or for what is recorded for the user."""
        return self._stub.Recommend(RecommendRequest(history=history, k=k, user_id=user_id), timeout=self._timeout)

    def explain(
        self,
        history: Sequence[str] = (),
        *,
        item: str = "",
        user_id: str = "",
        options: ExplainOptions | None = None,
    ) -> Explanation:
        """Why ``item`` (by default the top recommendation) is recommended; stored before it is returned."""
        request = ExplainRequest(history=history, item=item, user_id=user_id, options=options)
        return self._stub.Explain(request, timeout=self._timeout)

    def recommend_and_explain(
        self,
        history: Sequence[str] = (),
        *,
        k: int | None = None,
        user_id: str = "",
        options: ExplainOptions | None = None,
    ) -> RecommendAndExplainResponse:
        """The k best items, each with its stored explanation."""
        request = RecommendAndExplainRequest(history=history, k=k, user_id=user_id, options=options)
        return self._stub.RecommendAndExplain(request, timeout=self._timeout)

    def what_if(
        self,
        history: Sequence[str],
        *,
        remove: Sequence[int] = (),
        add: Sequence[str] = (),
        intervention: ExplainOptions.Intervention.ValueType = ExplainOptions.INTERVENTION_UNSPECIFIED,
        k: int | None = None,
    ) -> WhatIfResponse:
        """How the recommendations change when positions of the history are removed and items added."""
        request = WhatIfRequest(history=history, remove=remove, add=add, intervention=intervention, k=k)
        return self._stub.WhatIf(request, timeout=self._timeout)

    def get_explanation(
        self, name: str, *, view: ExplanationView.ValueType = EXPLANATION_VIEW_UNSPECIFIED
    ) -> Explanation:
        """The stored explanation of that name, ``explanations/{id}``."""
        return self._stub.GetExplanation(GetExplanationRequest(name=name, view=view), timeout=self._timeout)

    def list_explanations(
        self,
        *,
        filter: str = "",  # noqa: A002 - the field's name in the API
        view: ExplanationView.ValueType = EXPLANATION_VIEW_UNSPECIFIED,
        page_size: int = 0,
    ) -> Iterator[Explanation]:
        """Stored explanations, newest first, fetched page by page as they are consumed."""
        request = ListExplanationsRequest(filter=filter, view=view, page_size=page_size)
        while True:
            page = self._stub.ListExplanations(request, timeout=self._timeout)
            yield from page.explanations
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def replay_explanation(self, name: str) -> ReplayExplanationResponse:
        """Compute a stored explanation again and say whether every stated fact still holds."""
        return self._stub.ReplayExplanation(ReplayExplanationRequest(name=name), timeout=self._timeout)

    def erase_user(self, user_id: str, *, reason: str = "") -> EraseUserResponse:
        """Erase all that is stored about a user; the reason stays in the audit log, so it must not name the user."""
        return self._stub.EraseUser(EraseUserRequest(user_id=user_id, reason=reason), timeout=self._timeout)

    def record_interactions(self, user_id: str, items: Sequence[str]) -> int:
        """Store that a user had these items just now, in this order; how many were new."""
        interactions = [RecordInteractionsRequest.Interaction(user_id=user_id, item=item) for item in items]
        request = RecordInteractionsRequest(interactions=interactions)
        return self._stub.RecordInteractions(request, timeout=self._timeout).recorded

    def close(self) -> None:
        """Close the channel; calls under way fail."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
