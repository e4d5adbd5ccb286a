"""Histories brought into numbered blocks, once for a run: what a block holds never changes after that."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import parquet

from batch.errors import HistoriesError, RunFolderError
from batch.files import HISTORIES, sync
from batch.histories import Fields, UserHistory, history_files, read_histories
from batch.values import SET_ASIDE, history_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from batch.folder import RunFolder

BLOCKS_IN_A_FILE: Final = 256
COUNTS: Final = "counts.json"

Since = Callable[[UserHistory], bool]
"""Whether a user's history changed."""


@dataclass(frozen=True, slots=True)
class Preparing:
    """Which histories, and how they are cut into blocks."""

    source: Path
    fields: Fields = field(default_factory=Fields)
    block: int = 64
    """Users in a block: what a worker that is killed has to do again, and what one transaction stores."""

    longest: int = 10_000
    """Newest items of a history that are taken."""

    since: Since | None = None
    """Leave out the users whose history did not change."""

    def asked(self) -> dict[str, Any]:
        """What decides the blocks, apart from `since`, as JSON values: the files by name, size and time of change.

        Raises:
            HistoriesError: there are no files.
        """
        stats = [(path.name, path.stat()) for path in history_files(self.source)]
        return {
            "histories": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats],
            "fields": [self.fields.user, self.fields.item, self.fields.time],
            "block size": self.block,
            "longest history": self.longest,
        }


@dataclass(frozen=True, slots=True)
class Counts:
    """What there is to do."""

    users: int
    unchanged: int
    block: int

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.users // self.block)

    def of_block(self, number: int) -> int:
        """Users in a block."""
        return min(self.block, self.users - number * self.block)


def prepare(folder: RunFolder, preparing: Preparing) -> Counts:
    """Write the blocks unless they are there already.

    Raises:
        HistoriesError: the histories cannot be read.
    """
    if not folder.histories.is_dir():
        fresh = folder.work / "preparing"
        shutil.rmtree(fresh, ignore_errors=True)  # a run that was killed here begins here again
        fresh.mkdir(parents=True)
        chosen = _Chosen(preparing)
        _write(fresh, iter(chosen), preparing.block)
        counts = {"users": chosen.users, "unchanged": chosen.unchanged, "block": preparing.block}
        (fresh / COUNTS).write_text(json.dumps(counts), encoding="utf-8")
        for path in fresh.iterdir():
            sync(path)
        fresh.rename(folder.histories)
        sync(folder.work)
    return Counts(**json.loads((folder.histories / COUNTS).read_text(encoding="utf-8")))


def read_block(folder: RunFolder, block: int) -> list[dict[str, Any]]:
    """A block's users: rows of `batch.files.HISTORIES`."""
    file, group = divmod(block, BLOCKS_IN_A_FILE)
    with parquet.ParquetFile(folder.histories / f"{file:06d}.parquet") as opened:
        rows: list[dict[str, Any]] = opened.read_row_group(group).to_pylist()
    return rows


class _Chosen:
    """The users to work for, counted."""

    def __init__(self, preparing: Preparing) -> None:
        self._preparing = preparing
        self.users = 0
        self.unchanged = 0

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        seen: set[bytes] = set()
        since, longest = self._preparing.since, self._preparing.longest
        for history in read_histories(self._preparing.source, self._preparing.fields):
            error, items = history.error, history.items[-longest:]
            if history.user_id is not None:
                name = history_digest(history.user_id, ())
                error = "The user has more than one row; the first counts." if name in seen else error
                seen.add(name)
            if error is None and since is not None and not since(UserHistory(history.user_id, items, history.time)):
                self.unchanged += 1
                continue
            self.users += 1
            yield {"user_id": history.user_id, "items": items, "error": error}


def _write(folder: Path, rows: Iterator[Mapping[str, Any]], block: int) -> None:
    """Files of `BLOCKS_IN_A_FILE` row groups, a block in each."""
    blocks = iter(lambda: list(islice(rows, block)), [])
    for number, first in enumerate(blocks):
        path = folder / f"{number:06d}.parquet"
        with parquet.ParquetWriter(path, HISTORIES, compression="zstd") as writer:
            for some in chain([first], islice(blocks, BLOCKS_IN_A_FILE - 1)):
                writer.write_table(pa.Table.from_pylist(some, schema=HISTORIES), row_group_size=block)


def since_run(earlier: Path) -> Since:
    """Changed is who was not in an earlier run with this very history, or was set aside there.

    Holds a digest, about 100 bytes, for each user of that run in memory.

    Raises:
        RunFolderError: it is no folder of a run.
    """
    files = sorted((earlier / "users").glob("*.parquet"))
    if not files:
        raise RunFolderError(f"{earlier} holds no users of an earlier run; name the folder of one.")
    known: set[bytes] = set()
    for path in files:
        with parquet.ParquetFile(path) as file:
            table = file.read(["digest", "outcome"]).to_pydict()
        pairs = zip(table["digest"], table["outcome"], strict=True)
        known.update(digest for digest, outcome in pairs if outcome != SET_ASIDE)
    return lambda history: history_digest(history.user_id or "", history.items) not in known


def since_time(text: str) -> Since:
    """Changed is who has an item from this time on.

    Args:
        text: seconds on the clock of the histories, or a date or time of ISO 8601, UTC where it names no zone.

    Raises:
        HistoriesError: it is neither. The same of a history without a time, when that is met.
    """
    try:
        bound = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise HistoriesError(f"{text!r} is no run's folder and no time; give one, such as 2026-11-27.") from None
        bound = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    def changed(history: UserHistory) -> bool:
        if history.time is None:
            raise HistoriesError("These histories have no times; give the folder of an earlier run instead.")
        return history.time >= bound

    return changed
