"""Settings of what is seen from outside: probes and metrics, logs, traces; part of server/config.py."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Admin(BaseModel):
    """Probes and metrics."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str | None = Field(
        default=None,
        pattern=r"^.+:\d{1,5}$",
        description="Where `/metrics`, `/livez` and `/readyz` listen, plain HTTP without callers, such as `127.0.0.1:9464`; "
        "port 0 takes a free one; unset: nowhere.",
    )
    check_seconds: float = Field(
        default=5.0, gt=0, description="How often model, database, schema and audit writer are looked at, in seconds."
    )
    check_timeout_seconds: float = Field(
        default=3.0, gt=0, description="How long the database may take to answer such a look, in seconds."
    )


class Logs(BaseModel):
    """What is logged, to standard error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["text", "json"] = Field(default="text", description="`json` writes one object a line.")
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least level that is logged; `INFO` has a line for each call."
    )
    payloads: bool = Field(
        default=False,
        description="Log the texts of exceptions too, which may quote user ids and items; for searching a fault.",
    )


class Telemetry(BaseModel):
    """OpenTelemetry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    traces: bool = Field(
        default=False,
        description="Send OpenTelemetry traces (extra `otel`); where to and how many is said by the standard `OTEL_` "
        "variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`.",
    )
