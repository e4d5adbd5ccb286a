"""Who may call what: callers are known by a token or by their certificate, and have roles."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.access_settings import Auth


class Role(StrEnum):
    """What a caller may do. No role contains another: give a caller all that it needs."""

    EXPLAIN = "explain"
    """Recommend, explain, record interactions."""

    AUDIT_READ = "audit.read"
    """Read, replay and prove what is stored."""

    AUDIT_ERASE = "audit.erase"
    """Erase a user's data."""

    ADMIN = "admin"
    """See and switch models."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was recognised."""

    name: str
    """Stands in the audit log for what they do; empty for the anonymous caller of an open server."""

    roles: frozenset[Role]

    def may(self, role: Role) -> bool:
        """Whether they have the role."""
        return role in self.roles


ANONYMOUS = Caller("", frozenset(Role))
"""Everybody, where no callers are configured."""

current_caller: ContextVar[Caller] = ContextVar("current_caller", default=ANONYMOUS)
"""Who makes the call that the running task answers."""


@dataclass(frozen=True, slots=True)
class Access:
    """The callers that are known. Without any it is open: everybody is anonymous and may do everything."""

    tokens: tuple[tuple[bytes, Caller], ...] = ()
    """SHA-256 of each token, and whose it is. Tokens are 256 random bits, so that a plain hash cannot be guessed at."""

    certificates: tuple[tuple[str, Caller], ...] = ()
    """Subject alternative name, and whose it is."""

    @classmethod
    def of(cls, settings: Auth) -> Self:
        """The callers of a configuration."""
        tokens: list[tuple[bytes, Caller]] = []
        certificates: list[tuple[str, Caller]] = []
        for one in settings.callers:
            caller = Caller(one.name, frozenset(one.roles))
            tokens += [(bytes.fromhex(token.partition(":")[2]), caller) for token in one.tokens]
            certificates += [(name, caller) for name in one.certificates]
        return cls(tuple(tokens), tuple(certificates))

    @property
    def open(self) -> bool:
        """Whether nobody has to say who they are."""
        return not (self.tokens or self.certificates)

    def authenticate(self, token: str) -> Caller | None:
        """Whose token it is; None when nobody's. Takes the same time whatever is wrong with the token."""
        digest = _digest(token)
        found = None
        for known, caller in self.tokens:
            if hmac.compare_digest(known, digest):  # no early end: the time would tell the place
                found = caller
        return found

    def by_hash(self, known_hash: str) -> Caller | None:
        """Whose token has this hash, as it stands in the configuration; None when nobody's."""
        return next((caller for known, caller in self.tokens if f"sha256:{known.hex()}" == known_hash), None)

    def by_certificate(self, names: Iterable[str]) -> Caller | None:
        """Whose certificate it is, by its subject alternative names; None when nobody's."""
        known = dict(self.certificates)
        return next((known[name] for name in names if name in known), None)


def new_token() -> str:
    """A token for a caller: 256 random bits, with a prefix by which leaked ones are found."""
    return "becausal_" + secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What stands in the configuration for a token."""
    return "sha256:" + _digest(token).hex()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
