"""`becausal audit keygen, checkpoint, prove, consistency, export, verify`: the audit log and its proofs."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

import storage
from becausal.audit.errors import AuditError
from becausal.audit.findings import Report
from becausal.audit.note import Signer, Verifier
from becausal.audit.verifier import earlier_checkpoint, verify_file
from server.cli.audit_open import Actor, opened
from server.cli.failure import CommandError
from server.cli.options import ConfigFile, Database, Json, config_with
from server.records import write_key
from server.rpc.messages import id_from

Out = Annotated[
    Path | None, typer.Option("--out", help="File to write; by default standard output.", show_default=False)
]


def keygen(
    out: Annotated[Path, typer.Argument(help="File for the private key; only you will be able to read it.")],
    config: ConfigFile = None,
    origin: Annotated[
        str, typer.Option("--origin", help="Name of the log; by default audit.origin.", show_default=False)
    ] = "",
) -> None:
    """Make the key that signs checkpoints, and print its public side."""
    name = origin or config_with(config).audit.origin
    try:
        signer = Signer.new(name)
    except AuditError as error:
        raise CommandError(str(error)) from error
    write_key(out, signer)
    typer.echo(signer.verifier.text)


def checkpoint(*, config: ConfigFile = None, database: Database = None) -> None:
    """Put waiting entries in order, sign the log, and print the checkpoint. Keep it: it proves later changes."""
    with opened(config, database) as found:
        found.public_key()
        found.log.sequence_all()
        typer.echo(found.log.checkpoint().note, nl=False)


def prove(
    name: Annotated[str, typer.Argument(help="explanations/{id}, or the id of another entry.")],
    *,
    config: ConfigFile = None,
    database: Database = None,
    out: Out = None,
    actor: Actor = "",
) -> None:
    """Write a record with the proof that it is in the log, for `becausal audit verify`."""
    entry_id = id_from(name)
    with opened(config, database) as found:
        key = found.public_key()
        found.note(actor, "prove", name)
        found.log.sequence_all()
        proof = storage.proof_file(found.trail, found.log, entry_id, key)
    _write(out, [json_module.dumps(proof, ensure_ascii=False) + "\n"])


def consistency(
    old_size: Annotated[int, typer.Option("--from", help="Entries of the older checkpoint.")],
    new_size: Annotated[
        int | None, typer.Option("--to", help="Entries of the newer; by default the newest.", show_default=False)
    ] = None,
    *,
    config: ConfigFile = None,
    database: Database = None,
) -> None:
    """Print the proof that the log only grew between two checkpoints, as one JSON object."""
    with opened(config, database) as found:
        proof = found.log.consistency(old_size, new_size)
    content = {
        "oldSize": proof.old_size,
        "newSize": proof.new_size,
        "hashes": [digest.hex() for digest in proof.proof],
    }
    typer.echo(json_module.dumps(content))


def export(
    *,
    config: ConfigFile = None,
    database: Database = None,
    out: Out = None,
    actor: Actor = "",
) -> None:
    """Write the whole log with its documents, checkpoint and public key, for `becausal audit verify`."""
    with opened(config, database) as found:
        key = found.public_key()
        found.note(actor, "export", "everything")
        found.log.sequence_all()
        state = found.log.checkpoint()
        with Progress(console=Console(stderr=True), disable=out is None) as bar:
            lines = storage.export_lines(found.trail, state, key)
            leaves = -(-state.size // 256)
            _write(out, bar.track(lines, total=1 + leaves + state.size, description="Exporting"))


def verify(
    file: Annotated[Path, typer.Argument(help="File of `becausal audit export` or `prove`.")],
    *,
    key: Annotated[
        str,
        typer.Option(
            "--key", help="The log's public key, as `keygen` printed it, or a file with it.", show_default=False
        ),
    ] = "",
    since: Annotated[
        Path | None,
        typer.Option("--since", help="Checkpoint kept from before: the log must begin with it.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Check an export, without server and database. Exit code 1 when anything is wrong."""
    try:
        verifier = _verifier(key) if key else None
        report = verify_file(file, verifier, None if since is None else earlier_checkpoint(since))
    except AuditError as error:
        raise CommandError(str(error)) from error
    if json:
        typer.echo(json_module.dumps(_report_content(report), ensure_ascii=False))
    else:
        _print_report(report)
    if not report.intact:
        raise typer.Exit(1)


def _verifier(key: str) -> Verifier:
    path = Path(key)
    try:
        return Verifier.parse(path.read_text(encoding="utf-8") if path.is_file() else key)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read ({error}); give the public key or a file with it.") from error


def _report_content(report: Report) -> dict[str, object]:
    return {
        "intact": report.intact,
        "size": report.checkpoint.size if report.checkpoint else 0,
        "entries": report.entries,
        "documents": report.documents,
        "erased": report.erased,
        "keyWasGiven": report.key_was_given,
        "findings": [asdict(finding) for finding in report.findings],
    }


def _print_report(report: Report) -> None:
    for finding in report.findings:
        typer.echo(f"{finding.fault.value}: {finding.text}")
    state = "Intact" if report.intact else f"NOT INTACT, {len(report.findings)} findings"
    size = report.checkpoint.size if report.checkpoint else 0
    typer.echo(
        f"{state}: {report.entries} entries against a checkpoint of {size}, {report.documents} documents recomputed, "
        f"{report.erased} erased."
    )
    if not report.key_was_given:
        typer.echo("The public key was taken from the file itself; give --key to know whose log this is.")


def _write(out: Path | None, lines: Iterable[str]) -> None:
    try:
        if out is None:
            sys.stdout.writelines(lines)
        else:
            with out.open("w", encoding="utf-8") as file:
                file.writelines(lines)
    except OSError as error:
        raise CommandError(f"{out} cannot be written ({error}); give another path.") from error
