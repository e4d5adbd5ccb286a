"""Asks the admin listener whether the server is ready; ``python -m server.probe [HOST:PORT]`` is the image's health check.

Without an address it takes the one that the server's own setting has, ``BECAUSAL_ADMIN__ADDRESS``. It works whatever TLS the
gRPC port has, and needs nothing but Python's own library, since it runs every few seconds.
"""

from __future__ import annotations

import http.client
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 3.0
USAGE = 2
_OK = 200
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where it is called, not where it listens


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when the server is ready, 1 when not, 2 without an address."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    address = given[0] if given else os.environ.get("BECAUSAL_ADMIN__ADDRESS", "")
    host, _, port = address.rpartition(":")
    if len(given) > 1 or not port.isdigit():
        return _said("Usage: python -m server.probe HOST:PORT, or set BECAUSAL_ADMIN__ADDRESS", USAGE)
    host = host.strip("[]")
    connection = http.client.HTTPConnection(_ANY.get(host, host), int(port), timeout=SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return _said(f"{address} does not answer: {error}", 1)
    finally:
        connection.close()
    return _said(text, 0 if answer.status == _OK else 1)


def _said(text: str, status: int) -> int:
    print(text, file=sys.stderr if status else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main())
