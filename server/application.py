"""What the service does, whatever the way in: gRPC, the command line, later the web page.

Computing and storing are separate steps, since the gRPC server runs them on different threads.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from explainer.budget import Budget
from explainer.explain import explain
from explainer.explanation import RankedItem, Status
from server.checking import check_history, check_k, check_settings, check_token, shown, split
from server.errors import (
    InvalidFieldError,
    ItemNotInCatalogueError,
    OutOfTimeError,
)
from server.keeping import Keeping
from server.pages import parse_filter
from server.reading import given_before, list_records, read_record
from server.what_if import what_if
from storage import ExplanationRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from explainer.model import History, ScoredItem
    from explainer.settings import Settings
    from server.config import Config
    from server.models import Models, Served
    from server.pages import Page
    from server.records import Records
    from server.scheduling import Scheduler
    from server.what_if import Edit, WhatIf
    from storage import ExplanationRepository, RequestKey


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A ranked list and what was left out of the request to make it."""

    items: tuple[RankedItem, ...]
    model_version: str
    unknown_items: tuple[str, ...]
    truncated: int


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the caller waits."""

    deadline: float | None = None
    """On the clock of ``time.monotonic``."""

    cancelled: Callable[[], bool] = lambda: False

    @property
    def over(self) -> bool:
        """Whether the deadline has come."""
        return self.deadline is not None and time.monotonic() >= self.deadline


FOREVER = Patience()


class Application:
    """Recommends, explains, stores and reads. What is computed for one call is computed on one model.

    Args:
        models: The active model, whichever it is when a call begins.
        config: Limits and defaults.
        repository: Where explanations are kept; None for use without a database.
        records: All else that is kept: group commit, histories, the audit log; None for use without them.
    """

    def __init__(
        self,
        models: Models,
        config: Config,
        repository: ExplanationRepository | None,
        records: Records | None = None,
    ) -> None:
        self._models = models
        self._config = config
        self._limits = config.limits
        self._repository = repository
        self._records = records
        self._keeping = None if records is None else Keeping(records, config, models.bundles)

    def recommend(self, items: Sequence[str], k: int) -> Recommendation:
        """Rank the catalogue for a history.

        Raises:
            RequestError: the history or k cannot be used.
        """
        check_k(k, self._limits.recommended)
        with self._models.lease() as served:
            history, unknown = self._history(served, items)
            return _recommendation(served, history, unknown, served.recommender.top(history, k))

    async def recommend_soon(self, items: Sequence[str], k: int) -> Recommendation:
        """As `recommend`, from an event loop and without a thread: what is computed here takes less than changing threads.

        Raises:
            RequestError: the history or k cannot be used.
        """
        check_k(k, self._limits.recommended)
        with self._models.lease() as served:
            history, unknown = self._history(served, items)
            return _recommendation(served, history, unknown, await served.top(history, k))

    def explain(
        self, items: Sequence[str], item: str | None, settings: Settings, user_id: str, patience: Patience
    ) -> ExplanationRecord:
        """Explain one recommendation; nothing is stored yet.

        Raises:
            RequestError: the history, the item or a setting cannot be used.
            ExplainerError: the item is not one that the model recommends here, or the caller has gone.
            OutOfTimeError: the deadline came before anything was found out.
        """
        check_settings(settings, self._limits)
        check_token("user_id", user_id, self._limits)
        with self._models.lease() as served:
            history, unknown = self._history(served, items)
            if item is not None and not served.catalogue.knows(item):
                raise ItemNotInCatalogueError(
                    "item",
                    f"Item {shown(item)} is not in the model's catalogue; name an item token of the data set it was trained on.",
                )
            record = _record(served, history, unknown, item, settings=settings, user_id=user_id, patience=patience)
        _check_time([record], patience)
        return record

    def recommend_and_explain(
        self, items: Sequence[str], k: int, settings: Settings, user_id: str, patience: Patience
    ) -> list[ExplanationRecord]:
        """Explain each of the k best; a target is explained when it leaves the list of k. Nothing is stored yet.

        Raises:
            RequestError: the history, k or a setting cannot be used.
            ExplainerError: the caller has gone.
            OutOfTimeError: the deadline came before anything was found out.
        """
        check_k(k, self._limits.explained)
        check_settings(settings, self._limits)
        check_token("user_id", user_id, self._limits)
        if settings.top_k is not None and settings.top_k < k:
            raise InvalidFieldError(
                "options.top_k",
                f"options.top_k is {settings.top_k}, less than k = {k}; leave it out or give {k} or more.",
            )
        with self._models.lease() as served:
            history, unknown = self._history(served, items)
            ranked = served.model(patience.cancelled).top(history, k)
            settings = replace(settings, top_k=settings.top_k or len(ranked))
            records = [
                _record(served, history, unknown, scored.item, settings=settings, user_id=user_id, patience=patience)
                for scored in ranked
            ]
        _check_time(records, patience)
        return records

    def what_if(self, edit: Edit, k: int, patience: Patience = FOREVER) -> WhatIf:
        """Say how an edit of a history changes the recommendations.

        Raises:
            RequestError: the history, the edit or k cannot be used.
        """
        check_k(k, self._limits.recommended)
        for position, item in enumerate(edit.add):
            check_token(f"add[{position}]", item, self._limits)
        if len(edit.add) > self._limits.history:
            raise InvalidFieldError("add", f"add has {len(edit.add)} items; give at most {self._limits.history}.")
        with self._models.lease() as served:
            self._history(served, edit.items)
            return what_if(served.model(patience.cancelled), edit, k)

    def store(self, records: Sequence[ExplanationRecord]) -> None:
        """Keep all of them, or none; on return they are durable."""
        self.submit(records).result()

    def submit(self, records: Sequence[ExplanationRecord], request: RequestKey | None = None) -> Future[None]:
        """Begin to keep all of them, or none; they are durable when the future is done (audit.mode)."""
        if self._records is not None:
            return self._records.store(records, request)
        repository = self._stored()
        repository.write(repository.prepare(records, request))
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def given_before(self, request: RequestKey) -> Sequence[ExplanationRecord]:
        """What this request was answered with before; empty when it was not (server/reading.py)."""
        return given_before(self._stored(), request)

    @property
    def scheduler(self) -> Scheduler:
        """Where the methods that compute are to be called.

        Raises:
            RuntimeError: the models were made without one, for calls one at a time.
        """
        return self._models.scheduler

    def close(self) -> None:
        """Let what is computed finish, then put the models away."""
        self._models.close()

    @property
    def keeps(self) -> bool:
        """Whether there is an audit log and what belongs to it."""
        return self._keeping is not None

    @property
    def keeping(self) -> Keeping:
        """What is done with all that is kept (server/keeping.py).

        Raises:
            InvalidFieldError: there is no database.
        """
        if self._keeping is None:
            raise InvalidFieldError("database", "No database is set; give one with --database.")
        return self._keeping

    def get(self, explanation_id: UUID) -> ExplanationRecord:
        """The stored explanation (server/reading.py)."""
        return read_record(self._stored(), explanation_id)

    def list(self, page_size: int, page_token: str, filter_text: str) -> Page:
        """A page of stored explanations (server/reading.py)."""
        return list_records(self._stored(), page_size, page_token, filter_text)

    @property
    def model_version(self) -> str:
        """The version of the model that answers now."""
        return self._models.version

    @property
    def model_versions(self) -> Sequence[str]:
        """The versions whose models are at hand, the one that answers now first."""
        others = sorted({*self._models.bundles.versions()} - {self.model_version})
        return [self.model_version, *others]

    def title(self, item: str) -> str:
        """An item's title in the catalogue of now; empty where it has none, or there is no such item."""
        catalogue = self._models.active.catalogue
        return catalogue.title(item) if catalogue.knows(item) else ""

    def search(self, text: str, most: int) -> Sequence[tuple[str, str]]:
        """Items whose title, or token, has the text in it: token and title, in the catalogue's order."""
        return self._models.active.catalogue.search(text, most)

    def count(self, filter_text: str, at_most: int) -> int:
        """How many stored explanations match, counted no further than `at_most`."""
        return self._stored().count(parse_filter(filter_text), at_most)

    def _stored(self) -> ExplanationRepository:
        if self._repository is None:
            raise InvalidFieldError("database", "No database is set; give one with --database.")
        return self._repository

    def _history(self, served: Served, items: Sequence[str]) -> tuple[History, tuple[str, ...]]:
        """The part of the request that the model can use, and the tokens it does not know."""
        check_history(items, self._limits)
        known, unknown = split(items, served.catalogue.knows, refuse_unknown=self._config.refuse_unknown_items)
        return served.recommender.window(known), unknown


