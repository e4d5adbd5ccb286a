"""Every call over a real channel: good answers, and one clear sentence for each bad request."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING
from uuid import UUID

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import storage
from becausal.v1 import explanation_pb2 as pb
from becausal.v1 import explanation_service_pb2 as service_pb
from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from fakes import FakeRecommender, SlowRecommender
from server.config import Limits
from serving import serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from explainer.model import ScoredItem
    from fakes import FakeRanking

HISTORY = ["a", "b", "c"]


def explain_request(**changes: object) -> service_pb.ExplainRequest:
    return service_pb.ExplainRequest(**({"history": HISTORY} | changes))


async def test_recommend_ranks_without_the_history(stub: ExplanationServiceStub) -> None:
    response = await stub.Recommend(service_pb.RecommendRequest(history=HISTORY, k=2))

    assert [(item.item, item.title, item.rank) for item in response.items] == [("t", "Them!", 1), ("r", "Ran", 2)]
    assert response.model_version == "sha256:fake"


async def test_recommend_says_what_it_left_out(stub: ExplanationServiceStub) -> None:
    response = await stub.Recommend(service_pb.RecommendRequest(history=["a", "nope", "b", "c", "d", "nope"]))

    assert list(response.unknown_items) == ["nope"]
    assert response.truncated == 1


async def test_explain_is_stored_before_it_is_answered(
    stub: ExplanationServiceStub, repository: storage.ExplanationRepository
) -> None:
    explanation = await stub.Explain(explain_request(user_id="42"))

    stored = repository.get(UUID(explanation.id))
    assert stored is not None
    assert stored.user_id == "42"
    assert stored.explanation.reason == explanation.reason == "Because you watched Alien"
    assert explanation.name == f"explanations/{explanation.id}"
    assert UUID(explanation.id).version == 7


async def test_explain_answers_in_full(stub: ExplanationServiceStub) -> None:
    explanation = await stub.Explain(explain_request())

    assert explanation.status == pb.Explanation.EXPLAINED
    assert list(explanation.history) == HISTORY
    assert (explanation.causes[0].item, explanation.causes[0].position) == ("a", 0)
    assert explanation.causes[0].effect.score == -2.0
    assert list(explanation.counterfactual.removed) == [0]
    assert explanation.counterfactual.replacement.title == "Ran"
    assert explanation.certificate.exhaustive_below == 1
    assert len(explanation.effects) == 3
    assert len(explanation.graphs) == 2
    assert explanation.options.n_samples == 64
    assert set(explanation.digests) == {"inputs", "attention"}


async def test_options_of_the_request_win_over_the_servers(repository: storage.ExplanationRepository) -> None:
    async with serving(repository, explain={"max_size": 2, "alpha": 0.05}) as channel:
        options = pb.ExplainOptions(alpha=0.1, temporal=False, intervention=pb.ExplainOptions.DELETE)
        explanation = await ExplanationServiceStub(channel).Explain(explain_request(options=options))

    assert (explanation.options.alpha, explanation.options.max_size) == (0.1, 2)
    assert explanation.intervention == pb.ExplainOptions.DELETE


async def test_a_negative_answer_is_a_value(stub: ExplanationServiceStub) -> None:
    explanation = await stub.Explain(explain_request(history=["c"]))

    assert explanation.status == pb.Explanation.NO_COUNTERFACTUAL
    assert not explanation.causes
    assert not explanation.HasField("counterfactual")


async def test_recommend_and_explain_explains_each_of_the_list(
    stub: ExplanationServiceStub, repository: storage.ExplanationRepository
) -> None:
    response = await stub.RecommendAndExplain(service_pb.RecommendAndExplainRequest(history=HISTORY, k=2))

    assert [explanation.target.item for explanation in response.explanations] == ["t", "r"]
    assert {explanation.options.top_k for explanation in response.explanations} == {2}
    assert len(repository.list(storage.ExplanationFilter(), 10)) == 2


async def test_what_if_says_what_moves_and_stores_nothing(
    stub: ExplanationServiceStub, repository: storage.ExplanationRepository
) -> None:
    response = await stub.WhatIf(service_pb.WhatIfRequest(history=HISTORY, remove=[0], add=["d"], k=2))

    assert [item.item for item in response.before] == ["t", "r"]
    assert [item.item for item in response.after] == ["r", "q"]
    assert {moved.item: (moved.rank_before, moved.rank_after) for moved in response.movements}["t"] == (1, 3)
    assert repository.list(storage.ExplanationFilter(), 1) == ()


async def test_a_reason_in_another_language_is_escaped_only_for_html(stub: ExplanationServiceStub) -> None:
    options = pb.ExplainOptions(language_code="de", verb="bought")
    explanation = await stub.Explain(explain_request(options=options))

    assert explanation.reason == "Weil du „Alien“ gekauft hast"
    assert explanation.causes[0].relation_text
    assert (explanation.options.language_code, explanation.options.verb) == ("de", "bought")


async def test_floors_withhold_a_reason_and_say_so(stub: ExplanationServiceStub) -> None:
    explanation = await stub.Explain(explain_request(options=pb.ExplainOptions(min_effect=100)))

    assert explanation.status == pb.Explanation.EXPLAINED
    assert explanation.reason_withheld
    assert "Because" not in explanation.reason


async def test_get_gives_what_explain_gave(stub: ExplanationServiceStub) -> None:
    explanation = await stub.Explain(explain_request())

    assert await stub.GetExplanation(service_pb.GetExplanationRequest(name=explanation.name)) == explanation


async def test_a_basic_view_leaves_the_bulk_out(stub: ExplanationServiceStub) -> None:
    name = (await stub.Explain(explain_request())).name
    request = service_pb.GetExplanationRequest(name=name, view=service_pb.EXPLANATION_VIEW_BASIC)
    basic = await stub.GetExplanation(request)

    assert basic.reason
    assert basic.causes
    assert not basic.history
    assert not basic.graphs


async def test_list_pages_through_all_newest_first(stub: ExplanationServiceStub) -> None:
    made = [(await stub.Explain(explain_request(user_id=user))).name for user in "xyxyx"]
    seen, token = [], ""
    while True:
        request = service_pb.ListExplanationsRequest(page_size=2, page_token=token, filter='user_id = "x"')
        page = await stub.ListExplanations(request)
        seen += [explanation.name for explanation in page.explanations]
        token = page.next_page_token
        if not token:
            break

    assert seen == made[::2][::-1]


BAD = {
    "empty history": ("Explain", explain_request(history=[]), "INVALID_FIELD", "history"),
    "everything there is": ("Explain", explain_request(history=[*"abcdtrq"]), "NOTHING_LEFT", "history"),
    "only unknown items": ("Explain", explain_request(history=["x", "y"]), "NO_KNOWN_ITEMS", "history"),
    "long token": ("Explain", explain_request(history=["a" * 999]), "INVALID_FIELD", "history[0]"),
    "control character": ("Explain", explain_request(user_id="a\0b"), "INVALID_FIELD", "user_id"),
    "unknown target": ("Explain", explain_request(item="nope"), "ITEM_NOT_IN_CATALOGUE", "item"),
    "target in history": ("Explain", explain_request(item="a"), "ITEM_IN_HISTORY", "item"),
    "target before the window": (
        "Explain",
        explain_request(history=["d", *HISTORY], item="d"),
        "ITEM_IN_HISTORY",
        "item",
    ),
    "target outside top_k": (
        "Explain",
        explain_request(item="q", options=pb.ExplainOptions(top_k=1)),
        "ITEM_OUTSIDE_TOP_K",
        "item",
    ),
    "alpha": ("Explain", explain_request(options=pb.ExplainOptions(alpha=2)), "INVALID_FIELD", "options.alpha"),
    "max_size over the cap": (
        "Explain",
        explain_request(options=pb.ExplainOptions(max_size=99)),
        "INVALID_FIELD",
        "options.max_size",
    ),
    "intervention": (
        "Explain",
        explain_request(options=pb.ExplainOptions(intervention=99)),
        "INVALID_FIELD",
        "options.intervention",
    ),
    "language": (
        "Explain",
        explain_request(options=pb.ExplainOptions(language_code="xx")),
        "INVALID_FIELD",
        "options.language_code",
    ),
    "verb": ("Explain", explain_request(options=pb.ExplainOptions(verb="smelled")), "INVALID_FIELD", "options.verb"),
    "what-if position": ("WhatIf", service_pb.WhatIfRequest(history=HISTORY, remove=[3]), "INVALID_FIELD", "remove"),
    "what-if k": ("WhatIf", service_pb.WhatIfRequest(history=HISTORY, k=0), "INVALID_FIELD", "k"),
    "k = 0": ("Recommend", service_pb.RecommendRequest(history=HISTORY, k=0), "INVALID_FIELD", "k"),
    "k over the cap": ("Recommend", service_pb.RecommendRequest(history=HISTORY, k=101), "INVALID_FIELD", "k"),
    "k over the cap of explanations": (
        "RecommendAndExplain",
        service_pb.RecommendAndExplainRequest(history=HISTORY, k=21),
        "INVALID_FIELD",
        "k",
    ),
    "top_k below k": (
        "RecommendAndExplain",
        service_pb.RecommendAndExplainRequest(history=HISTORY, k=2, options=pb.ExplainOptions(top_k=1)),
        "INVALID_FIELD",
        "options.top_k",
    ),
    "page token": (
        "ListExplanations",
        service_pb.ListExplanationsRequest(page_token="x"),
        "INVALID_PAGE_TOKEN",
        "page_token",
    ),
    "filter": ("ListExplanations", service_pb.ListExplanationsRequest(filter="x"), "INVALID_FILTER", "filter"),
    "page size": ("ListExplanations", service_pb.ListExplanationsRequest(page_size=-1), "INVALID_FIELD", "page_size"),
    "name": ("GetExplanation", service_pb.GetExplanationRequest(name="explanations/7"), "INVALID_FIELD", "name"),
}


@pytest.mark.parametrize(("method", "request_message", "reason", "field"), BAD.values(), ids=BAD.keys())
async def test_bad_input_gets_one_sentence_and_writes_nothing(
    stub: ExplanationServiceStub,
    repository: storage.ExplanationRepository,
    method: str,
    request_message: object,
    reason: str,
    field: str,
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(stub, method)(request_message)

    error = caught.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().endswith(".")
    info, bad_request = details_of(error)
    assert (info.reason, info.domain) == (reason, "becausal")
    assert [violation.field for violation in bad_request.field_violations] == [field]
    assert repository.list(storage.ExplanationFilter(), 1) == ()


def details_of(error: grpc.aio.AioRpcError) -> list[object]:
    kinds = {kind.DESCRIPTOR.full_name: kind for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest)}
    unpacked = []
    for detail in rpc_status.from_call(error).details:
        message = kinds[detail.TypeName()]()
        detail.Unpack(message)
        unpacked.append(message)
    return unpacked


async def test_unknown_items_can_be_made_fatal(repository: storage.ExplanationRepository) -> None:
    async with serving(repository, refuse_unknown_items=True) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="does not know") as caught:
            await ExplanationServiceStub(channel).Explain(explain_request(history=["a", "nope"]))
    assert details_of(caught.value)[0].reason == "UNKNOWN_ITEMS"


async def test_what_is_not_there_is_not_found(stub: ExplanationServiceStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetExplanation(service_pb.GetExplanationRequest(name=f"explanations/{UUID(int=7)}"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


class BrokenRecommender(FakeRecommender):
    def top(self, *_: object, **__: object) -> tuple:
        raise RuntimeError("secret inside")


async def test_a_fault_tells_the_client_nothing_and_the_log_everything(
    repository: storage.ExplanationRepository, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(repository, BrokenRecommender()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ExplanationServiceStub(channel).Recommend(service_pb.RecommendRequest(history=HISTORY))

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in caught.value.details()
    assert "secret inside" in caplog.text


async def test_a_dead_database_is_unavailable_and_nothing_is_answered(
    stub: ExplanationServiceStub, database: storage.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise storage.DatabaseUnavailableError("db.internal:5432 does not answer")

    monkeypatch.setattr(storage.Database, "writing", down)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Explain(explain_request())

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "db.internal" not in caught.value.details()
    assert database is not None


async def test_a_cancelled_call_stops_at_the_next_batch(repository: storage.ExplanationRepository) -> None:
    slow = SlowRecommender()
    async with serving(repository, slow) as channel:
        call = ExplanationServiceStub(channel).RecommendAndExplain(
            service_pb.RecommendAndExplainRequest(history=HISTORY, k=3)
        )
        await asyncio.sleep(0.3)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    assert slow.batches < 6
    assert repository.list(storage.ExplanationFilter(), 1) == ()


class BusyRecommender(FakeRecommender):
    """Its thread is busy until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.let = threading.Event(), threading.Event()
        self.asked = 0

    def answers(self, asked: Sequence[FakeRanking]) -> list[tuple[ScoredItem, ...]]:
        self.asked += len(asked)
        self.begun.set()
        assert self.let.wait(30)
        return super().answers(asked)


async def test_recommendations_whose_callers_went_are_not_computed(repository: storage.ExplanationRepository) -> None:
    busy = BusyRecommender()
    request = service_pb.RecommendRequest(history=HISTORY)
    async with serving(repository, busy) as channel:
        stub = ExplanationServiceStub(channel)
        first = asyncio.create_task(asyncio.wait_for(stub.Recommend(request), 30))
        assert await asyncio.to_thread(busy.begun.wait, 30)
        leaving = [stub.Recommend(request, timeout=0.2) for _ in range(3)]
        for call in leaving:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        staying = asyncio.create_task(asyncio.wait_for(stub.Recommend(request), 30))
        await asyncio.sleep(0.2)
        busy.let.set()
        assert await first == await staying

    assert busy.asked == 2


async def test_a_recommendation_that_takes_longer_than_the_server_allows_is_given_up(
    repository: storage.ExplanationRepository,
) -> None:
    busy = BusyRecommender()
    limits = Limits(seconds=0.2, default_seconds=0.2)
    async with serving(repository, busy, limits=limits) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ExplanationServiceStub(channel).Recommend(service_pb.RecommendRequest(history=HISTORY), timeout=30)
        busy.let.set()

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "more time" in caught.value.details()
