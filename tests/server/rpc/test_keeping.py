"""Replay, erasure, histories, proofs and noted reads over a real channel."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from uuid import UUID

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import storage
from becausal.audit.entries import Kind, entry_leaf
from becausal.audit.merkle import verify_consistency, verify_inclusion
from becausal.audit.note import Checkpoint, Signer
from becausal.v1 import audit_service_pb2 as audit_pb
from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1.audit_service_pb2_grpc import AuditServiceStub
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from server.records import write_key
from serving import serving
from storage.models import LogEntryRow

if TYPE_CHECKING:
    from pathlib import Path

from sqlalchemy import select

HISTORY = ["a", "b", "c"]
Interaction = pb.RecordInteractionsRequest.Interaction


def documents(database: storage.Database, kind: Kind) -> list[dict[str, object]]:
    with database.reading() as connection:
        rows = connection.execute(
            select(LogEntryRow.document).where(LogEntryRow.kind == kind.value).order_by(LogEntryRow.id)
        )
        return [json.loads(document or "null") for document in rows.scalars()]


async def test_a_replay_compares_fact_by_fact(stub: ExplanationServiceStub) -> None:
    name = (await stub.Explain(pb.ExplainRequest(history=HISTORY))).name
    replay = await stub.ReplayExplanation(pb.ReplayExplanationRequest(name=name))

    assert (replay.name, replay.verdict) == (name, pb.ReplayExplanationResponse.HOLDS)
    assert replay.bit_equal
    assert replay.tolerance == pytest.approx(1e-4)
    assert {"target", "graphs", "causes", "effects", "counterfactual"} <= {fact.name for fact in replay.facts}
    assert {fact.agreement for fact in replay.facts} == {pb.ReplayExplanationResponse.Fact.EQUAL}


async def test_a_replay_of_nothing_is_not_found(stub: ExplanationServiceStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ReplayExplanation(pb.ReplayExplanationRequest(name=f"explanations/{storage.new_id()}"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_user_id_alone_takes_what_is_recorded(
    stub: ExplanationServiceStub, repository: storage.ExplanationRepository
) -> None:
    interactions = [Interaction(user_id="7", item=item) for item in HISTORY]
    recorded = await stub.RecordInteractions(pb.RecordInteractionsRequest(interactions=interactions))
    assert recorded.recorded == 3

    given = await stub.Explain(pb.ExplainRequest(history=HISTORY))
    taken = await stub.Explain(pb.ExplainRequest(user_id="7"))
    assert (taken.history, taken.reason) == (given.history, given.reason)
    listed = await stub.Recommend(pb.RecommendRequest(user_id="7", k=1))
    assert listed.items[0].item == "t"
    both = await stub.RecommendAndExplain(pb.RecommendAndExplainRequest(user_id="7", k=2))
    assert len(both.explanations) == 2

    # The record keeps what was used, whatever is recorded later.
    later = Interaction(user_id="7", item="d")
    await stub.RecordInteractions(pb.RecordInteractionsRequest(interactions=[later]))
    assert list((await stub.Explain(pb.ExplainRequest(user_id="7"))).history) == ["b", "c", "d"]
    stored = repository.get(UUID(taken.id))
    assert stored is not None
    assert stored.explanation.history == tuple(HISTORY)


async def test_recording_again_changes_nothing(stub: ExplanationServiceStub) -> None:
    one = Interaction(user_id="7", item="a")
    one.time.FromSeconds(1_700_000_000)
    request = pb.RecordInteractionsRequest(interactions=[one, one])
    assert (await stub.RecordInteractions(request)).recorded == 1
    assert (await stub.RecordInteractions(request)).recorded == 0


BAD = {
    "nothing recorded": ("Explain", pb.ExplainRequest(user_id="nobody"), "history"),
    "neither history nor user": ("Explain", pb.ExplainRequest(), "history"),
    "control character": ("Recommend", pb.RecommendRequest(user_id="a\0"), "user_id"),
    "no user": (
        "RecordInteractions",
        pb.RecordInteractionsRequest(interactions=[Interaction(item="a")]),
        "interactions[0].user_id",
    ),
    "no item": (
        "RecordInteractions",
        pb.RecordInteractionsRequest(interactions=[Interaction(user_id="a")]),
        "interactions[0].item",
    ),
    "too many": (
        "RecordInteractions",
        pb.RecordInteractionsRequest(interactions=[Interaction(user_id="a", item="b")] * 10_001),
        "interactions",
    ),
    "erase nobody": ("EraseUser", pb.EraseUserRequest(), "user_id"),
    "long reason": ("EraseUser", pb.EraseUserRequest(user_id="7", reason="x" * 501), "reason"),
    "replay of no name": ("ReplayExplanation", pb.ReplayExplanationRequest(name="x"), "name"),
}


@pytest.mark.parametrize(("method", "request_message", "field"), BAD.values(), ids=BAD.keys())
async def test_bad_input_is_named(
    stub: ExplanationServiceStub, method: str, request_message: object, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(stub, method)(request_message)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().endswith(".")
    violations = error_details_pb2.BadRequest()
    rpc_status.from_call(caught.value).details[1].Unpack(violations)
    assert [violation.field for violation in violations.field_violations] == [field]


async def test_erasing_a_user(stub: ExplanationServiceStub, database: storage.Database) -> None:
    name = (await stub.Explain(pb.ExplainRequest(history=HISTORY, user_id="7"))).name
    other = (await stub.Explain(pb.ExplainRequest(history=HISTORY, user_id="8"))).name
    erased = await stub.EraseUser(
        pb.EraseUserRequest(user_id="7", reason="asked"), metadata=[("becausal-actor", "clerk@example.com")]
    )
    assert erased.explanations == 1
    (document,) = documents(database, Kind.ERASURE)
    assert (document["actor"], document["entries"]) == ("clerk@example.com", [name.partition("/")[2]])
    assert len(erased.erasure_entry_ids) == 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetExplanation(pb.GetExplanationRequest(name=name))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert (await stub.GetExplanation(pb.GetExplanationRequest(name=other))).name == other


async def test_a_legal_hold_is_a_failed_precondition(stub: ExplanationServiceStub, database: storage.Database) -> None:
    storage.Erasure(database).hold("7", actor="court", reason="case")
    with pytest.raises(grpc.aio.AioRpcError, match="legal hold") as caught:
        await stub.EraseUser(pb.EraseUserRequest(user_id="7"))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    unmet = error_details_pb2.PreconditionFailure()
    rpc_status.from_call(caught.value).details[1].Unpack(unmet)
    assert [violation.type for violation in unmet.violations] == ["LEGAL_HOLD"]


async def test_reads_are_recorded_with_who_and_what(stub: ExplanationServiceStub, database: storage.Database) -> None:
    name = (await stub.Explain(pb.ExplainRequest(history=HISTORY, user_id="7"))).name
    who = [("becausal-actor", "auditor")]
    await stub.GetExplanation(pb.GetExplanationRequest(name=name), metadata=who)
    await stub.ListExplanations(pb.ListExplanationsRequest(filter='user_id = "7"'), metadata=who)
    await stub.ReplayExplanation(pb.ReplayExplanationRequest(name=name))
    reads = documents(database, Kind.READ)
    assert [(read["action"], read["subject"]) for read in reads] == [
        ("get", name),
        ("list", 'user_id = "7"'),
        ("replay", name),
    ]
    assert [read["actor"] for read in reads[:2]] == ["auditor", "auditor"]
    assert "127.0.0.1" in str(reads[2]["actor"])
    # What a read says about a user goes with the user.
    await stub.EraseUser(pb.EraseUserRequest(user_id="7"))
    assert [read["action"] for read in documents(database, Kind.READ) if read] == ["get", "replay"]


async def test_recording_reads_can_be_switched_off(repository: storage.ExplanationRepository) -> None:
    async with serving(repository, audit={"record_reads": False}) as channel:
        await ExplanationServiceStub(channel).ListExplanations(pb.ListExplanationsRequest())
    assert documents(repository._database, Kind.READ) == []


async def test_proofs_lead_to_the_signed_checkpoint(repository: storage.ExplanationRepository, tmp_path: Path) -> None:
    signer = Signer.new("becausal.test")
    write_key(tmp_path / "key", signer)
    settings = {"key_file": tmp_path / "key", "origin": "becausal.test", "sequence_seconds": 0.02}
    async with serving(repository, audit=settings) as channel:
        stub, audit = ExplanationServiceStub(channel), AuditServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await audit.GetCheckpoint(audit_pb.GetCheckpointRequest())
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        names = [(await stub.Explain(pb.ExplainRequest(history=HISTORY))).name]
        first = await newest(audit, 1)
        names += [(await stub.Explain(pb.ExplainRequest(history=HISTORY))).name for _ in range(4)]
        last = await newest(audit, 5)
        body = signer.verifier.opened(last.note)
        assert Checkpoint.parse(body or "") == Checkpoint("becausal.test", 5, last.root)
        for name in names:
            proof = await audit.GetInclusionProof(audit_pb.GetInclusionProofRequest(name=name))
            leaf = entry_leaf(UUID(proof.id), proof.kind, proof.commitment)
            assert verify_inclusion(leaf, proof.index, proof.checkpoint.size, proof.hashes, proof.checkpoint.root)
        grown = await audit.GetConsistencyProof(audit_pb.GetConsistencyProofRequest(old_size=first.size))
        assert verify_consistency(first.size, grown.new_size, first.root, last.root, grown.hashes)
        for call in (
            audit.GetInclusionProof(audit_pb.GetInclusionProofRequest(name=f"explanations/{storage.new_id()}")),
            audit.GetConsistencyProof(audit_pb.GetConsistencyProofRequest(old_size=99)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await audit.GetInclusionProof(audit_pb.GetInclusionProofRequest(name="x"))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def newest(audit: AuditServiceStub, size: int) -> audit_pb.Checkpoint:
    """The checkpoint, once it covers so many entries."""
    for _ in range(500):
        try:
            checkpoint = await audit.GetCheckpoint(audit_pb.GetCheckpointRequest())
        except grpc.aio.AioRpcError:
            checkpoint = audit_pb.Checkpoint()
        if checkpoint.size >= size:
            return checkpoint
        await asyncio.sleep(0.01)
    pytest.fail(f"the log did not come to {size} entries")


async def test_calls_side_by_side_share_commits(repository: storage.ExplanationRepository) -> None:
    async with serving(repository) as channel:
        stub = ExplanationServiceStub(channel)
        answers = await asyncio.gather(*(stub.Explain(pb.ExplainRequest(history=HISTORY)) for _ in range(30)))
    assert {UUID(answer.id) for answer in answers} == set(repository.ids())


async def test_best_effort_answers_although_nothing_can_be_stored(
    repository: storage.ExplanationRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise storage.DatabaseUnavailableError("gone")

    async with serving(repository, audit={"mode": "best_effort"}) as channel:
        monkeypatch.setattr(storage.Database, "writing", down)
        assert (await ExplanationServiceStub(channel).Explain(pb.ExplainRequest(history=HISTORY))).name