def _recommendation(
    served: Served, history: History, unknown: tuple[str, ...], best: Sequence[ScoredItem]
) -> Recommendation:
    ranked = tuple(
        RankedItem(scored.item, served.catalogue.title(scored.item), rank, scored.score)
        for rank, scored in enumerate(best, start=1)
    )
    return Recommendation(ranked, served.version, unknown, len(history.older))


def _record(
    served: Served,
    history: History,
    unknown: tuple[str, ...],
    item: str | None,
    *,
    settings: Settings,
    user_id: str,
    patience: Patience,
) -> ExplanationRecord:
    explanation = explain(
        served.model(patience.cancelled),
        history,
        item,
        settings=settings,
        wording=served.wording,
        budget=Budget(settings.max_rows, patience.deadline, patience.cancelled),
    )
    return ExplanationRecord.new(
        user_id=user_id, explanation=explanation, older_history=history.older, unknown_items=unknown
    )


def _check_time(records: Sequence[ExplanationRecord], patience: Patience) -> None:
    """Whatever was found out in time is an answer, with an honest status; nothing at all is none."""
    found = any(
        record.explanation.effects or record.explanation.status is not Status.BUDGET_EXHAUSTED for record in records
    )
    if patience.over and records and not found:
        raise OutOfTimeError("The deadline came before the effect of any item was known; give the call more time.")
