"""What would be recommended if the history were another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from explainer.settings import Intervention
from server.application import Patience
from server.errors import InvalidFieldError
from server.web.site import explanation_id, tokens_of
from server.what_if import Edit

if TYPE_CHECKING:
    from starlette.responses import Response

    from server.web.site import Site, Visit

LIST_LENGTH = 10
FOUND = 8
"""Titles that a search shows."""


def show(site: Site, visit: Visit) -> Response:
    """The history with a switch for each item, and both lists. All of it is in the URL."""
    history = _history(site, visit)
    title = site.application.title
    added = [item for item in visit.all_asked("add") if item]
    search = visit.asked("search")
    off = [int(value) for value in visit.all_asked("off") if value.isdecimal()]
    edit = Edit(history, off, added, _intervention(site, visit))
    return site.page(
        visit,
        "_moves.html" if visit.wants_part else "what_if.html",
        history=[(position, item, title(item) or item) for position, item in enumerate(history)],
        removed=off,
        added=[(item, title(item) or item) for item in added],
        found=[one for one in site.application.search(search, FOUND) if one[0] not in added] if search else [],
        search=search,
        interventions=list(Intervention),
        intervention=edit.intervention,
        answer=site.compute(lambda: site.application.what_if(edit, LIST_LENGTH, Patience())) if history else None,
        given=visit.asked("history"),
    )


def _history(site: Site, visit: Visit) -> list[str]:
    """Of an explanation, or as given."""
    name = visit.asked("explanation")
    if not name:
        return tokens_of(visit.asked("history"))
    record_id = explanation_id(name)
    site.note(visit, "get", f"explanations/{record_id}")
    record = site.application.get(record_id)
    return [*record.older_history, *record.explanation.history]


def _intervention(site: Site, visit: Visit) -> Intervention:
    asked = visit.asked("intervention")
    if not asked:
        return site.config.explain.intervention
    try:
        return Intervention(asked)
    except ValueError:
        raise InvalidFieldError("intervention", "intervention is none that there is; choose one of the list.") from None
