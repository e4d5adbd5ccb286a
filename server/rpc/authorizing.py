"""Around every call: who calls, and whether they may; before anything is looked up, so that a refusal tells nothing."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from server.access import ANONYMOUS, current_caller
from server.errors import PermissionDeniedError, UnauthenticatedError
from server.rpc.handlers import EXEMPT
from server.rpc.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.access import Access, Caller
    from server.rpc.handlers import Context

_SCHEME = "bearer "


class Guard:
    """Lets a call through when its caller has the role that it needs (server/rpc/roles.py)."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        """Recognise the caller; the call runs with them in ``current_caller``.

        Raises:
            UnauthenticatedError: nobody knows who calls.
            PermissionDeniedError: the caller lacks the role.
        """
        # Probes know no secrets; reflection shows the published protocol, and `reflection = false` switches it off.
        if not method.startswith(EXEMPT):
            # Each call is a task with a context of its own: nothing has to be set back.
            current_caller.set(self._admitted(method, context))
        yield

    def _admitted(self, method: str, context: Context) -> Caller:
        caller = ANONYMOUS if self._access.open else self._recognised(context)
        role = ROLES.get(method)
        name = method.rpartition("/")[2]
        if role is None:
            raise PermissionDeniedError(f"{name} has no role here, so nobody may call it; tell the operator.")
        if not caller.may(role):
            raise PermissionDeniedError(
                f"{name} needs the role {role}, which this caller lacks; ask the operator for it."
            )
        return caller

    def _recognised(self, context: Context) -> Caller:
        token = bearer_token(context)
        caller = (
            self._access.by_certificate(certificate_names(context))
            if token is None
            else self._access.authenticate(token)
        )
        if caller is None:
            raise UnauthenticatedError(
                "No known caller; send a token of yours (authorization: Bearer ...) or a client certificate of a caller."
                if token is None
                else "The token is nobody's; send the one that the operator gave you."
            )
        return caller


def bearer_token(context: Context) -> str | None:
    """The token that was sent, if any."""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str):
            return bearer_of(value)
    return None


def bearer_of(header: str | None) -> str | None:
    """The token in an authorization header, if any."""
    if header is None or header[: len(_SCHEME)].lower() != _SCHEME:
        return None
    return header[len(_SCHEME) :].strip()


def certificate_names(context: Context) -> list[str]:
    """Subject alternative names of the client's certificate, which TLS has verified."""
    names = context.auth_context().get("x509_subject_alternative_name", ())
    return [bytes(name).decode("utf-8", "replace") for name in names]
