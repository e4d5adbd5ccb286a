"""In and out."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from server.web.sessions import COOKIE
from server.web.site import see_other

if TYPE_CHECKING:
    from starlette.responses import Response

    from server.web.site import Site, Visit


def ask(site: Site, visit: Visit) -> Response:
    """Show the login in the place of a page that needs one."""
    shown = site.page(visit, "login.html", status=401, problem="", back=quote(visit.url()))
    if visit.wants_part:
        shown.headers["hx-refresh"] = "true"  # the page around the part needs one too
    return shown


def form(site: Site, visit: Visit) -> Response:
    """The login by itself."""
    return site.page(visit, "login.html", problem="", back=quote(_inside(visit.asked("back"))))


def enter(site: Site, visit: Visit) -> Response:
    """Take a token; the session before it ends, so that nobody can have prepared it."""
    back = _inside(unquote(visit.asked("back")))
    wait = site.lockout.wait(visit.peer)
    if wait > 0:
        problem = f"Too many wrong tokens. Try again in {wait:.0f} seconds."
        return site.page(visit, "login.html", status=429, problem=problem, back=quote(back))
    begun = site.sessions.begin(visit.asked("token"))
    if begun is None or not begun[0].known:
        site.lockout.failed(visit.peer)
        problem = "That token is nobody's. Take the one that your operator gave you."
        return site.page(visit, "login.html", status=401, problem=problem, back=quote(back))
    site.lockout.succeeded(visit.peer)
    visit.cookies[COOKIE] = begun[1]
    return see_other(back)


def leave(_site: Site, visit: Visit) -> Response:
    """End the session."""
    visit.cookies[COOKIE] = ""
    return see_other("/login")


def _inside(url: str) -> str:
    """A path of this page; anything else leads home."""
    return url if url.startswith("/") and not url.startswith(("//", "/\\")) else "/"
