"""What a run is made of: the work to do with each user, what comes of it, and where it is done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch.folder import RunIdentity

Row = dict[str, Any]

SET_ASIDE = "SET_ASIDE"
"""Outcome of a user whom nothing came of; the reason stands in `rejects`."""

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one user."""

    rows: tuple[Row, ...]
    """For the results: of the columns that `batch.files` states for this kind of work."""

    outcomes: tuple[str, ...]
    """Words to be counted, such as the status of each explanation; one at least."""

    sizes: tuple[int, ...] = ()
    """Items in each set of causes."""

    rows_scored: int = 0
    """Histories that models scored for it."""


class OpenWork(Protocol):
    """A work with its models loaded."""

    def answer(self, user_id: str, items: Sequence[str]) -> Answer:
        """Do it for one user; whatever this raises sets the user aside."""
        ...

    def keep(self, rows: Sequence[Row]) -> None:
        """Store a block's rows where they go beside the files; asked again for the same rows, pass over them.

        Whatever this raises stops the run.
        """
        ...


class Work(Protocol):
    """What is done with every user; travels to the workers."""

    @property
    def kind(self) -> str:
        """Which files it makes: a key of `batch.files.RESULTS`."""
        ...

    @property
    def keeps_files(self) -> bool:
        """Whether the results stay in files."""
        ...

    def open(self, run: RunIdentity) -> OpenWork:
        """Load the models; once in each worker."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where the work is done."""

    address: str | None = None
    """Of a Ray cluster; None starts one on this machine for the time of the run."""

    workers: int | None = None
    """Processes with a model each; None: one for each core, or as many as the GPUs take."""

    gpus: float = 0.0
    """Share of a GPU that each worker has; 0 keeps them on the CPU."""

    store_bytes: int = 200 * 2**20
    """Shared memory of a Ray that is started here; only block numbers and summaries go through it."""


def history_digest(user_id: str, items: Sequence[str]) -> bytes:
    """(16 bytes) says whether a user's history is the one of another time."""
    text = json.dumps([user_id, *items], ensure_ascii=True)
    return hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES]
