"""The folder of a run: what was asked, what is done, and how a block becomes done exactly once.

    run.json                    what was asked; the same command goes on where the run ended
    explanations/ differences/  results, a Parquet file per block
    rejects/                    users that were set aside, with the error
    users/                      every user with the digest of their history; a block's file here says that it is done
    report.json                 the final report; there when the run is finished
    work/                       what is needed until then: histories in blocks, blocks under way

A block is worked out into a folder of its own name, which is then renamed into `work/blocks`. The rename fails when the
name is taken: of two workers that did the same block, one that everybody had given up among them, the first is the
block's. Only what was renamed is stored and published, and doing that again changes nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch.errors import RunFolderError
from batch.files import REJECTS, RESULTS, USERS, read_rows, sync, write_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batch.values import Row

FORMAT = 1
RUN = "run.json"
REPORT = "report.json"
WORK = "work"
SUMMARY = "summary.json"
_LOCK = ".lock"
_BEGUN = {_LOCK, "run.new"}
"""What a run that was killed at once may leave."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Which run it is: ids of its records follow from it, so that doing a user again gives the same id."""

    id: str
    start: datetime
    """UTC, to the millisecond."""


@dataclass(frozen=True, slots=True)
class Worked:
    """A block that was worked out, and is stored and published next."""

    results: Sequence[Row]
    users: Sequence[Row]
    rejects: Sequence[Row]
    summary: Mapping[str, Any]


class RunFolder:
    """One run's folder, for its driver and its workers alike; all nodes must see it under the same path.

    Args:
        path: where it is.
        kind: which results it holds, a key of `batch.files.RESULTS`.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path.absolute()
        self.kind = kind
        self.work = self.path / WORK
        self.histories = self.work / "histories"
        self._blocks = self.work / "blocks"
        self._scratch = self.work / "scratch"

    @contextmanager
    def held(self, asked: Mapping[str, Any]) -> Iterator[RunIdentity]:
        """Begin the run or go on with it; nobody else can until this ends.

        Args:
            asked: all that decides what the run does, as JSON values.

        Raises:
            RunFolderError: the folder cannot be written, another process works in it, or it was asked for something
                else.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / _LOCK).open("w")
        except OSError as error:
            raise RunFolderError(f"{self.path} cannot be written ({error.strerror}); name another folder.") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunFolderError(
                    f"Another run works in {self.path}; wait for it or name another folder."
                ) from error
            yield self._identified(asked)

    def _identified(self, asked: Mapping[str, Any]) -> RunIdentity:
        if (self.path / RUN).is_file():
            known = json.loads((self.path / RUN).read_text(encoding="utf-8"))
            for name, value in asked.items():
                if known["asked"].get(name) != value:
                    raise RunFolderError(
                        f"{self.path} belongs to a run with other {name}; run the same command again, or name another "
                        "folder."
                    )
        elif any(each.name not in _BEGUN for each in self.path.iterdir()):
            raise RunFolderError(f"{self.path} holds something else than a run; name a new or an empty folder.")
        else:
            start = datetime.now(UTC).isoformat(timespec="milliseconds")
            known = {"format": FORMAT, "id": str(uuid.uuid4()), "start": start, "asked": dict(asked)}
            self._write_json(self.path / RUN, known)
        if not self.finished:
            places = [self.path / name for name in (self.kind, "rejects", "users")]
            for folder in (self._blocks, self._scratch, *places):
                folder.mkdir(parents=True, exist_ok=True)
        return RunIdentity(known["id"], datetime.fromisoformat(known["start"]))

    @property
    def finished(self) -> bool:
        """Whether the final report is there."""
        return (self.path / REPORT).is_file()

    def report(self) -> dict[str, Any]:
        """The final report of a finished run."""
        content: dict[str, Any] = json.loads((self.path / REPORT).read_text(encoding="utf-8"))
        return content

    def finish(self, report: Mapping[str, Any]) -> None:
        """Write the final report."""
        self._write_json(self.path / REPORT, report)

    def tidy(self) -> None:
        """Remove what was only needed until the run was finished."""
        shutil.rmtree(self.work, ignore_errors=True)
        with suppress(OSError):  # it holds the results, unless these are in a database alone
            (self.path / self.kind).rmdir()

    def is_done(self, block: int) -> bool:
        """Whether a block is stored and published."""
        return (self.path / "users" / _file(block)).is_file()

    def is_worked(self, block: int) -> bool:
        """Whether a block was worked out, though not stored and published yet."""
        return (self._blocks / str(block)).is_dir()

    def summary(self, block: int) -> dict[str, Any]:
        """The figures of a block that was worked out."""
        content: dict[str, Any] = json.loads((self._blocks / str(block) / SUMMARY).read_text(encoding="utf-8"))
        return content

    def put(self, block: int, worked: Worked) -> None:
        """Lay down a block that was worked out; if another worker has done so, theirs is the block's."""
        scratch = Path(tempfile.mkdtemp(dir=self._scratch, prefix=f"{block}-"))
        for name, schema, rows in (
            (self.kind, RESULTS[self.kind], worked.results),
            ("rejects", REJECTS, worked.rejects),
            ("users", USERS, worked.users),
        ):
            if rows:
                write_rows(scratch / f"{name}.parquet", schema, rows)
        results = scratch / f"{self.kind}.parquet"
        size = results.stat().st_size if results.exists() else 0
        (scratch / SUMMARY).write_text(json.dumps({**worked.summary, "bytes": size}), encoding="utf-8")
        sync(scratch / SUMMARY)
        sync(scratch)
        try:
            scratch.rename(self._blocks / str(block))
        except OSError:
            if not self.is_worked(block):
                raise
            shutil.rmtree(scratch)
        sync(self._blocks)

    def results(self, block: int) -> list[dict[str, Any]]:
        """Rows of a block that was worked out and not published yet."""
        path = self._blocks / str(block) / f"{self.kind}.parquet"
        return read_rows(path) if path.exists() else []

    def publish(self, block: int, *, keep_results: bool) -> None:
        """Move a block's files to where people look for them; that of the users comes last and says that it is done."""
        folder = self._blocks / str(block)
        if not keep_results:
            (folder / f"{self.kind}.parquet").unlink(missing_ok=True)
        for name in (self.kind, "rejects", "users"):
            # Another worker may be at the same.
            with suppress(FileNotFoundError):
                (folder / f"{name}.parquet").rename(self.path / name / _file(block))
            sync(self.path / name)

    def begin(self, block: int) -> tuple[Path, list[int]]:
        """Note that a worker begins a block.

        Returns:
            The file where it notes the place of each user that it begins, and where earlier workers were when they died.
        """
        notes = self._scratch / f"{block}.notes"
        died = []
        if notes.exists():
            lives = notes.read_text(encoding="utf-8").split("-\n")
            died = [int(life.split()[-1]) for life in lives if life.split()]
        with notes.open("a", encoding="utf-8") as file:
            file.write("-\n")
        return notes, died

    @staticmethod
    def _write_json(path: Path, content: Mapping[str, Any]) -> None:
        scratch = path.with_suffix(".new")
        scratch.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        sync(scratch)
        os.replace(scratch, path)  # noqa: PTH105 - Path.replace, as the rename that it is
        sync(path.parent)


def _file(block: int) -> str:
    return f"{block:08d}.parquet"
