"""Settings of the service: one TOML file, ``BECAUSAL_...`` variables over it, flags over both.

docs/configuration.md is generated from this file (`make docs`).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from explainer.settings import Intervention
from explainer.settings import Settings as ExplainerSettings
from server.access_settings import Auth, Tls
from server.admission_settings import Admission
from server.outside_settings import Admin, Logs, Telemetry
from server.web_settings import Web

if TYPE_CHECKING:
    from collections.abc import Mapping


class ConfigError(Exception):
    """The configuration cannot be used; the text is one sentence that names the setting."""


class Limits(BaseModel):
    """Most that one request may ask for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    history: int = Field(default=10_000, ge=1, description="Most item tokens in a history.")
    recommended: int = Field(default=100, ge=1, description="Largest k of Recommend.")
    explained: int = Field(default=20, ge=1, description="Largest k of RecommendAndExplain.")
    set_size: int = Field(default=5, ge=1, description="Largest max_size of an explanation, in items.")
    rows: int = Field(default=200_000, ge=1, description="Largest max_rows of an explanation.")
    tests: int = Field(default=1_000_000, ge=1, description="Largest max_tests of an explanation.")
    token_length: int = Field(default=256, ge=1, description="Longest item token or user id, in characters.")
    seconds: float = Field(
        default=30.0, gt=0, description="Longest that an explanation may take, whatever the caller's deadline."
    )
    default_seconds: float = Field(
        default=10.0, gt=0, description="Longest that one may take whose caller set no deadline, and one of a stream."
    )
    message_bytes: int = Field(
        default=4 * 1024 * 1024, ge=1024, description="Largest message that is received, in bytes."
    )
    batch: int = Field(default=100, ge=1, description="Most requests in one BatchExplain.")
    outstanding: int = Field(
        default=16,
        ge=1,
        description="Most requests of one StreamExplain that are worked on, or whose answer was not taken yet; the rest "
        "stays with the client.",
    )


class ExplainDefaults(BaseModel):
    """How to explain where the request does not say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    intervention: Intervention = Field(default=Intervention.MASK_OUT, description='What "without the item" means.')
    max_size: int = Field(default=3, ge=1, description="Largest set of items to try.")
    max_rows: int = Field(default=25_000, ge=1, description="Most counterfactual histories to score.")
    alpha: float = Field(default=0.01, gt=0, lt=1, description="Level of the independence tests.")
    n_samples: int | None = Field(
        default=None, ge=5, description="Sample size of the independence tests; unset: the model's hidden size."
    )
    max_radius: int | None = Field(
        default=None, ge=0, description="Largest conditioning set of the graph; unset: no limit."
    )
    max_tests: int = Field(default=200_000, ge=1, description="Most independence tests for one graph.")
    temporal: bool | None = Field(
        default=None,
        description="Take the order of the history as the order of time in the graph; unset: as the model reads it.",
    )
    exhaust: bool = Field(
        default=False, description="Try all sets of the size that is found, so that the alternatives are complete."
    )
    language_code: str = Field(
        default="en", description="Language of the reasons (BCP 47): `en`, `de`, `es`, `zh`, or one of `languages`."
    )
    verb: str = Field(
        default="watched",
        description="What users did with the items: `watched`, `bought`, `listened`, `read`, `played`, or your own.",
    )
    min_effect: float = Field(
        default=0.0, ge=0, description="A reason needs a set that lowers the margin this much, in score units."
    )
    min_stability: float = Field(
        default=0.0, ge=0, le=1, description="A reason needs a set that works under this share of the interventions."
    )

    def settings(self) -> ExplainerSettings:
        """The same as the explainer takes them."""
        return ExplainerSettings(**dict(self))


class Batching(BaseModel):
    """How calls share the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int = Field(
        default=512,
        ge=1,
        description="A pass of the model takes what waits for it until it has so many histories; 1: each question has its own.",
    )
    delay_seconds: float = Field(
        default=0.0, ge=0, description="How long a free model waits for more questions before a pass that is not full."
    )
    calls: int = Field(default=32, ge=1, description="Most calls that compute, or wait for the model, at once.")
    cores: int | None = Field(
        default=None,
        ge=1,
        description="Most calls that work at once, in a process; unset: the machine's cores, or a worker's share of them.",
    )


