"""The replays that were begun on the page, done or under way."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future
    from uuid import UUID

    from server.progress import Progress
    from server.replay import Replay

REMEMBERED = 100
"""Replays, done or not; of more the oldest is forgotten, and has to be begun again to be seen."""


@dataclass(frozen=True, slots=True)
class Run:
    """One replay under way."""

    key: str
    record_id: UUID
    progress: Progress
    outcome: Future[Replay]


class Replays:
    """Those that were begun on this page's server. Safe in threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._runs: OrderedDict[str, Run] = OrderedDict()

    def keep(self, record_id: UUID, progress: Progress, outcome: Future[Replay]) -> Run:
        """Remember one, under a key that nobody guesses."""
        run = Run(secrets.token_urlsafe(12), record_id, progress, outcome)
        with self._lock:
            self._runs[run.key] = run
            if len(self._runs) > REMEMBERED:
                self._runs.popitem(last=False)
        return run

    def find(self, key: str, record_id: UUID) -> Run | None:
        """The one of this key and record; None where it is forgotten, or was begun before the server was started."""
        with self._lock:
            run = self._runs.get(key)
        return run if run is not None and run.record_id == record_id else None
