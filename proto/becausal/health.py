"""Asks a server whether it serves (grpc.health.v1); ``python -m becausal.health ADDRESS`` is a probe for containers."""

from __future__ import annotations

import sys
from enum import Enum
from typing import TYPE_CHECKING, Any

import grpc

from becausal import _wire

if TYPE_CHECKING:
    from collections.abc import Sequence

METHOD = "/grpc.health.v1.Health/Check"
PROBE_SECONDS = 2.0
USAGE = 2


class Health(Enum):
    """What a server says of a service."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


def check(channel: grpc.Channel | grpc.aio.Channel) -> Any:
    """The Check call of a channel, from a service's name to ``Health``."""
    return channel.unary_unary(
        METHOD,
        request_serializer=lambda service: _wire.HealthCheckRequest(service=service).SerializeToString(),
        response_deserializer=lambda answer: Health(_wire.HealthCheckResponse.FromString(answer).status),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when the server at ADDRESS serves, 1 when not, 2 for bad usage."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 1:
        print("Usage: python -m becausal.health HOST:PORT", file=sys.stderr)  # noqa: T201 - a command
        return USAGE
    with grpc.insecure_channel(given[0]) as channel:
        try:
            health: Health = check(channel)("", timeout=PROBE_SECONDS)
        except grpc.RpcError as error:
            told: Any = error
            print(f"{given[0]} does not answer: {told.details()}", file=sys.stderr)  # noqa: T201 - as above
            return 1
    print(health.name)  # noqa: T201 - as above
    return 0 if health is Health.SERVING else 1


if __name__ == "__main__":
    sys.exit(main())
