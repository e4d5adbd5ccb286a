"""The page's own port, on a thread and an event loop of its own: rendering never keeps a gRPC call waiting."""

from __future__ import annotations

import asyncio
import logging
import socket
from threading import Thread
from typing import TYPE_CHECKING, Any

import uvicorn

from server.config import ConfigError
from server.rpc.port import refuse_strangers
from server.web.app import web_app

if TYPE_CHECKING:
    from server.activation import Activations
    from server.application import Application
    from server.config import Config

logger = logging.getLogger(__name__)


def check_exposure(config: Config) -> None:
    """Refuse an address beyond this machine that strangers could read or use.

    Raises:
        ConfigError: HTTPS or callers are missing, and `allow_insecure` is off.
    """
    if config.web.address is not None:
        https = config.tls.on or config.web.https
        refuse_strangers(
            config, config.web.address, "tls.certificate or web.https", encrypted=https, setting="web.address "
        )


class WebListener:
    """Serves the page until it is closed.

    Raises:
        ConfigError: the address cannot be bound, or strangers could reach it.
    """

    def __init__(self, application: Application, activations: Activations, config: Config) -> None:
        check_exposure(config)
        self._socket = _bound(config.web.address or "127.0.0.1:0")
        self.port = int(self._socket.getsockname()[1])
        settings: dict[str, Any] = {}
        if config.tls.on:
            settings = {"ssl_certfile": str(config.tls.certificate), "ssl_keyfile": str(config.tls.key)}
        self._server = uvicorn.Server(
            uvicorn.Config(
                web_app(application, activations, config),
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                timeout_graceful_shutdown=5,
                **settings,
            )
        )
        self._thread = Thread(target=self._run, name="web", daemon=True)
        self._thread.start()
        scheme = "https" if config.tls.on else "http"
        logger.info("The audit page is at %s://%s", scheme, config.web.address)

    def close(self) -> None:
        """Finish what is being shown, and stop listening."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


def _bound(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        # With its protocol: asyncio sends small answers at once (TCP_NODELAY) only where it knows that it is TCP.
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(where)
        bound.listen()  # who asks before the loop turns waits a moment and is not refused
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"Cannot listen on web.address {address}; free the port or set another address (port 0 takes a free one)."
        ) from error
    return bound
