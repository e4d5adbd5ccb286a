"""What the commands of `becausal audit` share: the open database, who asks, and the log carried on."""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

import storage
from server.cli.failure import CommandError
from server.cli.options import config_with
from server.records import Read, read_entry, read_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from becausal.audit.note import Signer
    from server.config import Config

Actor = Annotated[
    str, typer.Option("--as", help="Who asks, for the audit log; by default your login.", show_default=False)
]
User = Annotated[str, typer.Argument(help="User id.")]


@dataclass(frozen=True, slots=True)
class Opened:
    """A database with all that an auditor asks of it."""

    config: Config
    explanations: storage.ExplanationRepository
    trail: storage.AuditTrail
    erasure: storage.Erasure
    log: storage.AuditLog
    signer: Signer | None

    def note(self, actor: str, action: str, subject: str, user_id: str | None = None) -> None:
        """Record that somebody reads, before they are shown anything (audit.record_reads)."""
        if self.config.audit.record_reads:
            entry = read_entry(Read(actor or login(), action, subject, user_id))
            self.explanations.write(storage.Batch(entries=[entry]))

    def public_key(self) -> str:
        """The key that checkpoints are signed with, as one line.

        Raises:
            CommandError: no key is set.
        """
        if self.signer is None:
            raise CommandError("No key is set; make one with `becausal audit keygen` and name it in audit.key_file.")
        return self.signer.verifier.text


@contextmanager
def opened(file: Path | None, database_url: str | None) -> Iterator[Opened]:
    """The database of the configuration or of the flag."""
    config = config_with(file, database=database_url)
    signer = None if config.audit.key_file is None else read_key(config.audit.key_file)
    storage.check(config.database_url)
    with storage.Database(config.database_url) as database:
        yield Opened(
            config,
            storage.ExplanationRepository(database),
            storage.AuditTrail(database),
            storage.Erasure(database),
            storage.AuditLog(database, config.audit.origin, signer),
            signer,
        )


def login() -> str:
    """The login of whoever runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"
