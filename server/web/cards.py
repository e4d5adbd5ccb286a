"""The small card that a product shows beside an item, as HTML and as JSON; and a page that shows a row of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from explainer.explanation import Status
from server.application import Patience
from server.web.site import explanation_id, tokens_of

if TYPE_CHECKING:
    from starlette.responses import Response

    from explainer.explanation import Explanation
    from server.web.site import Site, Visit

ROW = 4


def card(site: Site, visit: Visit) -> Response:
    """The card of a stored explanation: a fragment without a page around it, or JSON when that is accepted."""
    record_id = explanation_id(visit.parts["id"])
    site.note(visit, "card", f"explanations/{record_id}")
    facts = facts_of(site.application.get(record_id).explanation)
    return JSONResponse(facts) if visit.accepts_json else site.page(visit, "_card.html", card=facts)


def demo(site: Site, visit: Visit) -> Response:
    """A row of recommendations with their cards, for a history; nothing is stored."""
    history = tokens_of(visit.asked("history"))
    cards: list[dict[str, Any]] = []
    if history:
        settings = site.config.explain.settings()
        records = site.compute(lambda: site.application.recommend_and_explain(history, ROW, settings, "", Patience()))
        cards = [facts_of(record.explanation) for record in records]
    return site.page(visit, "demo.html", cards=cards, given=visit.asked("history"))


def facts_of(told: Explanation) -> dict[str, Any]:
    """What a product may show: no more than the reason when that is withheld or nothing was found."""
    shown = told.status is Status.EXPLAINED and not told.reason_withheld and told.counterfactual is not None
    instead = told.counterfactual.replacement if shown and told.counterfactual is not None else None
    return {
        "item": told.target.item,
        "title": told.target.title or told.target.item,
        "reason": told.reason,
        "because": [
            {"item": cause.item, "title": cause.title or cause.item, "relation": cause.relation_text}
            for cause in told.causes
        ]
        if shown
        else [],
        "otherwise": None if instead is None else {"item": instead.item, "title": instead.title or instead.item},
    }
