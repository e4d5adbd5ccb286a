"""Two ways to the same answers: a model in this process, or a running server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import grpc

import storage
from becausal.client import Client
from becausal.v1.explanation_pb2 import ExplainOptions
from recommender import Recommender, load_bundle
from server.application import Application, Patience
from server.cli.failure import CommandError
from server.models import Models
from server.records import Records
from server.rpc.messages import (
    explanation_message,
    intervention_from,
    recommendation_message,
    settings_from,
    what_if_message,
)
from server.what_if import Edit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from becausal.v1.explanation_pb2 import Explanation
    from becausal.v1.explanation_service_pb2 import RecommendResponse, WhatIfResponse
    from server.config import Config


class Gateway(Protocol):
    """What `becausal recommend` and `becausal explain` ask for."""

    def recommend(self, history: Sequence[str], *, k: int | None = None, user_id: str = "") -> RecommendResponse:
        """The k best items."""
        ...

    def explain(
        self, history: Sequence[str], *, item: str = "", user_id: str = "", options: ExplainOptions | None = None
    ) -> Explanation:
        """Why one of them."""
        ...

    def what_if(
        self,
        history: Sequence[str],
        *,
        remove: Sequence[int] = (),
        add: Sequence[str] = (),
        intervention: ExplainOptions.Intervention.ValueType = ExplainOptions.INTERVENTION_UNSPECIFIED,
        k: int | None = None,
    ) -> WhatIfResponse:
        """How the recommendations change when the history is edited."""
        ...


class InProcess:
    """Computes here; stores only when there is a repository."""

    def __init__(self, application: Application, config: Config, *, stores: bool) -> None:
        self._application = application
        self._defaults = config.explain.settings()
        self._stores = stores

    def recommend(self, history: Sequence[str], *, k: int | None = None, user_id: str = "") -> RecommendResponse:  # noqa: ARG002
        """The k best items."""
        return recommendation_message(self._application.recommend(history, 10 if k is None else k))

    def explain(
        self, history: Sequence[str], *, item: str = "", user_id: str = "", options: ExplainOptions | None = None
    ) -> Explanation:
        """Why one of them."""
        settings = settings_from(options, self._defaults) if options is not None else self._defaults
        if not history and user_id and self._application.keeps:
            history = self._application.keeping.history(user_id)
        record = self._application.explain(history, item or None, settings, user_id, Patience())
        if self._stores:
            self._application.store([record])
        return explanation_message(record, stored=self._stores)

    def what_if(
        self,
        history: Sequence[str],
        *,
        remove: Sequence[int] = (),
        add: Sequence[str] = (),
        intervention: ExplainOptions.Intervention.ValueType = ExplainOptions.INTERVENTION_UNSPECIFIED,
        k: int | None = None,
    ) -> WhatIfResponse:
        """How the recommendations change when the history is edited."""
        edit = Edit(history, remove, add, intervention_from(intervention, self._defaults.intervention))
        return what_if_message(self._application.what_if(edit, 10 if k is None else k))


@contextmanager
def open_gateway(config: Config, *, address: str | None, store: bool) -> Iterator[Gateway]:
    """The server at ``address``, or the bundle in this process.

    Raises:
        CommandError: a call to the server failed; the server's own sentence is passed on.
    """
    if address is None:
        with _in_process(config, store=store) as gateway:
            yield gateway
        return
    try:
        with Client(address) as client:
            yield client
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            raise CommandError(
                f"No server answers at {address} ({error.details()}); start one with `becausal serve`."
            ) from error
        raise CommandError(f"{error.code().name}: {error.details()}") from error


@contextmanager
def _in_process(config: Config, *, store: bool) -> Iterator[Gateway]:
    models = Models(Recommender(load_bundle(config.bundle)), config)
    if not store:
        yield InProcess(Application(models, config, None), config, stores=False)
        return
    storage.check(config.database_url)
    with storage.Database(config.database_url) as database:
        models.bundles.keep_if_possible(config.bundle, models.version)
        with Records(database, config.audit) as records:
            yield InProcess(Application(models, config, records.explanations, records), config, stores=True)
