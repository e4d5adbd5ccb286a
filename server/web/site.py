"""One page view: who looks, what they sent, and how an answer is made of a template."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlencode
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse

from server.access import Role
from server.errors import ExplanationNotFoundError
from server.records import Read
from server.web.runs import Replays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from starlette.requests import Request
    from starlette.responses import Response

    from server.activation import Activations
    from server.application import Application
    from server.config import Config
    from server.web.sessions import Lockout, Session, Sessions

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Visit:
    """A request, as the pages see it."""

    path: str
    query: Mapping[str, list[str]]
    form: Mapping[str, list[str]]
    parts: Mapping[str, str]
    """The variable parts of the path."""

    session: Session
    peer: str
    wants_part: bool
    """Whether a script asks for a part of the page alone."""

    accepts_json: bool
    address: str
    """The page's own, as whoever looks has it."""

    cookies: dict[str, str] = field(default_factory=dict)
    """To be set with the answer."""

    @classmethod
    async def of(cls, request: Request, session: Session) -> Visit:
        """Read a request; its form, if any, is urlencoded."""
        form = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        return cls(
            request.url.path,
            parse_qs(request.url.query, keep_blank_values=True),
            form,
            request.path_params,
            session,
            request.client.host if request.client else "",
            request.headers.get("hx-request") == "true",
            "application/json" in request.headers.get("accept", ""),
            str(request.url.replace(query="")),
        )

    def asked(self, name: str) -> str:
        """A value of the query, or of the form; empty where it is not there."""
        return (self.query.get(name) or self.form.get(name) or [""])[-1].strip()

    def all_asked(self, name: str) -> list[str]:
        """All its values."""
        return [*self.query.get(name, []), *self.form.get(name, [])]

    @property
    def actor(self) -> str:
        """Who looks, for the audit log."""
        return self.session.caller.name or f"page:{self.peer}"

    def may(self, role: Role) -> bool:
        """Whether whoever looks has a role."""
        return self.session.caller.may(role)

    def url(self, **changes: str) -> str:
        """This page with other values in its query; empty ones are left out."""
        kept = {name: values[-1] for name, values in self.query.items()} | changes
        return f"{self.path}?{urlencode({name: value for name, value in kept.items() if value})}"


class Site:
    """What all pages share."""

    def __init__(
        self, application: Application, activations: Activations, sessions: Sessions, lockout: Lockout, config: Config
    ) -> None:
        self.application = application
        self.sessions = sessions
        self.lockout = lockout
        self.activations = activations
        self.config = config
        self.replays = Replays()
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(Role=Role)
        self._templates.filters.update(FILTERS)

    def page(self, visit: Visit, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A template with values."""
        made = self._templates.get_template(template).render(visit=visit, **values)
        return HTMLResponse(made, status)

    def message(self, visit: Visit, title: str, text: str, status: int) -> HTMLResponse:
        """A page that says one thing; for a script that fills a part of a page, that thing alone."""
        template = "_message.html" if visit.wants_part else "message.html"
        return self.page(visit, template, status=status, title=title, text=text)

    def note(self, visit: Visit, action: str, subject: str, user_id: str | None = None) -> None:
        """Record that somebody reads, before they are shown anything."""
        if self.application.keeps:
            self.application.keeping.note(Read(visit.actor, action, subject, user_id)).result()

    def compute(self, work: Callable[[], Result]) -> Result:
        """Have work done where the model is."""
        return self.begin(work).result()

    def begin(self, work: Callable[[], Result]) -> Future[Result]:
        """As `compute`, without waiting for it."""
        return self.application.scheduler.submit(work)


def explanation_id(text: str) -> UUID:
    """The id that a path or a query names.

    Raises:
        ExplanationNotFoundError: it is none.
    """
    try:
        return UUID(text)
    except ValueError:
        raise ExplanationNotFoundError(
            "name", "There is no explanation of that name; look for it in the list."
        ) from None


def tokens_of(text: str) -> list[str]:
    """A history as people type it: item tokens with commas or spaces between them."""
    return text.replace(",", " ").split()


def see_other(url: str) -> Response:
    """Go and look there, after something was done."""
    return RedirectResponse(url, 303)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


FILTERS: dict[str, Callable[..., str]] = {
    "signed": _signed,
    "plain": lambda value: f"{value:.3f}".replace("-", "\N{MINUS SIGN}"),
    "percent": lambda value: f"{100 * value:.1f} %",
    "when": lambda value: f"{value:%Y-%m-%d %H:%M:%S} UTC",
    "version": lambda value: value.removeprefix("sha256:")[:12],
    "words": lambda value: value.replace("_", " ").lower(),
}