class Audit(BaseModel):
    """How explanations are kept and proved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["durable", "best_effort"] = Field(
        default="durable",
        description="`durable` answers when the record is on disk; `best_effort` at once, and counts what it had to drop.",
    )
    origin: str = Field(
        default="becausal",
        pattern=r"^[^\s+]+$",
        description="Name of the audit log in its checkpoints, such as `example.com/becausal`.",
    )
    key_file: Path | None = Field(
        default=None, description="Private key that signs checkpoints (`becausal audit keygen`); unset: unsigned."
    )
    sequence_seconds: float = Field(
        default=1.0, gt=0, description="How often new entries are put in order and signed, in seconds."
    )
    retention_days: float | None = Field(
        default=None, gt=0, description="Age at which explanations are erased, in days; unset: never."
    )
    record_reads: bool = Field(
        default=True, description="Whether reading stored explanations is itself recorded in the audit log."
    )


class Config(BaseSettings):
    """Settings of `becausal serve`. Every default works on a laptop."""

    model_config = SettingsConfigDict(
        env_prefix="BECAUSAL_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    bundle: Path = Field(
        default=Path("bundle"),
        description="Folder of the model bundle, made by `becausal import`; once a model was activated "
        "(`becausal models activate`), the database says which is served.",
    )
    database_url: str = Field(
        default="sqlite:///becausal.db",
        description="Where explanations are stored: a SQLAlchemy URL, SQLite or PostgreSQL.",
    )
    address: str = Field(default="127.0.0.1:50051", description="Where to listen; port 0 takes a free one.")
    reflection: bool = Field(default=True, description="Whether clients may ask for the protocol by gRPC reflection.")
    refuse_unknown_items: bool = Field(
        default=False, description="Refuse a history with unknown items, instead of leaving them out and saying so."
    )
    languages: Path | None = Field(default=None, description="Folder with language files of your own, CODE.toml.")
    bundles: Path | None = Field(
        default=None,
        description="Folder where bundles are kept by their digest, for activation and replays; unset: `bundles` beside "
        "`bundle`.",
    )
    follow_seconds: float = Field(
        default=5.0, gt=0, description="How often an instance looks which model was activated elsewhere, in seconds."
    )
    workers: int = Field(
        default=1,
        ge=1,
        description="Server processes that share the port; each loads the model, has its share of the cores, and its "
        "admin listener one port after the other's. The kernel shares connections out among them, not calls.",
    )
    drain_delay_seconds: float = Field(
        default=0.5,
        ge=0,
        description="How long new calls are still taken at shutdown, after health says NOT_SERVING, so that clients "
        "and load balancers turn to another instance; with Kubernetes some seconds more than it takes to leave the endpoints.",
    )
    drain_seconds: float = Field(
        default=10.0, ge=0, description="How long calls under way may take to finish at shutdown."
    )
    allow_insecure: bool = Field(
        default=False,
        description="Listen beyond this machine even without TLS or without `auth.callers`, where something else "
        "protects the port.",
    )
    tls: Tls = Field(default=Tls(), description="Encryption of the gRPC port.")
    auth: Auth = Field(default=Auth(), description="Who may call what.")
    limits: Limits = Field(default=Limits(), description="Most that one request may ask for.")
    admission: Admission = Field(default=Admission(), description="How many calls are taken.")
    batching: Batching = Field(default=Batching(), description="How calls share the model.")
    audit: Audit = Field(default=Audit(), description="How explanations are kept and proved.")
    admin: Admin = Field(default=Admin(), description="Probes and metrics.")
    web: Web = Field(default=Web(), description="The audit page.")
    logs: Logs = Field(default=Logs(), description="What is logged.")
    telemetry: Telemetry = Field(default=Telemetry(), description="Traces.")
    explain: ExplainDefaults = Field(
        default=ExplainDefaults(), description="How to explain where the request does not say."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags over environment over file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_config(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Config:
    """Read the settings.

    Args:
        file: TOML file, or None for defaults, environment and flags alone.
        flags: Settings given on the command line; None values count as not given.

    Raises:
        ConfigError: the file cannot be read, or a setting is unknown or out of its range.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    if file is not None and not file.is_file():
        raise ConfigError(f"There is no configuration file at {file}; give the path of a TOML file.")

    class _FromFile(Config):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return _FromFile(**given)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"Setting {name} is wrong: {first['msg']}; see docs/configuration.md.") from error
