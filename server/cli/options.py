"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from server.config import Config, load_config

ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file with settings.", show_default=False)]
BundleFolder = Annotated[Path | None, typer.Option("--bundle", help="Folder of the model bundle.", show_default=False)]
Database = Annotated[
    str | None,
    typer.Option("--database", help="Database URL; by default the one of the configuration.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def config_with(config: Path | None, bundle: Path | None = None, database: str | None = None) -> Config:
    """The configuration with what these flags say over it."""
    return load_config(config, {"bundle": bundle, "database_url": database})
