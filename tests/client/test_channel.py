"""The service config at work: retries, throttling, balance, health; tokens and TLS."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from becausal import errors
from becausal.channel import AUDIT_SERVICE, EXPLANATION_SERVICE, Connection, is_local
from becausal.client import AsyncClient, Client, Tls
from becausal.health import main as probe
from listening import listening, scripted
from server.rpc import server as rpc_server

if TYPE_CHECKING:
    import storage

OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE


def test_the_names_are_the_servers() -> None:
    assert (EXPLANATION_SERVICE, AUDIT_SERVICE) == (rpc_server.EXPLANATION_SERVICE, rpc_server.AUDIT_SERVICE)


async def test_unavailable_is_tried_again() -> None:
    async with (
        scripted(lambda call: UNAVAILABLE if call < 4 else OK) as server,
        AsyncClient(f"127.0.0.1:{server.port}") as client,
    ):
        await client.recommend(["a"])
    assert len(server.calls) == 4


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED, grpc.StatusCode.UNKNOWN],
)
async def test_nothing_else_is_tried_again(code: grpc.StatusCode) -> None:
    async with scripted(lambda _: code) as server, AsyncClient(f"127.0.0.1:{server.port}") as client:
        with pytest.raises(errors.CallError, match="as scripted"):
            await client.recommend(["a"])
    assert len(server.calls) == 1


async def test_retries_do_not_finish_off_a_server_in_trouble() -> None:
    async with scripted(lambda _: UNAVAILABLE) as server, AsyncClient(f"127.0.0.1:{server.port}") as client:
        for _ in range(20):
            with pytest.raises(errors.UnavailableError):
                await client.recommend(["a"])
    assert len(server.calls) < 20 + 10  # without throttling 80


async def test_calls_go_round_and_leave_out_who_does_not_serve() -> None:
    async with (
        scripted() as one,
        scripted() as two,
        AsyncClient(f"ipv4:127.0.0.1:{one.port},127.0.0.1:{two.port}") as client,
    ):
        async with asyncio.timeout(10):
            while not (one.calls and two.calls):  # both connections stand
                await client.recommend(["a"])
        answered = Counter([(await client.recommend(["a"])).model_version for _ in range(20)])
        assert answered == {str(one.port): 10, str(two.port): 10}

        await one.says(serving=False)
        async with asyncio.timeout(10):
            while {(await client.recommend(["a"])).model_version for _ in range(2)} != {str(two.port)}:
                pass
        before = len(one.calls)
        for _ in range(20):
            await client.recommend(["a"])
        assert len(one.calls) == before


async def test_no_call_fails_when_one_of_two_servers_stops(repository: storage.ExplanationRepository) -> None:
    async with listening(repository) as staying, listening(repository, drain_delay=1) as leaving:
        target = f"ipv4:127.0.0.1:{staying.port},127.0.0.1:{leaving.port}"
        done = asyncio.Event()

        async def keep_calling(client: AsyncClient) -> int:
            calls = 0
            while not done.is_set():
                await client.explain(["a", "b", "c"])
                calls += 1
            return calls

        async with AsyncClient(target) as client, asyncio.TaskGroup() as group:
            callers = [group.create_task(keep_calling(client)) for _ in range(4)]
            await asyncio.sleep(0.3)
            await leaving.stop()
            await asyncio.sleep(0.3)
            done.set()
        assert all(caller.result() > 1 for caller in callers)


async def test_a_token_goes_with_each_call_and_can_change() -> None:
    tokens = iter(["first", "second"])
    async with scripted() as server, AsyncClient(f"127.0.0.1:{server.port}", token=lambda: next(tokens)) as client:
        await client.recommend(["a"])
        await client.recommend(["a"])
    assert [call["authorization"] for call in server.calls] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("target", "local"),
    [
        ("localhost:1", True),
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("unix:///run/becausal.sock", True),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", True),
        ("dns:///localhost:1", True),
        ("becausal:1", False),
        ("dns:///becausal.example:1", False),
        ("dns://8.8.8.8/localhost.example:1", False),
        ("ipv4:127.0.0.1:1,10.0.0.1:2", False),
        ("127.0.0.1.example.com:1", False),
    ],
)
def test_a_token_does_not_travel_in_the_clear(target: str, *, local: bool) -> None:
    assert is_local(target) is local
    if local:
        Connection(target, 1.0, token="t")
        return
    with pytest.raises(ValueError, match="would travel in the clear; give tls=True"):
        Connection(target, 1.0, token="t")
    Connection(target, 1.0, token="t", tls=True)
    Connection(target, 1.0, token="t", plaintext_token=True)


def test_settings_that_contradict_one_another() -> None:
    with pytest.raises(ValueError, match="give one of them"):
        Client("here:1", tls=True, credentials=grpc.ssl_channel_credentials())
    with pytest.raises(ValueError, match="more than 0"):
        Client("here:1", timeout=0)
    with pytest.raises(ValueError, match="both certificate and key"):
        Tls(key=b"k")


def pem(name: str, folder: Path) -> Tls:
    """A self-signed certificate, as the client sees it, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Tls(folder / f"{name}.crt", folder / f"{name}.crt", folder / f"{name}.key", name)


def server_credentials(own: Tls, callers: Tls) -> grpc.ServerCredentials:
    key, chain, roots = (part.read_bytes() for part in (own.key, own.ca, callers.ca) if isinstance(part, Path))
    return grpc.ssl_server_credentials([(key, chain)], root_certificates=roots, require_client_auth=True)


async def test_tls_and_mtls(tmp_path: Path) -> None:
    server_pem, client_pem = pem("becausal.example", tmp_path), pem("backend", tmp_path)
    credentials = server_credentials(server_pem, client_pem)
    known = Tls(server_pem.ca, client_pem.certificate, client_pem.key, server_pem.server_name)
    async with scripted(credentials=credentials) as server:
        address = f"127.0.0.1:{server.port}"
        async with AsyncClient(address, tls=known, token="secret") as client:
            await client.recommend(["a"])
        for stranger in (Tls(server_pem.ca, server_name=server_pem.server_name), Tls(), None):
            async with AsyncClient(address, tls=stranger, timeout=5) as client:
                with pytest.raises(errors.UnavailableError, match="TLS"):
                    await client.recommend(["a"])
    assert [call["authorization"] for call in server.calls] == ["Bearer secret"]


async def test_the_probe_says_whether_a_server_serves(capsys: pytest.CaptureFixture[str]) -> None:
    async with scripted() as server:
        address = f"127.0.0.1:{server.port}"
        assert await asyncio.to_thread(probe, [address]) == 0
        await server.says(serving=False)
        assert await asyncio.to_thread(probe, [address]) == 1
    assert await asyncio.to_thread(probe, [address]) == 1
    assert await asyncio.to_thread(probe, []) == 2
    printed = capsys.readouterr()
    assert printed.out == "SERVING\nNOT_SERVING\n"
    assert "does not answer" in printed.err
    assert "Usage" in printed.err
