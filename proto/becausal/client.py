"""Clients of the explanation service, synchronous here and for asyncio in ``becausal.aio``.

    with Client("localhost:50051") as becausal:
        explanation = becausal.explain(history=["50", "172", "181"], user_id="42")

Calls raise ``becausal.errors.CallError``, a ``grpc.RpcError`` whose class says what to do and whose text is one sentence.
Every call has a deadline, is sent again when a server is UNAVAILABLE, and goes round robin over the healthy servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from becausal._requests import interactions, name_of
from becausal.aio import AsyncClient
from becausal.channel import DEFAULT_TIMEOUT, EXPLANATION_SERVICE, Bearer, Connection, Tls
from becausal.errors import CallError, error_from
from becausal.health import Health, check
from becausal.v1.explanation_pb2 import ExplainOptions
from becausal.v1.explanation_service_pb2 import (
    EXPLANATION_VIEW_UNSPECIFIED,
    BatchExplainRequest,
    EraseUserRequest,
    EraseUserResponse,
    ExplainRequest,
    ExplainResult,
    ExplanationView,
    GetExplanationRequest,
    ListExplanationsRequest,
    RecommendAndExplainRequest,
    RecommendAndExplainResponse,
    RecommendRequest,
    RecommendResponse,
    ReplayExplanationRequest,
    ReplayExplanationResponse,
    StreamExplainRequest,
    StreamExplainResponse,
    WhatIfRequest,
    WhatIfResponse,
)
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from becausal.v1.model_service_pb2 import ActivateModelRequest, GetModelRequest, ListModelsRequest
from becausal.v1.model_service_pb2_grpc import ModelServiceStub

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from types import TracebackType

    from becausal.v1.explanation_pb2 import Explanation
    from becausal.v1.model_service_pb2 import Model

__all__ = ["DEFAULT_TIMEOUT", "AsyncClient", "CallError", "Client", "Health", "Tls"]

Request = TypeVar("Request", bound=Message)
Requests: TypeAlias = "Iterable[StreamExplainRequest]"
Response = TypeVar("Response")


class Client:
    """Calls the service over one channel; safe to share between threads. Every call takes ``timeout``, in seconds.

    Args:
        address: Host and port, or a gRPC target such as ``dns:///becausal:50051``; calls go to all that it resolves to.
        timeout: Seconds that each call may take.
        credentials: Credentials of gRPC, where ``tls`` does not say enough.
        tls: True for TLS with the well-known authorities, or a ``Tls``; by default the channel is plaintext.
        token: Bearer token, or a function that gives one and is asked for each call.
        plaintext_token: Send the token without TLS to another machine: only where something else encrypts the way.
        metadata: Sent with each call; ``becausal-actor`` is the caller's name in the audit log.
        options: Channel options of gRPC, over ``becausal.channel.OPTIONS``.

    Raises:
        ValueError: the settings contradict one another, or the token would travel in the clear.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        credentials: grpc.ChannelCredentials | None = None,
        tls: Tls | bool | None = None,
        token: Bearer | None = None,
        plaintext_token: bool = False,
        metadata: Sequence[tuple[str, str]] = (),
        options: Sequence[tuple[str, str | int]] = (),
    ) -> None:
        self._connection = Connection(address, timeout, tls, credentials, token, plaintext_token, metadata, options)
        named, opened = self._connection.channel_options(), self._connection.channel_credentials()
        self._channel = (
            grpc.insecure_channel(address, named) if opened is None else grpc.secure_channel(address, opened, named)
        )
        self._stub = ExplanationServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)

    @property
    def channel(self) -> grpc.Channel:
        """The channel, for stubs of other services such as ``AuditService``."""
        return self._channel

    def recommend(
        self, history: Sequence[str] = (), *, k: int | None = None, user_id: str = "", timeout: float | None = None
    ) -> RecommendResponse:
        """The k best items for a history of item tokens, oldest first, or for what is recorded for the user."""
        return self._call(self._stub.Recommend, RecommendRequest(history=history, k=k, user_id=user_id), timeout)

    def explain(
        self,
        history: Sequence[str] = (),
        *,
        item: str = "",
        user_id: str = "",
        options: ExplainOptions | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Explanation:
        """Why ``item`` (by default the top recommendation) is recommended; stored before it is returned.

        Sent again with the same ``request_id``, a UUID, it is answered with the stored explanation.
        """
        request = ExplainRequest(history=history, item=item, user_id=user_id, options=options, request_id=request_id)
        return self._call(self._stub.Explain, request, timeout)

    def recommend_and_explain(
        self,
        history: Sequence[str] = (),
        *,
        k: int | None = None,
        user_id: str = "",
        options: ExplainOptions | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> RecommendAndExplainResponse:
        """The k best items, each with its stored explanation; ``request_id`` as in ``explain``."""
        request = RecommendAndExplainRequest(
            history=history, k=k, user_id=user_id, options=options, request_id=request_id
        )
        return self._call(self._stub.RecommendAndExplain, request, timeout)

    def batch_explain(self, requests: Sequence[ExplainRequest], *, timeout: float | None = None) -> list[ExplainResult]:
        """Explain many in one call: in the requests' order, an explanation or the problem with that one request."""
        request = BatchExplainRequest(requests=requests)
        return list((self._call(self._stub.BatchExplain, request, timeout)).results)

    def stream_explain(self, requests: Requests, *, timeout: float | None = None) -> Iterator[StreamExplainResponse]:
        """Explain as many as ``requests`` gives: answers as they are ready, each with its request's id.

        Requests are taken only as fast as answers are. The timeout is the whole stream's; None sets none.
        """
        call = self._stub.StreamExplain(iter(requests), timeout=timeout, metadata=self._connection.call_metadata())
        try:
            yield from call
        except grpc.RpcError as error:
            raise self._error(error, "StreamExplain", timeout or 0.0) from error
        finally:
            call.cancel()

    def what_if(
        self,
        history: Sequence[str],
        *,
        remove: Sequence[int] = (),
        add: Sequence[str] = (),
        intervention: ExplainOptions.Intervention.ValueType = ExplainOptions.INTERVENTION_UNSPECIFIED,
        k: int | None = None,
        timeout: float | None = None,
    ) -> WhatIfResponse:
        """How the recommendations change when positions of the history are removed and items added."""
        request = WhatIfRequest(history=history, remove=remove, add=add, intervention=intervention, k=k)
        return self._call(self._stub.WhatIf, request, timeout)

    def get_explanation(
        self,
        name: str,
        *,
        view: ExplanationView.ValueType = EXPLANATION_VIEW_UNSPECIFIED,
        timeout: float | None = None,
    ) -> Explanation:
        """The stored explanation of that name, ``explanations/{id}``."""
        return self._call(self._stub.GetExplanation, GetExplanationRequest(name=name, view=view), timeout)

    def list_explanations(
        self,
        *,
        filter: str = "",  # noqa: A002 - the field's name in the API
        view: ExplanationView.ValueType = EXPLANATION_VIEW_UNSPECIFIED,
        page_size: int = 0,
        timeout: float | None = None,
    ) -> Iterator[Explanation]:
        """Stored explanations, newest first, fetched page by page as they are consumed; the timeout is a page's."""
        request = ListExplanationsRequest(filter=filter, view=view, page_size=page_size)
        while True:
            page = self._call(self._stub.ListExplanations, request, timeout)
            yield from page.explanations
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def replay_explanation(self, name: str, *, timeout: float | None = None) -> ReplayExplanationResponse:
        """Compute a stored explanation again and say whether every stated fact still holds."""
        return self._call(self._stub.ReplayExplanation, ReplayExplanationRequest(name=name), timeout)

    def erase_user(self, user_id: str, *, reason: str = "", timeout: float | None = None) -> EraseUserResponse:
        """Erase all that is stored about a user; the reason stays in the audit log, so it must not name the user."""
        return self._call(self._stub.EraseUser, EraseUserRequest(user_id=user_id, reason=reason), timeout)

    def record_interactions(
        self, user_id: str, items: Sequence[str], *, time: datetime | None = None, timeout: float | None = None
    ) -> int:
        """Store that a user had these items, in this order, at a time (by default now); how many were new."""
        request = interactions(user_id, items, time)
        return self._call(self._stub.RecordInteractions, request, timeout).recorded

    def list_models(self, *, page_size: int = 0, timeout: float | None = None) -> Iterator[Model]:
        """The models at hand, newest first, fetched page by page as they are consumed; the timeout is a page's."""
        request = ListModelsRequest(page_size=page_size)
        while True:
            page = self._call(self._models.ListModels, request, timeout)
            yield from page.models
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def get_model(self, name: str, *, timeout: float | None = None) -> Model:
        """The model of that name, ``models/{digest}``."""
        return self._call(self._models.GetModel, GetModelRequest(name=name), timeout)

    def activate_model(self, name: str, *, validate_only: bool = False, timeout: float | None = None) -> Model:
        """Have a model answer from now on, or with ``validate_only`` only load and check it; no call fails by it.

        Loading a large model takes a while: give it time. Other instances on the same database follow within seconds.
        """
        request = ActivateModelRequest(name=name, validate_only=validate_only)
        return self._call(self._models.ActivateModel, request, timeout)

    def health(self, service: str = EXPLANATION_SERVICE, *, timeout: float | None = None) -> Health:
        """What the server says of a service."""
        return self._checked(service, timeout, wait=False)

    def wait_until_serving(self, timeout: float | None = None) -> None:
        """Return when a server is there and healthy.

        Raises:
            DeadlineError: none was in time.
        """
        self._checked("", timeout, wait=True)

    def close(self) -> None:
        """Close the channel; calls under way fail."""
        self._channel.close()

    def _call(
        self, method: grpc.UnaryUnaryMultiCallable[Request, Response], request: Request, timeout: float | None
    ) -> Response:
        seconds = self._connection.timeout if timeout is None else timeout
        try:
            return method(request, timeout=seconds, metadata=self._connection.call_metadata())
        except grpc.RpcError as error:
            raise self._error(error, name_of(request), seconds) from error

    def _checked(self, service: str, timeout: float | None, *, wait: bool) -> Health:
        seconds = self._connection.timeout if timeout is None else timeout
        try:
            health: Health = check(self._channel)(service, timeout=seconds, wait_for_ready=wait)
        except grpc.RpcError as error:
            raise self._error(error, "Health", seconds) from error
        return health

    def _error(self, error: grpc.RpcError, call: str, seconds: float) -> CallError:
        return error_from(error, call=call, address=self._connection.address, timeout=seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
