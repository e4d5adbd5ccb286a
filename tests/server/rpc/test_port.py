"""Real TLS with certificates made here: mTLS, replacement while serving, and addresses that strangers could reach."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import grpc
import pytest

from becausal.aio import AsyncClient
from becausal.channel import Tls as ClientTls
from becausal.errors import CallError, NotAllowedError
from certificates import Issued, issue
from server.access import new_token, token_hash
from server.config import Config, ConfigError
from server.rpc.port import CertificateFiles, check_exposure
from serving import rpc_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import storage

CALLERS = {"callers": [{"name": "shop", "roles": ["explain"], "certificates": ["shop.example"]}]}
OPTIONS = (("grpc.use_local_subchannel_pool", 1),)
"""A connection of its own for each client, so that each makes a handshake."""


class Served:
    """A server whose certificate files a test can replace."""

    def __init__(self, folder: Path) -> None:
        self.authority = issue("authority")
        self.files = (folder / "server.pem", folder / "server.key")
        (folder / "clients.pem").write_bytes(self.authority.pem)
        issue("localhost", self.authority).write(*self.files)
        self.tls = {"certificate": self.files[0], "key": self.files[1], "client_ca": folder / "clients.pem"}
        self.port = 0

    async def recommended(self, client: Issued | None, authority: Issued | None = None) -> int:
        tls = ClientTls(
            ca=(authority or self.authority).pem,
            certificate=client.pem if client else None,
            key=client.key_pem if client else None,
        )
        async with AsyncClient(f"localhost:{self.port}", tls=tls, options=OPTIONS) as becausal:
            return len((await becausal.recommend(["a", "b"], timeout=20)).items)


@pytest.fixture
async def served(repository: storage.ExplanationRepository, tmp_path: Path) -> AsyncIterator[Served]:
    found = Served(tmp_path)
    config = Config(address="localhost:0", drain_delay_seconds=0, tls=found.tls, auth=CALLERS)
    server = rpc_server(config, repository)
    await server.start()
    found.port = server.port
    try:
        yield found
    finally:
        await server.stop()


async def test_a_certificate_names_the_caller(served: Served) -> None:
    assert await served.recommended(issue("shop.example", served.authority)) > 0
    with pytest.raises(NotAllowedError):
        await served.recommended(issue("stranger.example", served.authority))


async def test_a_client_needs_a_certificate_of_the_authority(served: Served) -> None:
    for client in (None, issue("shop.example", issue("authority"))):
        with pytest.raises(CallError) as caught:
            await served.recommended(client)
        assert caught.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


async def test_replaced_files_are_served_without_a_restart(served: Served) -> None:
    client = issue("shop.example", served.authority)
    assert await served.recommended(client) > 0
    other = issue("authority")
    issue("localhost", other).write(*served.files)

    assert await served.recommended(client, other) > 0


def test_half_replaced_files_are_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = issue("authority")
    certificate, key = tmp_path / "a.pem", tmp_path / "a.key"
    issue("localhost", authority).write(certificate, key)
    files = CertificateFiles(Config(tls={"certificate": certificate, "key": key}).tls)
    files.read()
    assert files.changed() is None

    fresh = issue("localhost", authority)
    certificate.write_bytes(fresh.pem)
    assert files.changed() is None
    assert "not the key of" in caplog.text
    key.write_bytes(fresh.key_pem)
    assert files.changed() is not None
    assert files.changed() is None

    os.remove(key)  # noqa: PTH107
    assert files.changed() is None


@pytest.mark.parametrize(
    ("written", "named"),
    [(b"no PEM", "not PEM"), (issue("localhost").key_pem, "not the key of"), (None, "cannot be read")],
)
def test_unusable_files_are_named(tmp_path: Path, written: bytes | None, named: str) -> None:
    certificate, key = tmp_path / "a.pem", tmp_path / "a.key"
    issue("localhost").write(certificate, key)
    if written is None:
        key.unlink()
    else:
        key.write_bytes(written)
    with pytest.raises(ConfigError, match=named):
        CertificateFiles(Config(tls={"certificate": certificate, "key": key}).tls).read()


TLS = {"certificate": "a", "key": "b"}
AUTH = {"callers": [{"name": "shop", "roles": ["explain"], "tokens": [token_hash(new_token())]}]}


@pytest.mark.parametrize("address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "host.example:1"])
def test_what_strangers_could_reach_is_refused_unless_told_to(address: str) -> None:
    for settings, named in (({}, "tls.certificate and auth.callers"), ({"tls": TLS}, "auth"), ({"auth": AUTH}, "tls")):
        with pytest.raises(ConfigError, match=named):
            check_exposure(Config(address=address, **settings))
        check_exposure(Config(address=address, allow_insecure=True, **settings))
    check_exposure(Config(address=address, tls=TLS, auth=AUTH))


@pytest.mark.parametrize("address", [Config().address, "localhost:1", "[::1]:1", "unix:/tmp/becausal"])
def test_this_machine_alone_needs_neither(address: str) -> None:
    check_exposure(Config(address=address))


async def test_the_server_itself_refuses(repository: storage.ExplanationRepository) -> None:
    config = Config(address="0.0.0.0:0", drain_delay_seconds=0)
    server = rpc_server(config, repository)
    with pytest.raises(ConfigError, match="allow_insecure"):
        await server.start()
    await server.stop()
