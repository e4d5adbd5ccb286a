"""A small HTTP listener beside the gRPC port: /metrics, /livez, /readyz. For probes and Prometheus, which know no secrets.

On threads of its own, so that it answers also while the event loop does not.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import sys
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from prometheus_client.exposition import choose_encoder

from server.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus_client import CollectorRegistry

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""How long a peer may take to say what it wants."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a path answers."""

    body: bytes
    kind: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK

    @classmethod
    def told(cls, facts: Mapping[str, Any], *, well: bool) -> Page:
        """Facts as JSON; 503 when they are not well."""
        status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        return cls(json.dumps(facts).encode() + b"\n", status=status)


class AdminListener:
    """Serves pages until it is closed.

    Args:
        address: HOST:PORT; port 0 takes a free one.
        pages: what each path answers, given the Accept header; called on threads.

    Raises:
        ConfigError: the address cannot be bound.
    """

    def __init__(self, address: str, pages: Mapping[str, Callable[[str], Page]]) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        try:
            self._server = _server(host)((host, int(port)), _handler(pages))
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"Cannot listen on admin.address {address}; free the port or set another address (port 0 takes a free one)."
            ) from error
        self.port = int(self._server.server_address[1])
        self._thread = Thread(target=self._server.serve_forever, name="admin", daemon=True)
        self._thread.start()
        logger.info("Metrics and probes at http://%s:%d", host if ":" not in host else f"[{host}]", self.port)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def metrics_page(registry: CollectorRegistry) -> Callable[[str], Page]:
    """The metrics in the form that the scraper prefers."""

    def page(accept: str) -> Page:
        encode, kind = choose_encoder(accept)
        return Page(encode(registry), kind)

    return page


def _server(host: str) -> type[ThreadingHTTPServer]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if _is_v6(host) else socket.AF_INET

        def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - as the base has it
            logger.warning("A request to the admin listener failed", exc_info=sys.exc_info())

    return Server


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6  # noqa: PLR2004 - the protocol's name
    except ValueError:
        return False


def _handler(pages: Mapping[str, Callable[[str], Page]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_SECONDS
        server_version = "becausal"
        sys_version = ""

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            make = pages.get(self.path.partition("?")[0])
            page = (
                Page(b"Not here; /metrics, /livez and /readyz are.\n", "text/plain", HTTPStatus.NOT_FOUND)
                if make is None
                else make(self.headers.get("Accept", ""))
            )
            self.send_response(page.status)
            self.send_header("Content-Type", page.kind)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            if body:
                self.wfile.write(page.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Probes come every few seconds: not a line for each."""

    return Handler
