"""The list of explanations, with its filters in the URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from explainer.explanation import Status
from server.access import Role
from server.pages import condition, parse_filter
from server.web import login
from server.web.site import see_other

if TYPE_CHECKING:
    from starlette.responses import Response

    from server.web.site import Site, Visit

FIRST = (("/explanations", Role.AUDIT_READ), ("/what-if", Role.EXPLAIN), ("/models", Role.ADMIN))
PAGE_SIZE = 25
COUNTED = 1_000
"""Matches are counted no further: the number is for orientation, and a count of millions takes seconds."""

OFFERED = 12
"""Items that are offered for what somebody types."""

FIELDS = {
    "user": ("user_id", "="),
    "item": ("item", "="),
    "cause": ("cause", "="),
    "model": ("model_version", "="),
    "status": ("status", "="),
    "from": ("create_time", ">="),
    "until": ("create_time", "<"),
}
"""Names in the URL, and the filter's conditions."""


def home(site: Site, visit: Visit) -> Response:
    """The first page that whoever looks may see."""
    if not visit.session.known:
        return login.ask(site, visit)
    first = next((path for path, role in FIRST if visit.may(role)), None)
    if first is None:
        return site.message(visit, "Logged in", "There is no page for your roles; they are for calls by gRPC.", 200)
    return see_other(first)


def explanations(site: Site, visit: Visit) -> Response:
    """A page of the list."""
    filter_text = filter_of(visit)
    spec = parse_filter(filter_text)
    site.note(visit, "list", filter_text, spec.user_id)
    page = site.application.list(PAGE_SIZE, visit.asked("page"), filter_text)
    return site.page(
        visit,
        "_list.html" if visit.wants_part else "explanations.html",
        page=page,
        count=counted(site, filter_text),
        statuses=list(Status),
        models=site.application.model_versions,
        filtered=bool(filter_text),
        meant=[] if page.records else _meant(site, visit),
    )


def items(site: Site, visit: Visit) -> Response:
    """Items that have the text of a filter in their title, as options for its field."""
    text = visit.asked("item") or visit.asked("cause")
    return site.page(visit, "_options.html", items=site.application.search(text, OFFERED) if text else ())


def _meant(site: Site, visit: Visit) -> list[tuple[str, str, str]]:
    """For a list that is empty: items whose title has in it what was typed as a token; title, token, and the list's URL."""
    return [
        (title or token, token, visit.url(**{name: token, "page": ""}))
        for name in ("item", "cause")
        if visit.asked(name)
        for token, title in site.application.search(visit.asked(name), OFFERED)
        if token != visit.asked(name)
    ]


def counted(site: Site, filter_text: str) -> str:
    """How many match, in words from `COUNTED` on."""
    count = site.application.count(filter_text, COUNTED + 1)
    return f"more than {COUNTED:,}" if count > COUNTED else f"{count:,}"


def filter_of(visit: Visit) -> str:
    """The filter that the URL asks for, in the protocol's own language."""
    return " AND ".join(
        condition(field, operator, visit.asked(name)) for name, (field, operator) in FIELDS.items() if visit.asked(name)
    )
