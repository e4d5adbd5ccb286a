"""Around every call, innermost: it has a turn, waits for one, or is told to come back (server/admission.py)."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from server.admission import Gate
from server.config import ConfigError
from server.rpc.handlers import EXEMPT
from server.rpc.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from server.admission_settings import Admission
    from server.rpc.handlers import Context

METHODS = {path.rpartition("/")[2] for path in ROLES}


class Admitting:
    """One gate for each method; calls about the server itself pass.

    Raises:
        ConfigError: the settings speak of a method that there is not.
    """

    def __init__(self, settings: Admission) -> None:
        for name in settings.methods:
            if name not in METHODS:
                raise ConfigError(
                    f"Setting admission.methods.{name} is wrong: there is no such method; name one of "
                    f"{', '.join(sorted(METHODS))}."
                )
        self.gates: Mapping[str, Gate] = {
            path: Gate(name, settings.room(name)) for path in ROLES for name in [path.rpartition("/")[2]]
        }

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:  # noqa: ARG002 - as all arounds
        """Wait for a turn.

        Raises:
            OverloadedError: too many wait already.
        """
        if method.startswith(EXEMPT):  # probes must be answered however full the server is
            yield
            return
        gate = self.gates[method]
        await gate.enter()
        started = time.monotonic()
        try:
            yield
        finally:
            gate.leave(time.monotonic() - started)
