"""The log on both engines: contiguous, signed, proved, and never signed again once it was damaged."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text, update

import storage
from becausal.audit.entries import entry_leaf
from becausal.audit.merkle import verify_consistency, verify_inclusion
from becausal.audit.note import Checkpoint, Signer, Verifier
from storage.log import _pending
from storage.models import ExplanationRow, LogEntryRow, LogTileRow
from storage_examples import record

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from uuid import UUID

ORIGIN = "becausal.test/log"


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.new(ORIGIN)


@pytest.fixture
def log(database: storage.Database, signer: Signer) -> storage.AuditLog:
    return storage.AuditLog(database, ORIGIN, signer)


def indexes(database: storage.Database) -> dict[UUID, int | None]:
    with database.reading() as connection:
        return dict(connection.execute(select(LogEntryRow.id, LogEntryRow.leaf_index)).all())


def proved(log: storage.AuditLog, record_id: UUID) -> bool:
    proof = log.inclusion(record_id)
    leaf = entry_leaf(proof.entry_id, proof.kind, proof.commitment)
    return verify_inclusion(leaf, proof.index, proof.state.size, proof.proof, proof.state.root)


def test_entries_get_contiguous_places_in_the_order_of_ids(
    database: storage.Database, explanations: storage.ExplanationRepository, log: storage.AuditLog
) -> None:
    made = [record() for _ in range(50)]
    explanations.add(made[:20])
    assert (log.sequence(limit=7), log.sequence_all(), log.sequence()) == (7, 13, 0)
    explanations.add(made[20:])
    log.sequence_all()
    assert indexes(database) == {each.id: place for place, each in enumerate(made)}
    assert all(proved(log, each.id) for each in made)


def test_who_comes_late_with_an_early_id_gets_a_place_too(
    database: storage.Database,
    explanations: storage.ExplanationRepository,
    log: storage.AuditLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late, *made = [record() for _ in range(6)]
    explanations.add(made)
    place = log._place
    came = iter([late])

    def interrupted(limit: int, after: UUID | None) -> list[UUID]:
        placed = place(limit, after)
        explanations.add(list(came))
        return placed

    monkeypatch.setattr(log, "_place", interrupted)
    monkeypatch.setattr("storage.log.SEQUENCED_AT_ONCE", 2)

    assert log.sequence_all() == 6
    assert indexes(database) == {each.id: place for place, each in enumerate([*made, late])}
    assert proved(log, late.id)


def test_a_backlog_is_passed_over_once(
    explanations: storage.ExplanationRepository,
    log: storage.AuditLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = [record() for _ in range(6)]
    explanations.add(made)
    monkeypatch.setattr("storage.log.SEQUENCED_AT_ONCE", 2)
    asked: list[UUID | None] = []
    monkeypatch.setattr(
        "storage.log._pending",
        lambda connection, limit, after: asked.append(after) or _pending(connection, limit, after),
    )

    log.sequence_all()

    assert asked == [None, made[1].id, made[3].id, made[5].id]


def test_checkpoints_are_signed_notes_and_consistent(
    explanations: storage.ExplanationRepository, log: storage.AuditLog, signer: Signer
) -> None:
    states = []
    for count in (1, 300, 5, 40):
        explanations.add([record() for _ in range(count)])
        log.sequence_all()
        states.append(log.checkpoint())
    newest = states[-1]
    for state in states:
        body = Verifier.parse(signer.verifier.text).opened(state.note or "")
        assert Checkpoint.parse(body or "") == Checkpoint(ORIGIN, state.size, state.root)
        proof = log.consistency(state.size).proof
        assert verify_consistency(state.size, newest.size, state.root, newest.root, proof)
    assert [state.size for state in states] == [1, 301, 306, 346]


def test_what_cannot_be_proved_is_said(
    explanations: storage.ExplanationRepository, log: storage.AuditLog, database: storage.Database
) -> None:
    made = record()
    with pytest.raises(storage.NoCheckpointError, match="empty"):
        log.checkpoint()
    explanations.add([record()])
    log.sequence()
    explanations.add([made])
    with pytest.raises(storage.NotInLogError, match="waits for its place"):
        log.inclusion(made.id)
    with pytest.raises(storage.NotInLogError, match="no entry"):
        log.inclusion(storage.new_id())
    for sizes in ((0, 2), (1, 0), (-1, 1), (2, None)):
        with pytest.raises(storage.NotInLogError, match="no states"):
            log.consistency(*sizes)
    unsigned = storage.AuditLog(database, ORIGIN)
    unsigned.sequence()
    with pytest.raises(storage.NoCheckpointError, match=r"audit\.key_file"):
        unsigned.checkpoint()
    log.sequence()
    assert proved(log, made.id)


def test_a_new_key_signs_the_newest_state_at_once(
    explanations: storage.ExplanationRepository, log: storage.AuditLog, database: storage.Database
) -> None:
    explanations.add([record()])
    log.sequence()
    before = log.checkpoint()
    other = Signer.new(ORIGIN)
    rotated = storage.AuditLog(database, ORIGIN, other)
    rotated.sequence()
    after = rotated.checkpoint()
    assert (after.size, after.root) == (before.size, before.root)
    assert other.verifier.opened(after.note or "")
    assert not other.verifier.opened(before.note or "")


def test_sequencers_in_threads_leave_no_gap_and_no_double(database_url: str, signer: Signer) -> None:
    def work(_: int) -> None:
        with storage.Database(database_url) as own:
            explanations, log = storage.ExplanationRepository(own), storage.AuditLog(own, ORIGIN, signer)
            for _ in range(15):
                explanations.add([record() for _ in range(3)])
                log.sequence(limit=5)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    with storage.Database(database_url) as database:
        log = storage.AuditLog(database, ORIGIN, signer)
        log.sequence_all()
        places = indexes(database)
        assert sorted(places.values()) == list(range(3 * 15 * 3))
        assert all(proved(log, record_id) for record_id in list(places)[::10])


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log_tiles SET hashes = (SELECT commitment FROM log_entries LIMIT 1)",
        "DELETE FROM log_tiles",
        "UPDATE log_checkpoints SET root = (SELECT commitment FROM log_entries LIMIT 1)",
        "UPDATE log_checkpoints SET size = 99",
    ],
)
def test_nothing_is_signed_over_a_damaged_tree(
    explanations: storage.ExplanationRepository, log: storage.AuditLog, database: storage.Database, damage: str
) -> None:
    explanations.add([record() for _ in range(3)])
    log.sequence()
    with database.writing() as connection:
        connection.execute(text(damage))
    explanations.add([record()])
    with pytest.raises(storage.LogDamagedError, match="changed behind its checkpoint"):
        log.sequence()
    assert list(indexes(database).values()).count(None) == 1


def test_an_edited_record_is_tampered_and_the_others_are_not(
    database: storage.Database, explanations: storage.ExplanationRepository, log: storage.AuditLog
) -> None:
    trail = storage.AuditTrail(database)
    edited, other, late = record(), record(), record()
    explanations.add([edited, other])
    log.sequence()
    explanations.add([late])
    with database.writing() as connection:
        payload = select(ExplanationRow.payload).where(ExplanationRow.id == edited.id)
        changed = connection.execute(payload).scalar_one().replace('"user_id":"42"', '"user_id":"43"')
        connection.execute(update(ExplanationRow).where(ExplanationRow.id == edited.id).values(payload=changed))
    standings = [trail.standing(each.id) for each in (edited, other, late)]
    assert standings == [storage.Standing.TAMPERED, storage.Standing.INTACT, storage.Standing.WAITING]
    assert trail.standing(storage.new_id()) is storage.Standing.UNKNOWN


def test_an_edit_with_a_new_commitment_is_tampered_too(
    database: storage.Database, explanations: storage.ExplanationRepository, log: storage.AuditLog
) -> None:
    made, twin = record(), record()
    explanations.add([made])
    log.sequence()
    forged = storage.ExplanationRepository.prepare([twin]).entries[0]
    with database.writing() as connection:
        payload = explanations.prepare([twin]).explanations[0]["payload"]
        connection.execute(update(ExplanationRow).values(payload=payload))
        connection.execute(update(LogEntryRow).values(commitment=forged["commitment"], salt=forged["salt"]))
    assert storage.AuditTrail(database).standing(made.id) is storage.Standing.TAMPERED


def test_layout_and_number_form_of_the_json_do_not_matter(
    database: storage.Database, explanations: storage.ExplanationRepository
) -> None:
    made = record()
    explanations.add([made])
    with database.writing() as connection:
        payload = json.loads(connection.execute(select(ExplanationRow.payload)).scalar_one())
        shuffled = json.dumps(dict(reversed(payload.items())), indent=1)
        connection.execute(update(ExplanationRow).values(payload=shuffled))
    assert storage.AuditTrail(database).standing(made.id) is storage.Standing.WAITING


def test_a_proof_reads_a_handful_of_rows(
    database: storage.Database,
    explanations: storage.ExplanationRepository,
    log: storage.AuditLog,
    query_counter: Callable[[], AbstractContextManager[list[str]]],
) -> None:
    made = [record(cause_items=()) for _ in range(600)]
    explanations.add(made)
    log.sequence_all()
    with database.reading() as connection:
        assert len(connection.execute(select(LogTileRow.place)).all()) == 4
    with query_counter() as statements:
        assert proved(log, made[5].id)
    assert len(statements) <= 6
