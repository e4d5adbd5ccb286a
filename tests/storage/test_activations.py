"""Which model answers: the last decision counts, and each is an entry of the audit log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

import storage
from storage.models import LogEntryRow


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
    log = storage.AuditLog(database, "tests")
    log.sequence_all()

    with database.reading() as connection:
        (row,) = connection.execute(select(LogEntryRow)).all()
    assert (row.kind, row.leaf_index, row.user_id) == ("activation", 0, None)
    document = json.loads(row.document)
    assert (document["model_version"], document["actor"]) == ("sha256:a", "ann")


@pytest.mark.parametrize("actor", ["x" * 513, "\0", "\ud800"])
def test_what_no_database_holds_is_refused(database: storage.Database, actor: str) -> None:
    decisions = storage.ActivationRepository(database)
    with pytest.raises(storage.InvalidRecordError, match="actor"):
        decisions.add("sha256:a", actor=actor)
    assert decisions.latest() is None
