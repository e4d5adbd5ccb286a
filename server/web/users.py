"""All that is stored about one user: seen, taken along, erased, or held."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from google.protobuf.json_format import MessageToJson
from starlette.responses import Response

from server.access import Role
from server.errors import InvalidFieldError
from server.pages import condition
from server.rpc.messages import explanation_message
from server.web.listing import counted
from server.web.site import see_other

if TYPE_CHECKING:
    from server.web.site import Site, Visit

SHOWN = 20
EXPORTED = 500
"""Explanations that are fetched at once."""


def show(site: Site, visit: Visit) -> Response:
    """What there is about a user."""
    user_id = visit.asked("user")
    if not user_id:
        return site.page(visit, "users.html", user_id="", holds=site.application.keeping.holds())
    filter_text = condition("user_id", "=", user_id)
    site.note(visit, "list", filter_text, user_id)
    hold = next((one for one in site.application.keeping.holds() if one.user_id == user_id), None)
    return site.page(
        visit,
        "user.html",
        user_id=user_id,
        page=site.application.list(SHOWN, "", filter_text),
        count=counted(site, filter_text),
        interactions=site.application.keeping.recorded(user_id),
        hold=hold,
        done=visit.asked("done"),
    )


def export(site: Site, visit: Visit) -> Response:
    """Everything about a user as lines of JSON: interactions, then explanations, newest first."""
    user_id = _user(visit)
    filter_text = condition("user_id", "=", user_id)
    site.note(visit, "export", filter_text, user_id)
    lines = [
        json.dumps({"interaction": item}, ensure_ascii=False) for item in site.application.keeping.recorded(user_id)
    ]
    token = ""
    while True:
        page = site.application.list(EXPORTED, token, filter_text)
        lines += [MessageToJson(explanation_message(record), indent=None) for record in page.records]
        token = page.next_page_token
        if not token:
            break
    headers = {"content-disposition": 'attachment; filename="becausal-user.jsonl"'}
    return Response("\n".join([*lines, ""]), media_type="application/jsonl", headers=headers)


def erase(site: Site, visit: Visit) -> Response:
    """Erase it all, once the user id was typed again."""
    user_id = _user(visit)
    if visit.asked("typed") != user_id:
        raise InvalidFieldError("typed", "The user id that you typed is another one; nothing was erased.")
    erased = site.application.keeping.erase_user(user_id, actor=visit.actor, reason=visit.asked("reason"))
    done = f"{erased.explanations} explanations and {erased.interactions} interactions were erased."
    return _done(site, visit, user_id, done)


def hold(site: Site, visit: Visit) -> Response:
    """Keep the user's records from being erased."""
    user_id = _user(visit)
    site.application.keeping.hold(user_id, actor=visit.actor, reason=visit.asked("reason"))
    return _done(site, visit, user_id, "The records are on hold.")


def release(site: Site, visit: Visit) -> Response:
    """End the hold."""
    user_id = _user(visit)
    site.application.keeping.release(user_id, actor=visit.actor, reason=visit.asked("reason"))
    return _done(site, visit, user_id, "The hold has ended.")


def _done(site: Site, visit: Visit, user_id: str, text: str) -> Response:
    """Say what was done, beside what is left for those who may read that."""
    if not visit.may(Role.AUDIT_READ):
        return site.message(visit, "Done", text, 200)
    return see_other(f"/users?{urlencode({'user': user_id, 'done': text})}")


def _user(visit: Visit) -> str:
    user_id = visit.asked("user")
    if not user_id:
        raise InvalidFieldError("user", "No user is named; type a user id.")
    return user_id
