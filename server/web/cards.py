"""The small card that a product shows beside an item, as HTML and as JSON; and a page that shows a row of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from starlette.responses import JSONResponse

from explainer.explanation import Status
from server.application import Patience
from server.errors import ExplanationNotFoundError

if TYPE_CHECKING:
    from starlette.responses import Response

    from explainer.explanation import Explanation
    from server.web.site import Site, Visit

ROW = 4


def card(site: Site, visit: Visit) -> Response:
    """The card of a stored explanation: a fragment without a page around it, or JSON when that is accepted."""
    try:
        explanation_id = UUID(visit.parts["id"])
    except ValueError:
        raise ExplanationNotFoundError("name", "There is no explanation of that name.") from None
    site.note(visit, "card", f"explanations/{explanation_id}")
    facts = facts_of(site.application.get(explanation_id).explanation)
    return JSONResponse(facts) if visit.accepts_json else site.page(visit, "_card.html", card=facts)


def demo(site: Site, visit: Visit) -> Response:
    """A row of recommendations with their cards, for a history; nothing is stored."""
    history = [item for item in visit.asked("history").replace(",", " ").split() if item]
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
