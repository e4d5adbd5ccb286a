"""What would be recommended if the history were another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from explainer.settings import Intervention
from server.application import Patience
from server.errors import ExplanationNotFoundError, InvalidFieldError
from server.what_if import Edit

if TYPE_CHECKING:
    from starlette.responses import Response

    from server.web.site import Site, Visit
    from server.what_if import WhatIf

LIST_LENGTH = 10
FOUND = 8
"""Titles that a search shows."""


def show(site: Site, visit: Visit) -> Response:
    """The history with a switch for each item, and both lists. All of it is in the URL."""
    history = _history(site, visit)
    title = site.application.title
    added = [item for item in visit.all_asked("add") if item]
    search = visit.asked("search")
    return site.page(
        visit,
        "_moves.html" if visit.wants_part else "what_if.html",
        history=[(position, item, title(item) or item) for position, item in enumerate(history)],
        removed={int(value) for value in visit.all_asked("off") if value.isdecimal()},
        added=[(item, title(item) or item) for item in added],
        found=[one for one in site.application.search(search, FOUND) if one[0] not in added] if search else [],
        search=search,
        interventions=list(Intervention),
        intervention=_intervention(site, visit),
        answer=_answer(site, visit, history, added) if history else None,
        given=visit.asked("history"),
    )


def _history(site: Site, visit: Visit) -> list[str]:
    """Of an explanation, or as given."""
    name = visit.asked("explanation")
    if not name:
        return [item for item in visit.asked("history").replace(",", " ").split() if item]
    try:
        explanation_id = UUID(name)
    except ValueError:
        raise ExplanationNotFoundError(
            "name", "There is no explanation of that name; look for it in the list."
        ) from None
    site.note(visit, "get", f"explanations/{explanation_id}")
    record = site.application.get(explanation_id)
    return [*record.older_history, *record.explanation.history]


def _intervention(site: Site, visit: Visit) -> Intervention:
    asked = visit.asked("intervention")
    if not asked:
        return site.config.explain.intervention
    try:
        return Intervention(asked)
    except ValueError:
        raise InvalidFieldError("intervention", "intervention is none that there is; choose one of the list.") from None


def _answer(site: Site, visit: Visit, history: list[str], added: list[str]) -> WhatIf:
    off = [int(value) for value in visit.all_asked("off") if value.isdecimal()]
    edit = Edit(history, off, added, _intervention(site, visit))
    answer: Any = site.compute(lambda: site.application.what_if(edit, LIST_LENGTH, Patience()))
    checked: WhatIf = answer
    return checked
