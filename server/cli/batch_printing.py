"""How an offline run looks in a terminal: a bar while it lasts, a report at its end."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from batch.run import Progress as Done

_MEGABYTE = 1_000_000


@contextmanager
def progress_bar() -> Iterator[Callable[[Done], None]]:
    """A bar on standard error, with users a second and the time that is left."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("Preparing", total=None, rate="")
        began: list[tuple[float, int]] = []

        def show(done: Done) -> None:
            # What an earlier try did is no speed of this one.
            began.append((time.monotonic(), done.done)) if not began else None
            start, first = began[0]
            seconds = time.monotonic() - start
            rate = f"{(done.done - first) / seconds:.1f} users/s" if done.done > first and seconds else ""
            if not bar.tasks[0].total:
                bar.reset(task, total=done.total, completed=done.done, description="Users", rate=rate)
            bar.update(task, completed=done.done, rate=rate)

        yield show


def print_report(report: dict[str, Any], folder: Path) -> None:
    """The final report."""
    console = Console(highlight=False, soft_wrap=True)
    users, cost = report["users"], report["cost"]
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, count in (
        ("users answered", users["answered"]),
        ("set aside", users["setAside"]),
        ("unchanged", users["unchanged"]),
        *report["outcomes"].items(),
        *((f"sets of {size}", count) for size, count in report["sizes"].items()),
    ):
        table.add_row(name, f"{count:,}")
    console.print(table)
    for kind, found in report["setAside"].items():
        console.print(Text(f"Set aside: {found['users']:,} for {kind}, the first: {found['first']}"))
    if cost["coreHoursPerMillion"] is not None:
        each = f"{cost['coreHoursPerMillion']:,.2f} core-hours for a million"
        console.print(
            Text(f"Cost: {cost['coreSeconds']:,.1f} core-seconds, {cost['rowsScored']:,} rows scored; {each}")
        )
    console.print(Text(f"Results: {report['bytes'] / _MEGABYTE:,.1f} MB as files; run {report['run']} in {folder}"))
