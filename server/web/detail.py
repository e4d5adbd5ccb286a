"""One explanation on one page, computed again or proved on demand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson
from starlette.responses import Response

from becausal.audit.entries import entry_leaf
from becausal.audit.merkle import verify_inclusion
from explainer.drawing import LEGEND
from explainer.explanation import Relation
from server.application import Patience
from server.graphs import large, near_target
from server.rpc.messages import explanation_message
from server.web.site import explanation_id
from server.web.timeline import folded, timeline
from server.what_if import Edit
from storage import NoCheckpointError, NotInLogError

if TYPE_CHECKING:
    from explainer.explanation import Explanation
    from server.web.site import Site, Visit
    from server.what_if import WhatIf
    from storage import ExplanationRecord

LIST_LENGTH = 10
"""Items of the recommendations before and after."""

RELATIONS = {
    Relation.CAUSE: "a cause of the recommendation in the model's attention",
    Relation.POSSIBLE_CAUSE: "possibly a cause",
    Relation.HIDDEN_COMMON_CAUSE: "connected through something that the graph does not show",
    Relation.NOT_A_CAUSE: "connected, but the arrow points away",
    Relation.SELECTION: "connected by selection",
    Relation.INDIRECT: "connected through other items",
    Relation.NOT_CONNECTED: "not connected in the graph",
}


def explanation(site: Site, visit: Visit) -> Response:
    """The whole page."""
    record = _read(site, visit, "get")
    told = record.explanation
    message = explanation_message(record)
    graphs = [near_target(message, place) for place in range(len(told.graphs))]
    return site.page(
        visit,
        "explanation.html",
        record=record,
        told=told,
        history=folded(timeline(told)),
        graphs=graphs,
        lists=_lists(site, told),
        relations=RELATIONS,
        legend=LEGEND,
        printed=datetime.now(UTC),
        address=visit.address,
    )


def graph(site: Site, visit: Visit) -> Response:
    """The graph of one head, as much of it as can be drawn."""
    record = _read(site, visit, "get")
    message = explanation_message(record)
    heads = [graph.head for graph in message.graphs]
    if visit.parts["head"] not in map(str, heads):
        return site.message(visit, "No such graph", "The explanation has no graph of that head.", 404)
    picture = large(message, heads.index(int(visit.parts["head"])))
    told = record.explanation
    return site.page(visit, "graph.html", record=record, told=told, picture=picture, heads=heads, legend=LEGEND)


def stored(site: Site, visit: Visit) -> Response:
    """The explanation as JSON, as GetExplanation gives it."""
    record = _read(site, visit, "get")
    return Response(MessageToJson(explanation_message(record)) + "\n", media_type="application/json")


def verified(site: Site, visit: Visit) -> Response:
    """Prove that it stands in the signed log, and check the proof here."""
    record_id = explanation_id(visit.parts["id"])
    site.note(visit, "verify", f"explanations/{record_id}")
    problem, proof, holds = "", None, False
    try:
        proof = site.application.keeping.inclusion(record_id)
        leaf = entry_leaf(proof.entry_id, proof.kind, proof.commitment)
        holds = verify_inclusion(leaf, proof.index, proof.state.size, proof.proof, proof.state.root)
    except (NotInLogError, NoCheckpointError) as error:
        problem = str(error)
    standing = site.application.keeping.standing(record_id)
    template = "_verify.html" if visit.wants_part else "verify.html"
    return site.page(visit, template, proof=proof, holds=holds, problem=problem, standing=standing.value, id=record_id)


def _read(site: Site, visit: Visit, action: str) -> ExplanationRecord:
    record_id = explanation_id(visit.parts["id"])
    site.note(visit, action, f"explanations/{record_id}")
    return site.application.get(record_id)


def _lists(site: Site, told: Explanation) -> WhatIf | None:
    """The recommendations with and without the causes; None where there are none, or another model serves by now."""
    if told.counterfactual is None or site.application.model_version != told.model_version:
        return None
    edit = Edit(told.history, told.counterfactual.removed, (), told.settings.intervention)
    return site.compute(lambda: site.application.what_if(edit, LIST_LENGTH, Patience()))
