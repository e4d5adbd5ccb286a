"""One explanation on one page, computed again or proved on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson
from markupsafe import Markup
from starlette.responses import Response

from becausal.audit.entries import entry_leaf
from becausal.audit.merkle import verify_inclusion
from explainer.explanation import Relation
from server.application import Patience
from server.graphs import graph_svg
from server.rpc.messages import explanation_message
from server.web.site import explanation_id
from server.what_if import Edit
from storage import NoCheckpointError, NotInLogError

if TYPE_CHECKING:
    from explainer.explanation import Effect, Explanation
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


@dataclass(frozen=True, slots=True)
class Step:
    """One item of the history, as the timeline shows it."""

    position: int
    item: str
    title: str
    effect: Effect | None
    share: float
    """Size of the effect on the score against the largest one, -1..1; negative: without it the target loses."""

    cause: bool
    common: bool
    """Whether every set that explains has it."""


def explanation(site: Site, visit: Visit) -> Response:
    """The whole page."""
    record = _read(site, visit, "get")
    told = record.explanation
    message = explanation_message(record)
    graphs = [(graph.head, Markup(graph_svg(message, place))) for place, graph in enumerate(told.graphs)]  # noqa: S704 - titles are escaped as it is drawn
    return site.page(
        visit,
        "explanation.html",
        record=record,
        told=told,
        steps=timeline(told),
        graphs=graphs,
        lists=_lists(site, told),
        relations=RELATIONS,
    )


def stored(site: Site, visit: Visit) -> Response:
    """The explanation as JSON, as GetExplanation gives it."""
    record = _read(site, visit, "get")
    return Response(MessageToJson(explanation_message(record)) + "\n", media_type="application/json")


def replayed(site: Site, visit: Visit) -> Response:
    """Compute it again, and say what holds."""
    record_id = explanation_id(visit.parts["id"])
    site.note(visit, "replay", f"explanations/{record_id}")
    replay = site.compute(lambda: site.application.keeping.replay(record_id))
    template = "_replay.html" if visit.wants_part else "replay.html"
    return site.page(visit, template, replay=replay, id=record_id)


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


def timeline(told: Explanation) -> list[Step]:
    """The history with each item's effect, oldest first."""
    effects: list[Effect | None] = list(told.effects) or [None] * len(told.history)
    largest = max((abs(effect.score) for effect in effects if effect is not None), default=0.0) or 1.0
    causes = {cause.position for cause in told.causes}
    return [
        Step(
            position,
            item,
            title or item,
            effect,
            0.0 if effect is None else effect.score / largest,
            position in causes,
            position in told.common,
        )
        for position, (item, title, effect) in enumerate(zip(told.history, told.titles, effects, strict=True))
    ]


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
