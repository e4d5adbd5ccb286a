"""A worker: one process with the models loaded, that does blocks of users one after the other."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch.folder import RunFolder, RunIdentity, Worked
from batch.preparing import read_block
from batch.values import SET_ASIDE, history_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import TextIOWrapper
    from pathlib import Path

    from batch.values import Answer, Row, Work

DEATHS = 3
"""Workers that may die over a user before the user is set aside."""


class Worker:
    """Does blocks. Ray Data makes one in each of its actors and calls it with block numbers.

    Args:
        work: what to do with each user.
        path: the run's folder.
        run: which run it is.
    """

    def __init__(self, work: Work, path: Path, run: RunIdentity) -> None:
        self._folder = RunFolder(path, work.kind)
        self._keeps_files = work.keeps_files
        self._work = work.open(run)

    def __call__(self, blocks: dict[str, Any]) -> Iterator[dict[str, list[str]]]:
        """Do the blocks whose numbers stand in the column ``item``; gives the summary of each as JSON."""
        for block in blocks["item"]:
            yield {"summary": [json.dumps(self.do(int(block)))]}

    def do(self, block: int) -> dict[str, Any]:
        """Do a block, or as much of it as is not done yet; its summary."""
        folder = self._folder
        if not folder.is_worked(block):
            folder.put(block, self._worked(block))
        if not folder.is_done(block):
            self._work.keep(folder.results(block))
            folder.publish(block, keep_results=self._keeps_files)
        return folder.summary(block)

    def _worked(self, block: int) -> Worked:
        began = time.process_time()
        notes, died = self._folder.begin(block)
        results: list[Row] = []
        users: list[Row] = []
        rejects: list[Row] = []
        figures = _Figures()
        with notes.open("a", encoding="utf-8") as file:
            for place, history in enumerate(read_block(self._folder, block)):
                answer = self._answered(history, file, place, deaths=died.count(place))
                user, items = history["user_id"], history["items"]
                digest = history_digest(user or "", items)
                if isinstance(answer, _Reject):
                    rejects.append({"user_id": user, "items": items, "error_type": answer.kind, "error": answer.text})
                    users.append({"user_id": user, "digest": digest, "outcome": SET_ASIDE})
                    figures.reject(answer)
                else:
                    results.extend(answer.rows)
                    users.append({"user_id": user, "digest": digest, "outcome": answer.outcomes[0]})
                    figures.add(answer)
        return Worked(results, users, rejects, figures.summary(len(users), time.process_time() - began))

    def _answered(self, history: Row, notes: TextIOWrapper, place: int, *, deaths: int) -> Answer | _Reject:
        if history["error"] is not None:
            return _Reject("HistoriesError", history["error"])
        if deaths >= DEATHS:
            return _Reject("WorkerDied", f"{deaths} workers died while they worked for this user.")
        # Of a worker that dies here this is what is left; the system keeps it even when the process is killed.
        notes.write(f"{place}\n")
        notes.flush()
        try:
            return self._work.answer(history["user_id"], history["items"])
        except Exception as error:  # noqa: BLE001 - one user must not stop the run; the error is kept with the user
            return _Reject(type(error).__name__, str(error))


@dataclass(frozen=True, slots=True)
class _Reject:
    """Why a user is set aside."""

    kind: str
    text: str


class _Figures:
    """Counts of a block."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._sizes: Counter[str] = Counter()
        self._rejects: dict[str, dict[str, Any]] = {}
        self._rows_scored = 0

    def add(self, answer: Answer) -> None:
        self._outcomes.update(answer.outcomes)
        self._sizes.update(map(str, answer.sizes))
        self._rows_scored += answer.rows_scored

    def reject(self, reject: _Reject) -> None:
        known = self._rejects.setdefault(reject.kind, {"users": 0, "first": reject.text})
        known["users"] += 1

    def summary(self, users: int, seconds: float) -> dict[str, Any]:
        return {
            "users": users,
            "outcomes": dict(self._outcomes),
            "sizes": dict(self._sizes),
            "setAside": self._rejects,
            "rowsScored": self._rows_scored,
            "coreSeconds": seconds,
        }
