"""What is done with all that is kept: histories recorded and taken, reads noted, users erased, records replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from explainer.language import Languages
from server.checking import check_token
from server.errors import InvalidFieldError
from server.replaying import Replayer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from uuid import UUID

    from server.bundles import Bundles
    from server.config import Config
    from server.progress import Progress
    from server.records import Read, Records
    from server.replay import Replay
    from storage import ConsistencyProof, Erased, Hold, InclusionProof, Interaction, LogState, Standing

LONGEST_REASON = 500
"""Characters of the reason of an erasure or a hold."""

WAITING_COUNTED = 1_000
"""Entries without a place are counted no further."""


class Keeping:
    """The record keeper behind the calls. Safe in threads.

    Args:
        records: what is kept.
        config: limits and folders.
        bundles: the models that records were made with.
    """

    def __init__(self, records: Records, config: Config, bundles: Bundles) -> None:
        self._records = records
        self._limits = config.limits
        self._replayer = Replayer(records.explanations, records.trail, bundles, Languages(config.languages))

    @property
    def dropped(self) -> int:
        """Records that were answered and not stored, since the start; 0 unless audit.mode is best_effort."""
        return self._records.dropped

    def history(self, user_id: str) -> Sequence[str]:
        """What is recorded for a user, oldest first.

        Raises:
            InvalidFieldError: nothing is.
        """
        check_token("user_id", user_id, self._limits, required=True)
        recorded = self._records.histories.latest(user_id, self._limits.history)
        if not recorded:
            raise InvalidFieldError(
                "history",
                "history is empty and no interactions are recorded for this user; send item tokens, oldest first.",
            )
        return recorded

    def record_interactions(self, interactions: Sequence[Interaction]) -> int:
        """Keep what users did; how many were new.

        Raises:
            InvalidFieldError: a user id or an item cannot be used, or there are too many.
        """
        most = self._limits.history
        if len(interactions) > most:
            raise InvalidFieldError(
                "interactions", f"interactions are {len(interactions)}, more than {most}; send them in several calls."
            )
        for place, interaction in enumerate(interactions):
            check_token(f"interactions[{place}].user_id", interaction.user_id, self._limits, required=True)
            check_token(f"interactions[{place}].item", interaction.item, self._limits, required=True)
        return self._records.histories.add(interactions)

    def erase_user(self, user_id: str, *, actor: str, reason: str) -> Erased:
        """Erase all that is stored about a user.

        Raises:
            InvalidFieldError: the user id or the reason cannot be used.
            LegalHoldError: a legal hold keeps the user's records.
        """
        self._check_reason(user_id, reason)
        return self._records.erasure.erase_user(user_id, actor=actor, reason=reason)

    def replay(self, explanation_id: UUID, progress: Progress | None = None) -> Replay:
        """Compute a stored explanation again and compare (server/replaying.py)."""
        return self._replayer.replay(explanation_id, progress)

    def note(self, read: Read) -> Future[None]:
        """Record a read; done when it is durable."""
        return self._records.note(read)

    def standing(self, entry_id: UUID) -> Standing:
        """Whether a record is the one that was committed to."""
        return self._records.trail.standing(entry_id)

    def recorded(self, user_id: str) -> Sequence[str]:
        """The items that are recorded for a user, oldest first; none is an answer too."""
        return self._records.histories.latest(user_id, self._limits.history)

    def holds(self) -> Sequence[Hold]:
        """The users whose records must not be erased."""
        return self._records.erasure.holds()

    def hold(self, user_id: str, *, actor: str, reason: str) -> None:
        """Keep a user's records from being erased.

        Raises:
            InvalidFieldError: the user id or the reason cannot be used.
        """
        self._check_reason(user_id, reason)
        self._records.erasure.hold(user_id, actor=actor, reason=reason)

    def release(self, user_id: str, *, actor: str, reason: str) -> bool:
        """End a hold; False when there was none.

        Raises:
            InvalidFieldError: the user id or the reason cannot be used.
        """
        self._check_reason(user_id, reason)
        return self._records.erasure.release(user_id, actor=actor, reason=reason)

    @property
    def public_key(self) -> str:
        """The key that checkpoints are checked with; empty where they are not signed."""
        return "" if self._records.signer is None else self._records.signer.verifier.text

    def waiting(self) -> int:
        """Entries that have no place in the log yet, counted to a thousand."""
        return self._records.log.waiting(WAITING_COUNTED)

    def checkpoint(self) -> LogState:
        """The audit log's newest signed state."""
        return self._records.log.checkpoint()

    def inclusion(self, entry_id: UUID) -> InclusionProof:
        """Prove that an entry is in the audit log."""
        return self._records.log.inclusion(entry_id)

    def consistency(self, old_size: int, new_size: int | None) -> ConsistencyProof:
        """Prove that the audit log only grew."""
        return self._records.log.consistency(old_size, new_size)

    def _check_reason(self, user_id: str, reason: str) -> None:
        check_token("user_id", user_id, self._limits, required=True)
        if len(reason) > LONGEST_REASON or not reason.isprintable():
            raise InvalidFieldError(
                "reason", f"reason is not one line of at most {LONGEST_REASON} characters; shorten it."
            )
