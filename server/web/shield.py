"""What every answer of the page carries, and which requests are not looked at: for browsers that others try to use."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
LARGEST_FORM = 64 * 1024


class Shield:
    """Around the whole page.

    Args:
        app: the page.
        hosts: names that a request may be for. Without this, a page elsewhere could have its own name lead to this
            machine and read what only this machine may (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse in one line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        app: ASGIApp = self._app if refusal is None else refusal
        await app(scope, receive, guarded)

    def _refusal(self, method: str, headers: Headers) -> PlainTextResponse | None:
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if host not in self._hosts:
            return PlainTextResponse("This page is not served under that name; see web.hosts.\n", 421)
        origin = headers.get("origin")
        if method != "GET" and origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return PlainTextResponse("That came from another site; nothing was done.\n", 403)
        if int(headers.get("content-length") or 0) > LARGEST_FORM:
            return PlainTextResponse("The form is too large; nothing was done.\n", 413)
        return None
