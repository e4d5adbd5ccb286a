"""Settings of the audit page; part of server/config.py."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads the annotations at run time

from pydantic import BaseModel, ConfigDict, Field


class Web(BaseModel):
    """The page for people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str | None = Field(
        default=None,
        pattern=r"^.+:\d{1,5}$",
        description="Where the audit page listens, such as `127.0.0.1:8080`; port 0 takes a free one; unset: nowhere. With "
        "`tls.certificate` it speaks HTTPS.",
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        description="Names under which browsers reach the page, besides the address's own; requests for others are refused.",
    )
    https: bool = Field(
        default=False, description="Browsers come by HTTPS through a proxy: cookies are sent over HTTPS alone."
    )
    secret_file: Path | None = Field(
        default=None,
        description="File with 32 bytes or more that signs sessions, the same for all instances; unset: new ones at each "
        "start, which ends the sessions.",
    )
    evaluation: Path | None = Field(
        default=None, description="Folder that `becausal evaluate --out` wrote, shown as Quality; unset: none."
    )
    session_hours: float = Field(default=8.0, gt=0, description="How long a login holds, in hours.")
