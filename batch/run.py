"""A whole run: prepare the blocks, do those that are not done, sum up."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch.engine import summaries
from batch.preparing import prepare
from batch.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batch.folder import RunFolder
    from batch.preparing import Preparing
    from batch.values import Cluster, Work


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    done: int
    """Users, those of earlier tries among them."""

    total: int


def run(
    work: Work,
    folder: RunFolder,
    preparing: Preparing,
    cluster: Cluster,
    *,
    asked: Mapping[str, Any],
    progress: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Do a work for every user, or what is left of it; a finished run is only reported.

    Args:
        work: what to do with each user.
        folder: where the run is kept.
        preparing: the histories.
        cluster: where to work.
        asked: what decides the results, as JSON values: a folder is of one run.
        progress: told at the start and after each block.

    Returns:
        The report, `Report.content`.

    Raises:
        HistoriesError: the histories cannot be read.
        RunFolderError: the folder cannot be used, or is that of another run.
        RunStoppedError: Ray or the store of the results does not work; what is done stays done.
    """
    with folder.held({**asked, **preparing.asked()}) as identity:
        if folder.finished:
            folder.tidy()
            return folder.report()
        counts = prepare(folder, preparing)
        report = Report(folder.kind, unchanged=counts.unchanged)
        pending = []
        for block in range(counts.blocks):
            if folder.is_done(block):
                report.add(folder.summary(block))
            else:
                pending.append(block)
        progress(Progress(report.users, counts.users))
        if pending:
            with closing(summaries(pending, work, folder, identity, cluster)) as coming:
                for summary in coming:
                    report.add(summary)
                    progress(Progress(report.users, counts.users))
        content = {"run": identity.id, "start": identity.start.isoformat(timespec="milliseconds"), **report.content()}
        folder.finish(content)
        folder.tidy()
        return content
