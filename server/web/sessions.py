"""Who looks at the page: a signed cookie after a login by token, and a lock against guessing."""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from itsdangerous import BadSignature, URLSafeTimedSerializer

from server.access import ANONYMOUS, Caller, token_hash
from server.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.access import Access
    from server.config import Config

COOKIE = "becausal_session"
LEAST_SECRET = 32
_NOBODY = Caller("", frozenset())
FREE_TRIES = 5
"""Wrong tokens from one address before it has to wait."""

LONGEST_LOCK = 900.0
"""Seconds; each wrong token doubles the wait up to this."""

REMEMBERED = 10_000
"""Addresses whose wrong tokens are counted; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a cookie says."""

    caller: Caller
    csrf: str
    """Stands in every form of this session: another site cannot know it."""

    known: bool
    """Whether somebody logged in, or nobody has to."""


class Sessions:
    """Reads and writes the cookie."""

    def __init__(self, access: Access, config: Config) -> None:
        self._access = access
        self._hours = config.web.session_hours
        self._signer = URLSafeTimedSerializer(_secret(config), salt="becausal.session")

    def read(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None for none, an old one, one that is not ours, or one whose token is taken away."""
        try:
            told: dict[str, Any] = self._signer.loads(cookie or "", max_age=int(3600 * self._hours))
        except BadSignature:
            return None
        if self._access.open:
            return Session(ANONYMOUS, told["csrf"], known=True)
        caller = self._access.by_hash(told["token"]) if told["token"] else None
        return Session(caller or _NOBODY, told["csrf"], known=caller is not None)

    def begin(self, token: str = "") -> tuple[Session, str] | None:
        """A new session and its cookie: of a caller's token, of nobody before the login, or of anybody on an open server.

        Returns:
            None when the token is nobody's.
        """
        csrf = secrets.token_urlsafe(24)
        caller = ANONYMOUS if self._access.open else None
        if token and caller is None:
            caller = self._access.authenticate(token)
            if caller is None:
                return None
        known = caller is not None
        # The token's hash and not the caller's name: a token that is taken away ends its sessions.
        told = {"csrf": csrf, "token": token_hash(token) if token and known else ""}
        return Session(caller or _NOBODY, csrf, known=known), self._signer.dumps(told)


class Lockout:
    """Makes who guesses wait, longer each time. Safe in threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 when it may now."""
        with self._lock:
            _, until = self._tries.get(address, (0, 0.0))
            return max(until - self._clock(), 0.0)

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        with self._lock:
            count, _ = self._tries.pop(address, (0, 0.0))
            count += 1
            wait = 0.0 if count < FREE_TRIES else min(2.0 ** (count - FREE_TRIES + 1), LONGEST_LOCK)
            self._tries[address] = (count, self._clock() + wait)
            if len(self._tries) > REMEMBERED:
                self._tries.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the wrong ones."""
        with self._lock:
            self._tries.pop(address, None)


def same(given: str, expected: str) -> bool:
    """Compare secrets in a time that tells nothing."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _secret(config: Config) -> bytes:
    file = config.web.secret_file
    if file is None:
        return secrets.token_bytes(LEAST_SECRET)
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"web.secret_file {file} cannot be read ({error.strerror}); mend the path.") from error
    if len(secret) < LEAST_SECRET:
        raise ConfigError(
            f"web.secret_file {file} has {len(secret)} bytes; put {LEAST_SECRET} random ones or more there."
        )
    return secret
