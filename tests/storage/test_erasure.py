"""Erasing takes all that is personal and leaves every proof; a legal hold stops it; old records go, held ones stay."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text

import storage
from becausal.audit.entries import Kind, entry_leaf
from becausal.audit.merkle import verify_inclusion
from becausal.audit.note import Signer
from storage.entries import Batch, event_entry
from storage.models import Base, LogEntryRow
from storage_examples import record

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

SIGNER = Signer.new("becausal.test/log")


@pytest.fixture
def log(database: storage.Database) -> storage.AuditLog:
    return storage.AuditLog(database, SIGNER.name, SIGNER)


@pytest.fixture
def erasure(database: storage.Database) -> storage.Erasure:
    return storage.Erasure(database)


def proved(log: storage.AuditLog, record_id: UUID) -> bool:
    proof = log.inclusion(record_id)
    leaf = entry_leaf(proof.entry_id, proof.kind, proof.commitment)
    return verify_inclusion(leaf, proof.index, proof.state.size, proof.proof, proof.state.root)


def everything(database: storage.Database) -> str:
    """All that the database holds, as text."""
    with database.reading() as connection:
        return "\n".join(str(row) for table in Base.metadata.sorted_tables for row in connection.execute(select(table)))


def test_erasing_takes_the_user_and_leaves_every_proof(
    database: storage.Database,
    explanations: storage.ExplanationRepository,
    erasure: storage.Erasure,
    log: storage.AuditLog,
) -> None:
    trail, histories = storage.AuditTrail(database), storage.HistoryRepository(database)
    mine, theirs = [record(user_id="zaphod") for _ in range(3)], record(user_id="other")
    explanations.add([*mine[:2], theirs])
    log.sequence()
    explanations.add(mine[2:])  # not in its place yet
    histories.add([storage.Interaction("zaphod", "1", 1.0), storage.Interaction("other", "1", 1.0)])
    read = event_entry(Kind.READ, {"subject": 'user_id = "zaphod"'}, "zaphod")
    explanations.write(Batch(entries=[read]))

    erased = erasure.erase_user("zaphod", actor="clerk", reason="asked")
    log.sequence_all()

    assert (erased.explanations, erased.interactions, erased.other_entries) == (3, 1, 1)
    assert "zaphod" not in everything(database)
    assert all(explanations.get(each.id) is None for each in mine)
    assert explanations.get(theirs.id) == theirs
    assert histories.latest("other", 9) == ("1",)
    assert {trail.standing(each.id) for each in mine} == {storage.Standing.ERASED}
    assert trail.standing(theirs.id) is storage.Standing.INTACT
    assert all(proved(log, each.id) for each in [*mine, theirs])
    (entry_id,) = erased.entry_ids
    assert proved(log, entry_id)
    document = json.loads((trail.entry(entry_id) or pytest.fail("no erasure entry")).document or "")
    assert document["entries"] == [*(str(each.id) for each in mine), str(read["id"])]
    assert (document["actor"], document["cause"], document["reason"]) == ("clerk", "user", "asked")


def test_what_is_erased_is_in_no_file_of_sqlite(sqlite_url: str, tmp_path: Path) -> None:
    storage.upgrade(sqlite_url)
    with storage.Database(sqlite_url) as database:
        storage.ExplanationRepository(database).add([record(user_id="trillian-mcmillan") for _ in range(20)])
        salts = [row.salt for row in _entries(database)]
        storage.Erasure(database).erase_user("trillian-mcmillan", actor="clerk", reason="")
        content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"trillian-mcmillan" not in content
    assert not any(salt in content for salt in salts)


def _entries(database: storage.Database):  # noqa: ANN202
    with database.reading() as connection:
        return connection.execute(select(LogEntryRow.salt)).all()


def test_erasing_nobody_is_recorded_too(erasure: storage.Erasure, database: storage.Database) -> None:
    assert erasure.erase_user("nobody", actor="clerk", reason="").explanations == 0
    assert storage.AuditTrail(database).count(Kind.ERASURE) == 1


@pytest.mark.parametrize("user_id", ["", "x" * 513])
def test_a_user_id_that_cannot_be_one_is_refused(erasure: storage.Erasure, user_id: str) -> None:
    with pytest.raises(storage.InvalidRecordError, match="give 1 to 512"):
        erasure.erase_user(user_id, actor="clerk", reason="")


def test_a_hold_blocks_erasure_until_it_is_released(
    explanations: storage.ExplanationRepository, erasure: storage.Erasure, database: storage.Database
) -> None:
    made = record(user_id="held")
    explanations.add([made])
    erasure.hold("held", actor="court", reason="case 7")
    with pytest.raises(storage.LegalHoldError, match=r"legal hold since \d{4}-\d\d-\d\d .*becausal audit release"):
        erasure.erase_user("held", actor="clerk", reason="")
    assert explanations.get(made.id) == made
    assert [(hold.user_id, hold.reason) for hold in erasure.holds()] == [("held", "case 7")]
    assert erasure.release("held", actor="court", reason="closed")
    assert not erasure.release("held", actor="court", reason="again")
    assert erasure.erase_user("held", actor="clerk", reason="").explanations == 1
    assert "held" not in everything(database)


def test_retention_takes_the_old_but_not_the_held(
    explanations: storage.ExplanationRepository, erasure: storage.Erasure, log: storage.AuditLog
) -> None:
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    old = [record(create_time=noon - timedelta(days=day)) for day in range(1, 6)]
    held = record(user_id="held", create_time=noon - timedelta(days=9))
    fresh = record(create_time=noon)
    explanations.add([*old, held, fresh])
    log.sequence()
    erasure.hold("held", actor="court", reason="")
    assert erasure.count_before(noon) == 6

    taken = []
    while erased := erasure.erase_before(noon, actor="becausal", limit=2).explanations:
        taken.append(erased)

    assert taken == [2, 2, 1]
    assert set(explanations.ids()) == {held.id, fresh.id}
    log.sequence_all()
    assert all(proved(log, each.id) for each in [*old, held, fresh])


def test_an_erasure_that_fails_leaves_all_as_it_was(
    database: storage.Database, explanations: storage.ExplanationRepository, erasure: storage.Erasure
) -> None:
    made = record(user_id="u")
    explanations.add([made])
    with database.writing() as connection:
        connection.execute(text("DROP TABLE interactions"))
    with pytest.raises(storage.SchemaBehindError):
        erasure.erase_user("u", actor="clerk", reason="")
    assert explanations.get(made.id) == made


def test_records_from_before_the_log_are_committed_by_the_migration(empty_url: str, tmp_path: Path) -> None:
    storage.upgrade(empty_url)
    made = [record() for _ in range(3)]
    with storage.Database(empty_url) as database:
        storage.ExplanationRepository(database).add(made)
    storage.downgrade(empty_url, "0001")
    storage.upgrade(empty_url)
    with storage.Database(empty_url) as database:
        log, trail = storage.AuditLog(database, SIGNER.name, SIGNER), storage.AuditTrail(database)
        assert log.sequence_all() == 3
        assert {trail.standing(each.id) for each in made} == {storage.Standing.INTACT}
    if empty_url.startswith("sqlite"):
        assert sqlite3.connect(tmp_path / "becausal.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)
