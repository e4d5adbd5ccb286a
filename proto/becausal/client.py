"""A small client of the explanation service.

    with Client("localhost:50051") as becausal:
        explanation = becausal.explain(history=["50", "172", "181"], user_id="42")

Calls raise ``grpc.RpcError`` as gRPC gives it: ``error.code()`` says what to do, ``error.details()`` says why in one
sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import grpc

from becausal.v1.explanation_service_pb2 import (
    EXPLANATION_VIEW_UNSPECIFIED,
    ExplainRequest,
    ExplanationView,
    GetExplanationRequest,
    ListExplanationsRequest,
    RecommendAndExplainRequest,
    RecommendAndExplainResponse,
    RecommendRequest,
    RecommendResponse,
)
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from becausal.v1.explanation_pb2 import ExplainOptions, Explanation

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

    def recommend(self, history: Sequence[str], *, k: int | None = None, user_id: str = "") -> RecommendResponse:
        """The k best items for a history of item tokens, oldest first."""
        return self._stub.Recommend(RecommendRequest(history=history, k=k, user_id=user_id), timeout=self._timeout)

    def explain(
        self,
        history: Sequence[str],
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
        history: Sequence[str],
        *,
        k: int | None = None,
        user_id: str = "",
        options: ExplainOptions | None = None,
    ) -> RecommendAndExplainResponse:
        """The k best items, each with its stored explanation."""
        request = RecommendAndExplainRequest(history=history, k=k, user_id=user_id, options=options)
        return self._stub.RecommendAndExplain(request, timeout=self._timeout)

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
