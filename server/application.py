"""What the service does, whatever the way in: gRPC, the command line, later the web page.

Computing and storing are separate steps, since the gRPC server runs them on different threads.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from explainer.budget import Budget
from explainer.explain import explain
from explainer.explanation import RankedItem
from explainer.language import Languages
from explainer.reason import Wording
from server.errors import (
    InvalidFieldError,
    ItemNotInCatalogueError,
    NoKnownItemsError,
    UnknownItemsError,
)
from server.keeping import Keeping
from server.reading import list_records, read_record
from server.what_if import what_if
from storage import ExplanationRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from explainer.model import History
    from explainer.settings import Settings
    from recommender import Recommender
    from server.batching import Scheduler
    from server.config import Config
    from server.pages import Page
    from server.records import Records
    from server.what_if import Edit, WhatIf
    from storage import ExplanationRepository


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


FOREVER = Patience()


class Application:
    """Recommends, explains, stores and reads.

    Args:
        recommender: The active model.
        config: Limits and defaults.
        repository: Where explanations are kept; None for use without a database.
        records: All else that is kept: group commit, histories, the audit log; None for use without them.
        scheduler: Whose threads the methods that compute are called on; None where they are called one at a time.
    """

    def __init__(
        self,
        recommender: Recommender,
        config: Config,
        repository: ExplanationRepository | None,
        records: Records | None = None,
        scheduler: Scheduler[Any, Any] | None = None,
    ) -> None:
        self._recommender = recommender
        self._scheduler = scheduler
        self._catalogue = recommender.bundle.catalogue
        self._config = config
        self._repository = repository
        self._records = records
        self._keeping = None if records is None else Keeping(records, config, recommender)
        self._wording = Wording(self._catalogue.title, Languages(config.languages))

    def recommend(self, items: Sequence[str], k: int, patience: Patience = FOREVER) -> Recommendation:
        """Rank the catalogue for a history.

        Raises:
            RequestError: the history or k cannot be used.
        """
        self._check_k(k, self._config.limits.recommended)
        history, unknown = self._history(items)
        ranked = tuple(
            RankedItem(scored.item, self._catalogue.title(scored.item), rank, scored.score)
            for rank, scored in enumerate(self._model(patience).top(history, k), start=1)
        )
        return Recommendation(ranked, self._recommender.version, unknown, len(history.older))

    def explain(
        self, items: Sequence[str], item: str | None, settings: Settings, user_id: str, patience: Patience
    ) -> ExplanationRecord:
        """Explain one recommendation; nothing is stored yet.

        Raises:
            RequestError: the history, the item or a setting cannot be used.
            ExplainerError: the item is not one that the model recommends here, or the caller has gone.
        """
        self._check_settings(settings)
        self._check_token("user_id", user_id)
        history, unknown = self._history(items)
        if item is not None and not self._catalogue.knows(item):
            raise ItemNotInCatalogueError(
                "item",
                f"Item {_shown(item)} is not in the model's catalogue; name an item token of the data set it was trained on.",
            )
        return self._record(history, unknown, item, settings=settings, user_id=user_id, patience=patience)

    def recommend_and_explain(
        self, items: Sequence[str], k: int, settings: Settings, user_id: str, patience: Patience
    ) -> list[ExplanationRecord]:
        """Explain each of the k best; a target is explained when it leaves the list of k. Nothing is stored yet.

        Raises:
            RequestError: the history, k or a setting cannot be used.
            ExplainerError: the caller has gone.
        """
        self._check_k(k, self._config.limits.explained)
        self._check_settings(settings)
        self._check_token("user_id", user_id)
        if settings.top_k is not None and settings.top_k < k:
            raise InvalidFieldError(
                "options.top_k",
                f"options.top_k is {settings.top_k}, less than k = {k}; leave it out or give {k} or more.",
            )
        history, unknown = self._history(items)
        ranked = self._model(patience).top(history, k)
        settings = replace(settings, top_k=settings.top_k or len(ranked))
        return [
            self._record(history, unknown, scored.item, settings=settings, user_id=user_id, patience=patience)
            for scored in ranked
        ]

    def what_if(self, edit: Edit, k: int, patience: Patience = FOREVER) -> WhatIf:
        """Say how an edit of a history changes the recommendations.

        Raises:
            RequestError: the history, the edit or k cannot be used.
        """
        self._check_k(k, self._config.limits.recommended)
        self._history(edit.items)
        for position, item in enumerate(edit.add):
            self._check_token(f"add[{position}]", item)
        if len(edit.add) > self._config.limits.history:
            raise InvalidFieldError(
                "add", f"add has {len(edit.add)} items; give at most {self._config.limits.history}."
            )
        return what_if(self._model(patience), edit, k)

    def store(self, records: Sequence[ExplanationRecord]) -> None:
        """Keep all of them, or none; on return they are durable."""
        self.submit(records).result()

    def submit(self, records: Sequence[ExplanationRecord]) -> Future[None]:
        """Begin to keep all of them, or none; they are durable when the future is done (audit.mode)."""
        if self._records is not None:
            return self._records.store(records)
        self._stored().add(records)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    @property
    def scheduler(self) -> Scheduler[Any, Any]:
        """Where the methods that compute are to be called.

        Raises:
            RuntimeError: the application was made without one, for calls one at a time.
        """
        if self._scheduler is None:
            raise RuntimeError("This application was made without a scheduler.")
        return self._scheduler

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

    def _stored(self) -> ExplanationRepository:
        if self._repository is None:
            raise InvalidFieldError("database", "No database is set; give one with --database.")
        return self._repository

    def _record(
        self,
        history: History,
        unknown: tuple[str, ...],
        item: str | None,
        *,
        settings: Settings,
        user_id: str,
        patience: Patience,
    ) -> ExplanationRecord:
        explanation = explain(
            self._model(patience),
            history,
            item,
            settings=settings,
            wording=self._wording,
            budget=Budget(settings.max_rows, patience.deadline, patience.cancelled),
        )
        return ExplanationRecord.new(
            user_id=user_id, explanation=explanation, older_history=history.older, unknown_items=unknown
        )

    def _model(self, patience: Patience) -> Recommender:
        """The model, whose passes are shared with the calls beside this one."""
        scheduler = self._scheduler
        if scheduler is None:
            return self._recommender
        return self._recommender.through(lambda question: scheduler.ask(question, patience.cancelled))

    def _history(self, items: Sequence[str]) -> tuple[History, tuple[str, ...]]:
        """The part of the request that the model can use, and the tokens it does not know."""
        limits = self._config.limits
        if not items:
            raise InvalidFieldError("history", "history is empty; give at least one item token, oldest first.")
        if len(items) > limits.history:
            raise InvalidFieldError(
                "history",
                f"history has {len(items)} items, more than {limits.history}; send the latest {limits.history}.",
            )
        for position, item in enumerate(items):
            self._check_token(f"history[{position}]", item)
        known = [item for item in items if self._catalogue.knows(item)]
        unknown = tuple(dict.fromkeys(item for item in items if not self._catalogue.knows(item)))
        if not known:
            raise NoKnownItemsError(
                "history",
                "history has no item that the model knows; send item tokens of the data set it was trained on.",
            )
        if unknown and self._config.refuse_unknown_items:
            raise UnknownItemsError(
                "history",
                f"history has items that the model does not know ({_shown(unknown[0])} first); leave them out.",
            )
        return self._recommender.window(known), unknown

    def _check_k(self, k: int, most: int) -> None:
        if not 1 <= k <= most:
            raise InvalidFieldError("k", f"k is {k}; give a whole number from 1 to {most}.")

    def _check_settings(self, settings: Settings) -> None:
        limits = self._config.limits
        for name, most in (
            ("max_size", limits.set_size),
            ("max_rows", limits.rows),
            ("max_tests", limits.tests),
            ("top_k", limits.recommended),
        ):
            value = getattr(settings, name)
            if value is not None and value > most:
                raise InvalidFieldError(f"options.{name}", f"options.{name} is {value}; give at most {most}.")

    def _check_token(self, field: str, token: str) -> None:
        most = self._config.limits.token_length
        if len(token) > most:
            raise InvalidFieldError(field, f"{field} has {len(token)} characters; give at most {most}.")
        if not token.isprintable():
            raise InvalidFieldError(field, f"{field} has a control character; leave it out.")


def _shown(token: str) -> str:
    """A caller's own token, short and printable enough for a message."""
    return repr(token if len(token) <= 40 else token[:40] + "...")  # noqa: PLR2004 - a line's worth
