"""Where the gRPC port listens and how it is encrypted; what would be open to strangers is refused."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import grpc

from becausal.channel import is_local
from server.config import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from server.access_settings import Tls
    from server.config import Config

logger = logging.getLogger(__name__)


def check_exposure(config: Config) -> None:
    """Refuse an address beyond this machine that strangers could read or call.

    Raises:
        ConfigError: TLS or callers are missing, and `allow_insecure` is off.
    """
    refuse_strangers(config, config.address, "tls.certificate", encrypted=config.tls.on)


def refuse_strangers(config: Config, address: str, encryption: str, *, encrypted: bool, setting: str = "") -> None:
    """The same for any port: ``encryption`` names what would encrypt it, ``setting`` the one of the address.

    Raises:
        ConfigError: encryption or callers are missing, and `allow_insecure` is off.
    """
    missing = [name for name, there in ((encryption, encrypted), ("auth.callers", config.auth.callers)) if not there]
    if missing and not config.allow_insecure and not is_local(address):
        raise ConfigError(
            f"{setting}{address} is open to other machines without {' and '.join(missing)}; set them, listen on 127.0.0.1, "
            "or set allow_insecure = true where something else protects the port."
        )


def add_port(server: grpc.aio.Server, config: Config) -> int:
    """Bind the address of the configuration; the port that it got.

    Raises:
        ConfigError: strangers could reach it, it cannot be bound, or a certificate cannot be used.
    """
    check_exposure(config)
    # Read before binding, so that what is wrong with a file is not taken for a wrong address.
    credentials = server_credentials(config.tls) if config.tls.on else None
    try:
        if credentials is None:
            return server.add_insecure_port(config.address)
        return server.add_secure_port(config.address, credentials)
    except RuntimeError as error:
        raise ConfigError(
            f"Cannot listen on {config.address}; free the port or set another address (port 0 takes a free one)."
        ) from error


def server_credentials(tls: Tls) -> grpc.ServerCredentials:
    """Credentials that follow their files: each handshake looks whether they changed.

    Raises:
        ConfigError: a file cannot be used.
    """
    files = CertificateFiles(tls)
    changed: Any = files.changed  # None is gRPC's own word for no change, which the stubs leave out
    return grpc.dynamic_ssl_server_credentials(
        files.read(), changed, require_client_authentication=tls.client_ca is not None
    )


class CertificateFiles:
    """The files of a TLS configuration. Safe in threads: gRPC asks on one of its own."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._turn = threading.Lock()
        self._seen: tuple[object, ...] = ()

    def read(self) -> grpc.ServerCertificateConfiguration:
        """The certificates as they are now.

        Raises:
            ConfigError: a file cannot be read, or key and certificate do not belong together.
        """
        self._seen = self._state()
        key, certificate = _bytes(self._tls.key), _bytes(self._tls.certificate)
        _check_pair(certificate, key, self._tls)
        authorities = None if self._tls.client_ca is None else _bytes(self._tls.client_ca)
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=authorities)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The certificates when the files changed; None to go on with those in use, also while the new ones are unusable."""
        with self._turn:
            try:
                if self._state() == self._seen:
                    return None
                fresh = self.read()
            except ConfigError as error:
                logger.warning("The certificates in use stay: %s", error)
                return None
        logger.info("The certificates were read again")
        return fresh

    def _state(self) -> tuple[object, ...]:
        files = (self._tls.certificate, self._tls.key, self._tls.client_ca)
        return tuple(_version(file) for file in files if file is not None)


def _version(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}); mend the path or its permissions.") from error
    return found.st_ino, found.st_size, found.st_mtime_ns


def _bytes(file: Path | None) -> bytes:
    assert file is not None  # noqa: S101 - the settings checked that they are complete
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}); mend the path or its permissions.") from error


def _check_pair(certificate: bytes, key: bytes, tls: Tls) -> None:
    """See here what does not fit together: gRPC would take it and fail each handshake."""
    from cryptography import x509  # noqa: PLC0415 - only where TLS is on
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - as above

    try:
        fits = (
            x509.load_pem_x509_certificates(certificate)[0].public_key() == load_pem_private_key(key, None).public_key()
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{tls.certificate} or {tls.key} is not PEM without a password; give a usable pair."
        ) from error
    if not fits:
        raise ConfigError(f"{tls.key} is not the key of {tls.certificate}; give a pair that belongs together.")
