"""Settings of who may call and of encryption; part of server/config.py."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads the annotations at run time
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from server.access import Role  # noqa: TC001 - as above

TokenHash = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
CallerName = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,256}$")]


class CallerSettings(BaseModel):
    """Somebody who may call."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: CallerName = Field(description="Name in logs and in the audit log.")
    roles: tuple[Role, ...] = Field(min_length=1, description="What the caller may do.")
    tokens: tuple[TokenHash, ...] = Field(
        default=(), description="Hashes of the caller's tokens, made by `becausal token`; two while one is replaced."
    )
    certificates: tuple[str, ...] = Field(
        default=(), description="Subject alternative names of the caller's client certificates."
    )

    @model_validator(mode="after")
    def _recognisable(self) -> Self:
        if not (self.tokens or self.certificates):
            raise ValueError(f"caller {self.name} has neither tokens nor certificates; give one of them")
        return self


class Auth(BaseModel):
    """Who may call what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    callers: tuple[CallerSettings, ...] = Field(
        default=(),
        description="Who may call: tables of `name`, `roles` (`explain`, `audit.read`, `audit.erase`, `admin`), `tokens` "
        "(hashes made by `becausal token`) and `certificates` (subject alternative names); none: everybody may do "
        "everything. In the environment: JSON.",
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for kind in ("tokens", "certificates"):
            all_of_them = [one for caller in self.callers for one in getattr(caller, kind)]
            if len(set(all_of_them)) < len(all_of_them):
                raise ValueError(f"one of the {kind} stands twice; a caller is recognised by what only it has")
        return self


class Tls(BaseModel):
    """Encryption of the gRPC port. Files are read again when they change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Path | None = Field(
        default=None,
        description="The server's certificate chain, PEM; read again when the file changes; unset: no TLS.",
    )
    key: Path | None = Field(default=None, description="Private key of `tls.certificate`, PEM.")
    client_ca: Path | None = Field(
        default=None, description="Authorities of client certificates, PEM: every client needs one then (mTLS)."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.certificate is None) is not (self.key is None):
            raise ValueError("certificate and key belong together; give both or neither")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("client_ca needs certificate and key")
        return self

    @property
    def on(self) -> bool:
        """Whether the port is encrypted."""
        return self.certificate is not None
