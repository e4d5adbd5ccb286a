"""What `batch` does with each user: explain as the service would, or compare two models."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import storage
from batch.values import Answer
from explainer import warm_up
from recommender import Recommender, load_bundle
from server.application import FOREVER, Application
from server.checking import check_token
from server.config import Config
from server.models import Models
from storage import ExplanationRepository

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from batch.folder import RunIdentity
    from batch.values import Row
    from explainer.explanation import Explanation
    from explainer.settings import Settings
    from storage import ExplanationRecord

SAME: Final = "SAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The question that is asked for every user."""

    settings: Mapping[str, Any]
    """The configuration, as JSON values: limits and defaults."""

    k: int = 1
    """How many recommendations of each user are explained: one as `Explain` does, more as `RecommendAndExplain`."""

    top_k: int | None = None
    """`options.top_k`."""

    device: str = "cpu"

    def config(self) -> Config:
        """The configuration that the settings describe."""
        return Config(**self.settings)

    def explaining(self) -> Settings:
        """How to explain."""
        return replace(self.config().explain.settings(), top_k=self.top_k)


class _Model:
    """A bundle that answers the question; never out of time, since no caller waits."""

    def __init__(self, bundle: Path, asking: Asking) -> None:
        self._config, self._settings, self._k = asking.config(), asking.explaining(), asking.k
        models = Models(Recommender(load_bundle(bundle), device=asking.device), self._config)
        self._application = Application(models, self._config, repository=None)

    def ask(self, user_id: str, items: Sequence[str]) -> list[ExplanationRecord]:
        check_token("user_id", user_id, self._config.limits, required=True)
        if self._k == 1:
            return [self._application.explain(items, None, self._settings, user_id, FOREVER)]
        return self._application.recommend_and_explain(items, self._k, self._settings, user_id, FOREVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explaining:
    """Explain every user's recommendations: a `batch.Work`."""

    bundle: Path
    asking: Asking
    database_url: str | None = None
    """Where the records are stored as the service stores them; None for files alone."""

    keeps_files: bool = True
    kind: str = "explanations"

    def open(self, run: RunIdentity) -> OpenExplaining:
        """Load the model."""
        warm_up()
        return OpenExplaining(_Model(self.bundle, self.asking), self.database_url, run)


class OpenExplaining:
    """Explains, with the ids that belong to run, user and place."""

    def __init__(self, model: _Model, database_url: str | None, run: RunIdentity) -> None:
        self._model, self._database_url, self._run = model, database_url, run

    def answer(self, user_id: str, items: Sequence[str]) -> Answer:
        """Explain one user's recommendations.

        Raises:
            RequestError, ExplainerError, InvalidRecordError: as for a call of the service.
        """
        records = [
            replace(record, id=self._id(user_id, ordinal))
            for ordinal, record in enumerate(self._model.ask(user_id, items))
        ]
        return Answer(
            rows=tuple(
                _result(ordinal, record, ExplanationRepository.document(record))
                for ordinal, record in enumerate(records)
            ),
            outcomes=tuple(record.explanation.status.value for record in records),
            sizes=tuple(len(record.explanation.causes) for record in records if record.explanation.causes),
            rows_scored=sum(record.explanation.cost.rows_scored for record in records),
        )

    def keep(self, rows: Sequence[Row]) -> None:
        """Store what is not stored yet.

        Raises:
            StorageError: the database does not take it.
        """
        if self._database_url is None or not rows:
            return
        batch = ExplanationRepository.prepare_documents([row["payload"] for row in rows])
        # A block takes seconds: a connection of its own costs little, and is not one that went stale.
        with storage.Database(self._database_url, pool_size=1) as database:
            ExplanationRepository(database).load(batch)

    def _id(self, user_id: str, ordinal: int) -> Any:
        text = f"{self._run.id}\n{ordinal}\n{user_id}"
        return storage.id_of(self._run.start, hashlib.sha256(text.encode()).digest())


def _result(ordinal: int, record: ExplanationRecord, document: str) -> Row:
    explanation = record.explanation
    return {
        "user_id": record.user_id,
        "ordinal": ordinal,
        "id": str(record.id),
        "create_time": record.create_time,
        "model_version": explanation.model_version,
        "target_item": explanation.target.item,
        "status": explanation.status.value,
        "reason": explanation.reason,
        "payload": document,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """Explain every user's first recommendation with two models, and keep what differs: a `batch.Work`."""

    old: Path
    new: Path
    asking: Asking
    keeps_files: bool = True
    kind: str = "differences"

    def open(self, run: RunIdentity) -> OpenComparing:  # noqa: ARG002 - nothing here has an id
        """Load both models."""
        warm_up()
        return OpenComparing(_Model(self.old, self.asking), _Model(self.new, self.asking))


class OpenComparing:
    """Explains twice and compares."""

    def __init__(self, old: _Model, new: _Model) -> None:
        self._old, self._new = old, new

    def answer(self, user_id: str, items: Sequence[str]) -> Answer:
        """Compare the two answers to one user.

        Raises:
            RequestError, ExplainerError: one of the models cannot answer.
        """
        (before,), (after,) = self._old.ask(user_id, items), self._new.ask(user_id, items)
        old, new = before.explanation, after.explanation
        change = change_of(old, new)
        row = {"user_id": user_id, "change": change, **_side("old", old), **_side("new", new)}
        return Answer(
            rows=() if change == SAME else (row,),
            outcomes=(change,),
            rows_scored=old.cost.rows_scored + new.cost.rows_scored,
        )

    def keep(self, rows: Sequence[Row]) -> None:
        """The files are all there is."""


def change_of(old: Explanation, new: Explanation) -> str:
    """What differs first: the recommended item, the status, the causes, or the reason's words alone."""
    if old.target.item != new.target.item:
        return "OTHER_ITEM"
    if old.status is not new.status:
        return "OTHER_STATUS"
    if _causes(old) != _causes(new):
        return "OTHER_CAUSES"
    return SAME if old.reason == new.reason else "OTHER_WORDS"


def _causes(explanation: Explanation) -> list[str]:
    return [cause.item for cause in explanation.causes]


def _side(name: str, explanation: Explanation) -> Row:
    return {
        f"{name}_target_item": explanation.target.item,
        f"{name}_status": explanation.status.value,
        f"{name}_causes": _causes(explanation),
        f"{name}_reason": explanation.reason,
    }
