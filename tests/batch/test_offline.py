"""What a worker makes is what the service makes of the same request, and two models are told apart."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import storage
from batch.files import read_rows
from batch.folder import RunIdentity
from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1.explanation_pb2 import ExplainOptions
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from explainer.explanation import Status
from recommender import Recommender, load_bundle
from server.config import Config
from server.errors import InvalidFieldError, NoKnownItemsError
from server.offline import SAME, Asking, Comparing, Explaining, change_of
from serving import serving
from small_models import TOKENS, bundle
from storage.records import decode
from storage_examples import record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HISTORIES = {
    "1": ["168", "50", "172", "181", "1", "7", "174", "195"],
    "2": ["286", "nope", "258", "50", "300"],
    "3": [str(number) for number in range(1, 70)],
}
RUN = RunIdentity("a-run", datetime(2026, 11, 27, 6, 0, tzinfo=UTC))
SETTINGS = Config().model_dump(mode="json")


def comparable(payload: str) -> dict[str, Any]:
    """A document without its id, whose first half is the time, and without how long it took."""
    content: dict[str, Any] = json.loads(payload)
    assert content["record"].pop("id")
    for name in ("recommend_ms", "graph_ms", "search_ms"):
        assert content["record"]["explanation"]["cost"].pop(name) > 0
    return content


def canonical(payload: str) -> str:
    return json.dumps(comparable(payload))


@pytest.mark.parametrize(("k", "top_k"), [(1, None), (1, 3), (2, None)])
async def test_documents_are_those_of_the_service(
    k: int, top_k: int | None, demo_bundle: Path, postgres_copy: str
) -> None:
    with storage.Database(postgres_copy) as database:
        repository = storage.ExplanationRepository(database)
        options = ExplainOptions(top_k=top_k)
        async with serving(repository, Recommender(load_bundle(demo_bundle))) as channel:
            stub = ExplanationServiceStub(channel)
            for user, history in HISTORIES.items():
                if k == 1:
                    await stub.Explain(pb.ExplainRequest(history=history, user_id=user, options=options))
                else:
                    request = pb.RecommendAndExplainRequest(history=history, user_id=user, k=k)
                    await stub.RecommendAndExplain(request)
        served = payloads(database)
        work = Explaining(
            bundle=demo_bundle,
            asking=Asking(settings=SETTINGS, k=k, top_k=top_k),
            database_url=postgres_copy,
        ).open(RUN)
        answers = [work.answer(user, history) for user, history in HISTORIES.items()]
        for _ in range(2):
            work.keep([row for answer in answers for row in answer.rows])
        stored = payloads(database) - served

    assert sorted(map(canonical, stored)) == sorted(map(canonical, served))
    assert stored == {row["payload"] for answer in answers for row in answer.rows}
    assert len(stored) == k * len(HISTORIES)


def payloads(database: storage.Database) -> set[str]:
    with database.reading() as connection:
        return set(connection.exec_driver_sql("SELECT payload FROM explanations").scalars())


def test_a_user_has_the_same_id_in_the_same_run_and_place(demo_bundle: Path) -> None:
    work = Explaining(bundle=demo_bundle, asking=Asking(settings=SETTINGS, k=2))
    ids = [[row["id"] for row in work.open(run).answer(user, HISTORIES["1"]).rows] for run, user in (
        (RUN, "1"), (RUN, "1"), (RUN, "2"), (replace(RUN, id="another"), "1"),
    )]  # fmt: skip

    assert ids[0] == ids[1]
    assert len({one for pair in ids for one in pair}) == 6
    assert decode(work.open(RUN).answer("1", HISTORIES["1"]).rows[0]["payload"]).create_time == RUN.start


def test_what_the_service_would_refuse_is_raised(demo_bundle: Path) -> None:
    work = Explaining(bundle=demo_bundle, asking=Asking(settings=SETTINGS)).open(RUN)

    with pytest.raises(NoKnownItemsError):
        work.answer("1", ["nope"])
    with pytest.raises(InvalidFieldError, match="user_id"):
        work.answer("", HISTORIES["1"])
    with pytest.raises(InvalidFieldError, match="history is empty"):
        work.answer("1", [])


def test_a_model_does_not_differ_from_itself(demo_bundle: Path) -> None:
    work = Comparing(old=demo_bundle, new=demo_bundle, asking=Asking(settings=SETTINGS)).open(RUN)
    answer = work.answer("1", HISTORIES["1"])
    work.keep(answer.rows)

    assert (answer.rows, answer.outcomes) == ((), (SAME,))


def test_the_first_difference_names_the_change() -> None:
    old = record(cause_items=["a"]).explanation
    others = {
        "SAME": old,
        "OTHER_WORDS": replace(old, reason="other"),
        "OTHER_CAUSES": replace(record(cause_items=["b"]).explanation, reason="other"),
        "OTHER_STATUS": replace(old, status=Status.NO_COUNTERFACTUAL, causes=()),
        "OTHER_ITEM": replace(old, status=Status.NO_COUNTERFACTUAL, target=replace(old.target, item="other")),
    }

    assert {change_of(old, new) for new in others.values()} == set(others)
    assert all(change_of(old, new) == change for change, new in others.items())


def test_two_models_are_compared_over_all_histories(
    run_here: Callable[..., dict[str, Any]], write_lists: Callable[..., Path], tmp_path: Path
) -> None:
    old, new = (bundle(tmp_path, seed).path for seed in (1, 2))
    histories = {f"u{number}": TOKENS[1 + number : 4 + number] for number in range(8)}
    asking = Asking(settings=SETTINGS)

    report = run_here(write_lists(histories), tmp_path / "out", Comparing(old=old, new=new, asking=asking))

    rows = [row for path in (tmp_path / "out" / "differences").iterdir() for row in read_rows(path)]
    counted = Counter(row["change"] for row in rows)
    assert report["users"]["answered"] == 8
    assert counted
    assert report["outcomes"] == {**counted, **({SAME: 8 - len(rows)} if len(rows) < 8 else {})}
    for row in rows:
        for side, path in (("old", old), ("new", new)):
            (answer,) = (
                Explaining(bundle=path, asking=asking).open(RUN).answer(row["user_id"], histories[row["user_id"]]).rows
            )
            assert row[f"{side}_target_item"] == answer["target_item"]
            assert row[f"{side}_reason"] == answer["reason"]
