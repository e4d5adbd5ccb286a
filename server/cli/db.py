"""`becausal db`: the schema of the database."""

from __future__ import annotations

import typer

import storage
from server.cli.options import ConfigFile, Database, config_with

app = typer.Typer(help="Look after the database's schema.", no_args_is_help=True)


@app.command()
def upgrade(config: ConfigFile = None, database: Database = None) -> None:
    """Bring the database to the newest schema, creating it where there is none."""
    url = config_with(config, database=database).database_url
    before = storage.current(url)
    storage.upgrade(url)
    typer.echo(f"Schema {storage.head()}" + (" (already there)" if before == storage.head() else ""))


@app.command()
def current(config: ConfigFile = None, database: Database = None) -> None:
    """Print the schema the database has."""
    typer.echo(storage.current(config_with(config, database=database).database_url) or "none")


@app.command()
def check(config: ConfigFile = None, database: Database = None) -> None:
    """Exit with 0 when the schema is the newest, with 1 when it is not."""
    try:
        storage.check(config_with(config, database=database).database_url)
    except storage.SchemaError as error:
        typer.echo(f"becausal: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"Schema {storage.head()}")
