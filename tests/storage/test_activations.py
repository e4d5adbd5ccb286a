"""Which model answers: the last decision counts, and each is an entry of the audit log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

import storage
from becausal.audit.note import Signer
from becausal.audit.verifier import verify_file
from storage.models import LogEntryRow

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_decision_there_is_none(database: storage.Database) -> None:
    assert storage.ActivationRepository(database).latest() is None


def test_the_last_decision_counts(database: storage.Database) -> None:
    decisions = storage.ActivationRepository(database)
    for version, actor in (("sha256:a", "ann"), ("sha256:b", "bob"), ("sha256:a", "cem")):
        decisions.add(version, actor=actor)

    found = decisions.latest()
    assert found is not None
    assert (found.model_version, found.actor) == ("sha256:a", "cem")
    assert timedelta(0) <= datetime.now(UTC) - found.create_time < timedelta(minutes=1)


def test_a_decision_is_an_entry_of_the_log(database: storage.Database) -> None:
    storage.ActivationRepository(database).add("sha256:a", actor="ann")
    storage.AuditLog(database, "tests").sequence_all()

    with database.reading() as connection:
        (row,) = connection.execute(select(LogEntryRow)).all()
    assert (row.kind, row.leaf_index, row.user_id) == ("activation", 0, None)
    document = json.loads(row.document)
    assert (document["model_version"], document["actor"]) == ("sha256:a", "ann")


def test_the_verifier_sees_decisions_and_whether_they_were_changed(database: storage.Database, tmp_path: Path) -> None:
    storage.ActivationRepository(database).add("sha256:a", actor="ann")
    signer = Signer.new("tests")
    log = storage.AuditLog(database, signer.name, signer)
    log.sequence_all()
    lines = storage.export_lines(storage.AuditTrail(database), log.checkpoint(), signer.verifier.text)
    text, file = "".join(lines), tmp_path / "export.jsonl"
    for written, intact in ((text, True), (text.replace("ann", "bob"), False)):
        file.write_text(written)
        report = verify_file(file, signer.verifier)
        assert (report.intact, report.entries) == (intact, 1)


@pytest.mark.parametrize("actor", ["x" * 513, "\0", "\ud800"])
def test_what_no_database_holds_is_refused(database: storage.Database, actor: str) -> None:
    decisions = storage.ActivationRepository(database)
    with pytest.raises(storage.InvalidRecordError, match="actor"):
        decisions.add("sha256:a", actor=actor)
    assert decisions.latest() is None
