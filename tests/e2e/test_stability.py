"""The same request gives the same bytes: beside other calls, on more threads, asked twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import storage
from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from commands import DATA
from explainer import Languages, Settings, Wording, explain
from recommender import Recommender, load_bundle, read_dataset
from serving import observed

if TYPE_CHECKING:
    from pathlib import Path

    from becausal.v1.explanation_pb2 import Explanation
    from explainer import Explanation as StoredExplanation

USERS = ("165", "13", "50", "225", "278", "260", "241", "127")


@pytest.fixture(scope="module")
def histories() -> list[tuple[str, ...]]:
    every = read_dataset(DATA).histories()
    return [every[user][-30:] for user in USERS]


def facts(explanation: Explanation) -> bytes:
    kept = type(explanation)()
    kept.CopyFrom(explanation)
    for changing in ("name", "id", "create_time", "cost"):
        kept.ClearField(changing)
    return kept.SerializeToString(deterministic=True)


@pytest.mark.parametrize("joined", [False, True])
async def test_calls_beside_each_other_get_what_they_get_alone(
    demo_bundle: Path,
    database_file: str,
    histories: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    joined: bool,
) -> None:
    monkeypatch.setattr(Recommender, "side_by_side", not joined)
    recommender = Recommender(load_bundle(demo_bundle))
    with storage.Database(database_file) as database:
        repository = storage.ExplanationRepository(database)
        async with observed(repository, recommender, batching={"cores": 4}) as (channel, seen):
            stub = ExplanationServiceStub(channel)
            requests = [pb.ExplainRequest(history=history) for history in histories]
            together = await asyncio.gather(*(stub.Explain(request) for request in requests))
            questions, passes = (
                seen.metrics.registry.get_sample_value(f"becausal_model_pass_questions_{kind}") or 0
                for kind in ("sum", "count")
            )
            alone = [await stub.Explain(request) for request in reversed(requests)][::-1]

    assert [facts(one) for one in together] == [facts(one) for one in alone]
    assert (questions > passes > 0) is joined


def explained(demo_bundle: Path, histories: list[tuple[str, ...]], threads: int) -> list[StoredExplanation]:
    recommender = Recommender(load_bundle(demo_bundle), threads=threads)
    wording = Wording(recommender.bundle.catalogue.title, Languages())
    return [
        explain(recommender, recommender.window(history), settings=Settings(max_size=2), wording=wording)
        for history in histories[:4]
    ]


def test_more_threads_change_nothing(demo_bundle: Path, histories: list[tuple[str, ...]]) -> None:
    two, one = explained(demo_bundle, histories, 2), explained(demo_bundle, histories, 1)

    for first, second in zip(one, two, strict=True):
        assert replace(first, cost=second.cost) == second
