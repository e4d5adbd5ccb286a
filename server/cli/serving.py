"""`becausal serve`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import typer

from server.cli.options import BundleFolder, ConfigFile, Database
from server.config import Config, load_config
from server.logs import configure


def serve(
    config: ConfigFile = None,
    bundle: BundleFolder = None,
    database: Database = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Where to listen; port 0 takes a free one.", show_default=False)
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Server processes that share the port.", show_default=False)
    ] = None,
) -> None:
    """Serve explanations over gRPC until SIGTERM or Ctrl-C; the second one does not wait for calls under way."""
    flags = {"bundle": bundle, "database_url": database, "address": address, "workers": workers}
    settings = load_config(config, flags)
    configure(settings.logs)
    host = settings.address.rpartition(":")[0]

    def ready(port: int) -> None:
        typer.echo(f"Serving at {host}:{port}")

    finished = asyncio.run(_run(settings, ready))
    typer.echo(
        "Calls under way were finished; the server has stopped."
        if finished
        else "The server has stopped; calls under way were cut off."
    )


async def _run(settings: Config, ready: Callable[[int], None]) -> bool:
    if settings.workers > 1:
        from server.workers import Workers  # noqa: PLC0415 - as below

        return await Workers(settings).run(ready)
    from server.main import serve as run  # noqa: PLC0415 - loads torch, which the other commands can do without

    return await run(settings, ready)
