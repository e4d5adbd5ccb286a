"""Which model a stored explanation is replayed on, and whether the record itself is to be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.bundles import SwappedBundleError
from server.progress import Progress, Step
from server.reading import read_record
from server.replay import Replay, Verdict, replay
from storage import CorruptRecordError, Standing

if TYPE_CHECKING:
    from uuid import UUID

    from explainer.language import Languages
    from recommender import Recommender
    from server.bundles import Bundles
    from storage import AuditTrail, ExplanationRecord, ExplanationRepository


class Replayer:
    """Replays stored explanations.

    Args:
        explanations: where they are.
        trail: what was committed to.
        bundles: models by version.
        languages: the reasons' words.
        suspect: a model to use whatever the record says; None takes the recorded version's.
    """

    def __init__(
        self,
        explanations: ExplanationRepository,
        trail: AuditTrail,
        bundles: Bundles,
        languages: Languages,
        suspect: Recommender | None = None,
    ) -> None:
        self._explanations = explanations
        self._trail = trail
        self._bundles = bundles
        self._languages = languages
        self._suspect = suspect

    def replay(self, explanation_id: UUID, progress: Progress | None = None) -> Replay:
        """Check the record, find the model, compute again, compare.

        Args:
            explanation_id: which.
            progress: is told how far this is.

        Raises:
            ExplanationNotFoundError: there is no explanation of this id.
            DatabaseUnavailableError: the database cannot be reached.
        """
        progress = progress or Progress()
        progress.step = Step.RECORD
        # The commitment first: it says that a record was edited even where the edit left no readable record.
        standing = self._trail.standing(explanation_id)
        if standing is Standing.TAMPERED:
            return Replay(
                Verdict.RECORD_TAMPERED, "The record is not the one that was committed to when it was stored."
            )
        try:
            record = read_record(self._explanations, explanation_id)
        except CorruptRecordError as error:
            return Replay(Verdict.RECORD_TAMPERED, str(error))
        if standing is Standing.UNKNOWN:
            return Replay(Verdict.RECORD_TAMPERED, "The audit log has no entry of this record.")
        progress.step = Step.MODEL
        return self._on_its_model(record, progress)

    def _on_its_model(self, record: ExplanationRecord, progress: Progress) -> Replay:
        version = record.explanation.model_version
        try:
            model = self._suspect or self._bundles.model(version)
        except SwappedBundleError as error:
            return Replay(Verdict.MODEL_SWAPPED, f"{str(error).removesuffix('.')}.")
        if model is None:
            return Replay(
                Verdict.MODEL_MISSING,
                f"The bundle of {version} is not at hand; put it into the folder of bundles as {self._bundles.path(version).name}.",
            )
        return replay(record, model, model.bundle.catalogue.title, self._languages, progress)
