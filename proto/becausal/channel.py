"""How a channel to the service is opened: TLS, who calls, retries, load balancing, keepalive."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

EXPLANATION_SERVICE = "becausal.v1.ExplanationService"
AUDIT_SERVICE = "becausal.v1.AuditService"
MODEL_SERVICE = "becausal.v1.ModelService"

SERVICE_CONFIG: Mapping[str, Any] = {
    "loadBalancingConfig": [{"round_robin": {}}],
    # Instances that say NOT_SERVING, as one that shuts down does, get no calls.
    "healthCheckConfig": {"serviceName": EXPLANATION_SERVICE},
    "methodConfig": [
        {
            "name": [{"service": EXPLANATION_SERVICE}, {"service": AUDIT_SERVICE}, {"service": MODEL_SERVICE}],
            # AIP-194: only UNAVAILABLE says that nothing was done. Every call of ours is safe to send twice.
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # A tenth of the calls may be retries: clients must not finish off a server that is in trouble.
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}
"""Other languages can use it as it stands: https://github.com/grpc/grpc/blob/master/doc/service_config.md."""

OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    # A page of 500 full explanations is larger than gRPC's 4 MiB.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # A server that comes back is found at once.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 10_000),
    # Servers of gRPC take pings more frequent than one in five minutes for an attack. The timeout is also that of
    # unacknowledged data, so that a call to a machine that vanished fails after 20 s and not after 15 minutes.
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)

DEFAULT_TIMEOUT = 30.0
"""Seconds that a call may take unless the client or the call is told otherwise; retries are within it."""

Bearer: TypeAlias = "str | Callable[[], str]"
Pem: TypeAlias = "Path | bytes"


@dataclass(frozen=True, slots=True)
class Tls:
    """How the server is recognised, and how this client shows who it is.

    Raises:
        ValueError: only one of certificate and key is given.
    """

    ca: Pem | None = None
    """Certificates of the authority that signed the server's; None takes the well-known ones."""

    certificate: Pem | None = None
    """This client's own certificate chain, for mTLS."""

    key: Pem | None = None
    """The private key of ``certificate``."""

    server_name: str = ""
    """The name in the server's certificate, where it is not the one in the address."""

    def __post_init__(self) -> None:
        if (self.certificate is None) is not (self.key is None):
            raise ValueError("A client certificate needs its private key: give both certificate and key, or neither.")

    def credentials(self) -> grpc.ChannelCredentials:
        """The credentials of gRPC.

        Raises:
            OSError: a file cannot be read.
        """
        return grpc.ssl_channel_credentials(_pem(self.ca), _pem(self.key), _pem(self.certificate))


@dataclass(frozen=True, slots=True)
class Connection:
    """Where and how to call.

    Raises:
        ValueError: the settings contradict one another, or a token would travel in the clear.
    """

    address: str
    timeout: float
    tls: Tls | bool | None = None
    credentials: grpc.ChannelCredentials | None = None
    token: Bearer | None = None
    plaintext_token: bool = False
    metadata: Sequence[tuple[str, str]] = ()
    options: Sequence[tuple[str, str | int]] = ()

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError(f"timeout is {self.timeout}; give the seconds that a call may take, more than 0.")
        if self.tls and self.credentials is not None:
            raise ValueError("tls and credentials say the same thing; give one of them.")
        if self.token is not None and not (self.secure or self.plaintext_token or is_local(self.address)):
            raise ValueError(
                f"A token for {self.address} would travel in the clear; give tls=True or tls=Tls(...), or "
                "plaintext_token=True where something else encrypts the way."
            )

    @property
    def secure(self) -> bool:
        """Whether the channel is encrypted."""
        return bool(self.tls) or self.credentials is not None

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """Credentials of the channel; None for plaintext."""
        if self.tls:
            return (Tls() if self.tls is True else self.tls).credentials()
        return self.credentials

    def channel_options(self) -> list[tuple[str, str | int]]:
        """Options of the channel, the caller's over ours."""
        named = dict(OPTIONS)
        if isinstance(self.tls, Tls) and self.tls.server_name:
            named["grpc.ssl_target_name_override"] = self.tls.server_name
        return list((named | dict(self.options)).items())

    def call_metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata of one call; a token that is a function is asked each time, so that it can be renewed."""
        if self.token is None:
            return tuple(self.metadata)
        token = self.token if isinstance(self.token, str) else self.token()
        return (*self.metadata, ("authorization", f"Bearer {token}"))


def is_local(target: str) -> bool:
    """Whether all addresses of a gRPC target are on this machine."""
    scheme, colon, rest = target.partition(":")
    if colon and scheme in {"unix", "unix-abstract"}:
        return True
    addresses = rest.lstrip("/") if scheme in {"dns", "ipv4", "ipv6"} else target
    return all(_is_loopback(address) for address in addresses.split(","))


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name, whatever it begins with
        return False


def _pem(source: Pem | None) -> bytes | None:
    return source.read_bytes() if isinstance(source, Path) else source
