"""Every rule of the protocol, on both sides of its border; and no request field without a rule by oversight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from becausal.errors import failure_of
from becausal.v1 import audit_service_pb2 as audit_pb
from becausal.v1 import explanation_pb2 as explanation_pb
from becausal.v1 import explanation_service_pb2 as pb
from becausal.v1 import model_service_pb2 as model_pb
from explainer.errors import InvalidParameterError
from explainer.settings import Settings
from server.errors import InvalidFieldsError
from server.rpc.messages import settings_from
from server.rpc.validating import FILES, check

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

    from becausal.v1.explanation_service_pb2_grpc import ExplanationServiceStub

ID = "01a20b93-fd93-77a3-a145-947af1830b03"
MODEL = "models/" + 32 * "0f"
Interaction = pb.RecordInteractionsRequest.Interaction


def options(**given_: Any) -> pb.ExplainRequest:
    return pb.ExplainRequest(options=explanation_pb.ExplainOptions(**given_))


def interaction(**given_: Any) -> pb.RecordInteractionsRequest:
    one = {"user_id": "u", "item": "a"} | given_
    return pb.RecordInteractionsRequest(interactions=[Interaction(user_id="u", item="a"), Interaction(**one)])


RULES: list[tuple[str, Message, Message]] = [
    ("k", pb.RecommendRequest(k=1), pb.RecommendRequest(k=0)),
    ("k", pb.RecommendAndExplainRequest(k=1), pb.RecommendAndExplainRequest(k=-1)),
    ("request_id", pb.ExplainRequest(request_id=ID), pb.ExplainRequest(request_id="7")),
    ("request_id", pb.RecommendAndExplainRequest(), pb.RecommendAndExplainRequest(request_id="x" * 36)),
    ("options.intervention", options(intervention=4), options(intervention=5)),
    ("options.top_k", options(top_k=1), options(top_k=0)),
    ("options.max_size", options(max_size=1), options(max_size=0)),
    ("options.max_rows", options(max_rows=1), options(max_rows=0)),
    ("options.alpha", options(alpha=1e-9), options(alpha=0)),
    ("options.alpha", options(alpha=0.999), options(alpha=1)),
    ("options.alpha", options(), options(alpha=float("nan"))),
    ("options.n_samples", options(n_samples=5), options(n_samples=4)),
    ("options.max_radius", options(max_radius=0), options(max_radius=-1)),
    ("options.min_effect", options(min_effect=0), options(min_effect=-1e-9)),
    ("options.min_effect", options(), options(min_effect=float("inf"))),
    ("options.min_stability", options(min_stability=1), options(min_stability=1.01)),
    ("options.max_tests", options(max_tests=1), options(max_tests=0)),
    ("requests", pb.BatchExplainRequest(requests=[options(alpha=2)]), pb.BatchExplainRequest()),
    ("id", pb.StreamExplainRequest(id="x" * 256, request=options(alpha=2)), pb.StreamExplainRequest(id="x" * 257)),
    ("history", pb.WhatIfRequest(history=["a"]), pb.WhatIfRequest()),
    ("remove[1]", pb.WhatIfRequest(history=["a"], remove=[0]), pb.WhatIfRequest(history=["a"], remove=[0, -1])),
    ("intervention", pb.WhatIfRequest(history=["a"]), pb.WhatIfRequest(history=["a"], intervention=9)),
    ("k", pb.WhatIfRequest(history=["a"], k=1), pb.WhatIfRequest(history=["a"], k=0)),
    ("name", pb.GetExplanationRequest(name=f"explanations/{ID}"), pb.GetExplanationRequest(name=ID)),
    ("name", pb.GetExplanationRequest(name=f"explanations/{ID.upper()}"), pb.GetExplanationRequest()),
    ("view", pb.GetExplanationRequest(name=f"explanations/{ID}", view=2), pb.GetExplanationRequest(name=ID, view=3)),
    ("page_size", pb.ListExplanationsRequest(page_size=0), pb.ListExplanationsRequest(page_size=-1)),
    ("view", pb.ListExplanationsRequest(view=1), pb.ListExplanationsRequest(view=7)),
    ("name", pb.ReplayExplanationRequest(name=f"explanations/{ID}"), pb.ReplayExplanationRequest(name="explanations/")),
    ("user_id", pb.EraseUserRequest(user_id="u"), pb.EraseUserRequest()),
    ("reason", pb.EraseUserRequest(user_id="u", reason="x" * 500), pb.EraseUserRequest(user_id="u", reason="x" * 501)),
    ("interactions[1].user_id", interaction(), interaction(user_id="")),
    ("interactions[1].item", interaction(), interaction(item="")),
    ("interactions[1].time", interaction(time={"seconds": 1}), interaction(time={"seconds": 1 << 60})),
    ("name", audit_pb.GetInclusionProofRequest(name=ID), audit_pb.GetInclusionProofRequest(name="entry")),
    ("old_size", audit_pb.GetConsistencyProofRequest(), audit_pb.GetConsistencyProofRequest(old_size=-1)),
    ("page_size", model_pb.ListModelsRequest(page_size=0), model_pb.ListModelsRequest(page_size=-1)),
    ("name", model_pb.GetModelRequest(name=MODEL), model_pb.GetModelRequest(name=MODEL[:-1])),
    ("name", model_pb.ActivateModelRequest(name=MODEL), model_pb.ActivateModelRequest(name=MODEL + "/..")),
    ("new_size", audit_pb.GetConsistencyProofRequest(new_size=0), audit_pb.GetConsistencyProofRequest(new_size=-1)),
]

FREE = {
    # Limits of these are settings, or they may hold anything.
    "becausal.v1.RecommendRequest": {"history", "user_id"},
    "becausal.v1.ExplainRequest": {"history", "user_id", "item", "options"},
    "becausal.v1.RecommendAndExplainRequest": {"history", "user_id", "options"},
    "becausal.v1.WhatIfRequest": {"add"},
    "becausal.v1.ListExplanationsRequest": {"page_token", "filter"},
    "becausal.v1.RecordInteractionsRequest": {"interactions"},
    "becausal.v1.ListModelsRequest": {"page_token"},
    "becausal.v1.ActivateModelRequest": {"validate_only"},
    "becausal.v1.ExplainOptions": {"temporal", "exhaust", "language_code", "verb"},
}


@pytest.mark.parametrize(
    ("field", "kept", "broken"), RULES, ids=[f"{type(broken).__name__}.{field}" for field, _, broken in RULES]
)
def test_a_rule_is_kept_and_broken(field: str, kept: Message, broken: Message) -> None:
    check(kept)
    with pytest.raises(InvalidFieldsError) as caught:
        check(broken)

    found = {problem.field: problem.text for problem in caught.value.problems}
    assert field in found
    assert found[field].startswith(field.rpartition(".")[2].partition("[")[0] if field == "name" else field)
    assert found[field].endswith(".")


def requests() -> list[Descriptor]:
    """Every message that a caller sends, those inside others among them."""
    found: dict[str, Descriptor] = {}
    waiting = [
        method.input_type
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]
    while waiting:
        one = waiting.pop()
        if one.full_name not in found and one.full_name.startswith("becausal."):
            found[one.full_name] = one
            waiting += [field.message_type for field in one.fields if field.message_type is not None]
    return list(found.values())


@pytest.mark.parametrize("message", requests(), ids=lambda message: message.name)
def test_every_field_has_a_rule_or_is_free_on_purpose(message: Descriptor) -> None:
    # An option that this process does not know is bytes that it keeps.
    ruled = {field.name for field in message.fields if field.GetOptions().SerializeToString()}

    assert ruled ^ {field.name for field in message.fields} == FREE.get(message.full_name, set())


@given(
    st.builds(
        explanation_pb.ExplainOptions,
        top_k=st.integers(-3, 3),
        max_size=st.integers(-3, 3),
        max_rows=st.integers(-3, 3),
        alpha=st.floats(),
        n_samples=st.integers(0, 8),
        max_radius=st.integers(-3, 3),
        max_tests=st.integers(-3, 3),
        min_effect=st.floats(),
        min_stability=st.floats(),
    )
)
def test_the_protocol_and_the_explainer_agree(given_: explanation_pb.ExplainOptions) -> None:
    try:
        settings_from(given_, Settings())
        refused = set()
    except InvalidParameterError as error:
        refused = {f"options.{error.parameter}"}
    try:
        check(pb.ExplainRequest(options=given_))
        told = set()
    except InvalidFieldsError as error:
        told = {problem.field for problem in error.problems}

    # An infinite floor is a floor to the explainer, and a slip on the wire.
    assert refused <= told
    assert bool(refused) == bool(told - {"options.min_effect"}) or "options.min_effect" in told


async def test_every_broken_rule_is_told_at_once(stub: ExplanationServiceStub) -> None:
    request = pb.ExplainRequest(
        history=["a"], request_id="x", options=explanation_pb.ExplainOptions(alpha=3, max_size=0)
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Explain(request)

    failure = failure_of(caught.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert {one.field: one.description for one in failure.violations} == {
        "options.alpha": "options.alpha must be greater than 0 and less than 1.",
        "options.max_size": "options.max_size must be greater than or equal to 1.",
        "request_id": "request_id must be a valid UUID.",
    }


async def test_what_breaks_a_rule_inside_a_batch_is_that_requests_problem(stub: ExplanationServiceStub) -> None:
    good = pb.ExplainRequest(history=["a", "b"])
    bad = pb.ExplainRequest(history=["a", "b"], options=explanation_pb.ExplainOptions(alpha=3))
    results = (await stub.BatchExplain(pb.BatchExplainRequest(requests=[bad, good]))).results
    streamed = {
        answer.id: answer.result
        async for answer in stub.StreamExplain(
            iter([pb.StreamExplainRequest(id="bad", request=bad), pb.StreamExplainRequest(id="good", request=good)])
        )
    }

    for failed, answered in (results, (streamed["bad"], streamed["good"])):
        assert [one.field for one in failed.problem.violations] == ["options.alpha"]
        assert answered.HasField("explanation")
