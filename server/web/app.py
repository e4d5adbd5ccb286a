"""The routes of the audit page, the role that each needs, and what goes around all of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import grpc
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from server.access import Access, Role, current_caller
from server.rpc.authorizing import bearer_of
from server.rpc.errors import answer_for, status_of
from server.web import cards, detail, listing, log_page, login, models_page, quality, replays, users, what_if
from server.web.sessions import COOKIE, Lockout, Sessions, same
from server.web.shield import LOOPBACK, Shield
from server.web.site import HERE, Site, Visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from server.activation import Activations
    from server.application import Application
    from server.config import Config

logger = logging.getLogger(__name__)

_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.CONFLICT,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
}


@dataclass(frozen=True, slots=True)
class Page:
    """One path of the page."""

    path: str
    show: Callable[[Site, Visit], Response]
    role: Role | None = None
    """Who may; None: everybody, logged in or not."""

    method: str = "GET"


PAGES = (
    Page("/", listing.home),
    Page("/login", login.form),
    Page("/login", login.enter, method="POST"),
    Page("/logout", login.leave, method="POST"),
    Page("/explanations", listing.explanations, Role.AUDIT_READ),
    Page("/items", listing.items, Role.AUDIT_READ),
    Page("/explanations/{id}", detail.explanation, Role.AUDIT_READ),
    Page("/explanations/{id}/json", detail.stored, Role.AUDIT_READ),
    Page("/explanations/{id}/graph/{head}", detail.graph, Role.AUDIT_READ),
    Page("/explanations/{id}/replay", replays.begin, Role.AUDIT_READ, "POST"),
    Page("/explanations/{id}/replay/{run}", replays.follow, Role.AUDIT_READ),
    Page("/explanations/{id}/verify", detail.verified, Role.AUDIT_READ, "POST"),
    Page("/what-if", what_if.show, Role.EXPLAIN),
    Page("/users", users.show, Role.AUDIT_READ),
    Page("/users/export", users.export, Role.AUDIT_READ, "POST"),
    Page("/users/erase", users.erase, Role.AUDIT_ERASE, "POST"),
    Page("/users/hold", users.hold, Role.AUDIT_ERASE, "POST"),
    Page("/users/release", users.release, Role.AUDIT_ERASE, "POST"),
    Page("/models", models_page.show, Role.ADMIN),
    Page("/models/activate", models_page.activate, Role.ADMIN, "POST"),
    Page("/quality", quality.show, Role.AUDIT_READ),
    Page("/quality/{name}", quality.plot, Role.AUDIT_READ),
    Page("/log", log_page.show, Role.AUDIT_READ),
    Page("/cards/{id}", cards.card, Role.EXPLAIN),
    Page("/demo", cards.demo, Role.EXPLAIN),
)


def web_app(application: Application, activations: Activations, config: Config) -> Starlette:
    """The page over an application and its models.

    Raises:
        ConfigError: the secret cannot be read.
    """
    sessions = Sessions(Access.of(config.auth), config)
    around = _Around(Site(application, activations, sessions, Lockout(), config), config)
    routes: list[Any] = [Route(page.path, around.endpoint(page), methods=[page.method]) for page in PAGES]
    routes.append(Mount("/static", StaticFiles(directory=HERE / "static")))
    host = (config.web.address or "").rpartition(":")[0].strip("[]")
    hosts = frozenset({host, *config.web.hosts, *(LOOPBACK if host in LOOPBACK else ())})
    return Starlette(routes=routes, middleware=[Middleware(Shield, hosts=hosts)], exception_handlers={404: _lost})


class _Around:
    """Finds the session, asks for the role, checks forms, and turns errors into pages."""

    def __init__(self, site: Site, config: Config) -> None:
        self._site = site
        self._secure = config.web.https or config.tls.on

    def endpoint(self, page: Page) -> Callable[[Request], Any]:
        async def answered(request: Request) -> Response:
            session = self._site.sessions.read(request.cookies.get(COOKIE))
            fresh = None
            bearer = bearer_of(request.headers.get("authorization"))
            if bearer is not None or session is None:
                # A backend that fetches cards sends its token with each request and keeps no cookie.
                begun = self._site.sessions.begin(bearer or "") or self._site.sessions.begin()
                if begun is None:  # nobody's session always begins
                    raise RuntimeError("no session could begin")
                session, cookie = begun
                fresh = cookie if bearer is None else None
            visit = await Visit.of(request, session)
            current_caller.set(session.caller)
            response = await run_in_threadpool(self._shown, page, visit, by_token=bearer is not None)
            for value in (fresh, visit.cookies.get(COOKIE)):
                if value is not None:
                    response.set_cookie(COOKIE, value, httponly=True, samesite="strict", secure=self._secure)
            return response

        return answered

    def _shown(self, page: Page, visit: Visit, *, by_token: bool) -> Response:
        refused = self._refused(page, visit, by_token=by_token)
        if refused is not None:
            return refused
        try:
            return page.show(self._site, visit)
        except Exception as error:
            answer = answer_for(error)
            if answer is None:
                logger.exception("The page %s failed", page.path)
            status = _STATUS.get(answer.code, HTTPStatus.INTERNAL_SERVER_ERROR) if answer else 500
            return self._site.message(visit, HTTPStatus(status).phrase, status_of(error).message, int(status))

    def _refused(self, page: Page, visit: Visit, *, by_token: bool) -> Response | None:
        if page.method == "POST" and not by_token and not same(visit.asked("csrf"), visit.session.csrf):
            return self._site.message(
                visit, "The form is too old", "Go back, load the page again, and send it once more.", 403
            )
        if page.role is None:
            return None
        if not visit.session.known:
            if by_token:
                return self._site.message(visit, "Not known", "The token is nobody's.", 401)
            return login.ask(self._site, visit)
        if not visit.may(page.role):
            text = f"This needs the role {page.role}, which {visit.session.caller.name or 'nobody'} lacks."
            return self._site.message(visit, "Not allowed", text, 403)
        return None


async def _lost(request: Request, error: Exception) -> Response:  # noqa: ARG001 - as Starlette calls it
    return PlainTextResponse("There is no such page; begin at /.\n", 404)
