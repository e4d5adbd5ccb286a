"""A work without a model, whose users do what their names say; importable by Ray's workers."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import storage
from batch.values import Answer
from storage_examples import record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batch.folder import RunIdentity


@dataclass(frozen=True, kw_only=True)
class PlainWork:
    """Stores a made-up record for each user; raises for those named raise..."""

    database_url: str | None = None
    pids: Path | None = None
    seconds: float = 0.0
    keeps_files: bool = True
    kind: str = "explanations"

    def open(self, run: RunIdentity) -> OpenPlainWork:
        if self.pids is not None:
            (self.pids / str(os.getpid())).touch()
        return OpenPlainWork(self, run)


class OpenPlainWork:
    def __init__(self, work: PlainWork, run: RunIdentity) -> None:
        self._work, self._run = work, run
        self.stored = 0

    def answer(self, user_id: str, items: Sequence[str]) -> Answer:
        time.sleep(self._work.seconds)
        if user_id.startswith("raise"):
            raise ValueError(f"nothing is known of {items[0]}")
        digest = hashlib.sha256(f"{self._run.id}{user_id}".encode()).digest()
        made = replace(record(user_id=user_id, cause_items=["1"]), id=storage.id_of(self._run.start, digest))
        (row,) = storage.ExplanationRepository.prepare([made]).explanations
        return Answer(
            rows=({"user_id": user_id, "ordinal": 0, "id": str(made.id), "payload": row["payload"]},),
            outcomes=("EXPLAINED",),
            sizes=(1,),
            rows_scored=len(items),
        )

    def keep(self, rows: Sequence[dict[str, Any]]) -> None:
        if self._work.database_url is None:
            return
        with storage.Database(self._work.database_url) as database:
            repository = storage.ExplanationRepository(database)
            self.stored += repository.load(repository.prepare_documents([row["payload"] for row in rows]))
