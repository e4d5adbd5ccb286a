"""`becausal serve`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from server.cli.options import BundleFolder, ConfigFile, Database
from server.config import load_config
from server.logs import configure


def serve(
    config: ConfigFile = None,
    bundle: BundleFolder = None,
    database: Database = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Where to listen; port 0 takes a free one.", show_default=False)
    ] = None,
) -> None:
    """Serve explanations over gRPC until SIGTERM or Ctrl-C."""
    from server.main import serve as run  # noqa: PLC0415 - loads torch, which the other commands can do without

    settings = load_config(config, {"bundle": bundle, "database_url": database, "address": address})
    configure(settings.logs)
    host = settings.address.rpartition(":")[0]

    def ready(port: int) -> None:
        typer.echo(f"Serving {settings.bundle} at {host}:{port}")

    asyncio.run(run(settings, ready))
    typer.echo("Calls under way were finished; the server has stopped.")
