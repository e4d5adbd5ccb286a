"""`becausal audit erase, retain, hold, release, holds`: what may go and what must stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

import storage
from server.cli.audit_open import Actor, User, login, opened
from server.cli.failure import CommandError
from server.cli.options import ConfigFile, Database

Reason = Annotated[str, typer.Option("--reason", help="Why; stays in the log for good, so it must not name the user.")]


def erase(
    user: User, *, config: ConfigFile = None, database: Database = None, reason: Reason = "", actor: Actor = ""
) -> None:
    """Erase all that is stored about a user. Exit code 1 while a legal hold forbids it."""
    with opened(config, database) as found:
        try:
            erased = found.erasure.erase_user(user, actor=actor or login(), reason=reason)
        except storage.LegalHoldError as error:
            typer.echo(f"becausal: {error}", err=True)
            raise typer.Exit(1) from error
        found.log.sequence_all()
    typer.echo(
        f"Erased {erased.explanations} explanations, {erased.interactions} interactions and {erased.other_entries} other "
        f"entries; recorded as {', '.join(str(entry_id) for entry_id in erased.entry_ids)}."
    )


def retain(
    days: Annotated[float, typer.Option("--days", help="Erase explanations older than this.", min=0)],
    *,
    config: ConfigFile = None,
    database: Database = None,
    actor: Actor = "",
) -> None:
    """Erase explanations older than so many days, except those of users on legal hold."""
    total = 0
    with opened(config, database) as found, Progress(console=Console(stderr=True)) as bar:
        try:
            before = datetime.now(UTC) - timedelta(days=days)
        except OverflowError as error:
            raise CommandError(f"{days} days ago is before the calendar begins; give fewer.") from error
        task = bar.add_task("Erasing", total=found.erasure.count_before(before))
        while erased := found.erasure.erase_before(before, actor=actor or login()).explanations:
            total += erased
            bar.update(task, completed=total)
        found.log.sequence_all()
    typer.echo(f"Erased {total} explanations made before {before:%Y-%m-%d %H:%M} UTC.")


def hold(
    user: User, *, config: ConfigFile = None, database: Database = None, reason: Reason = "", actor: Actor = ""
) -> None:
    """Keep a user's records from being erased."""
    with opened(config, database) as found:
        found.erasure.hold(user, actor=actor or login(), reason=reason)
    typer.echo(f"The records of {user} are kept until `becausal audit release`.")


def release(
    user: User, *, config: ConfigFile = None, database: Database = None, reason: Reason = "", actor: Actor = ""
) -> None:
    """End a legal hold. Exit code 1 when there is none."""
    with opened(config, database) as found:
        if not found.erasure.release(user, actor=actor or login(), reason=reason):
            typer.echo(f"becausal: {user} is not on hold.", err=True)
            raise typer.Exit(1)
    typer.echo(f"The records of {user} may be erased again.")


def holds(*, config: ConfigFile = None, database: Database = None) -> None:
    """List the users on legal hold."""
    with opened(config, database) as found:
        for each in found.erasure.holds():
            typer.echo(f"{each.user_id}  since {each.create_time:%Y-%m-%d}  {each.reason}")
