"""`becausal audit`: stored explanations, read where they are stored."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

import storage
from becausal.v1.explanation_service_pb2 import ListExplanationsResponse
from server.cli.options import ConfigFile, Database, Json, config_with
from server.cli.printing import print_explanation, print_explanations, print_json
from server.reading import list_records, read_record
from server.rpc.messages import explanation_message, id_from

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(help="Read stored explanations.", no_args_is_help=True)


@app.command("list")
def list_(
    *,
    config: ConfigFile = None,
    database: Database = None,
    filter: Annotated[str, typer.Option("--filter", help='Such as: user_id = "42" AND status = "EXPLAINED"')] = "",  # noqa: A002
    limit: Annotated[int, typer.Option("--limit", help="Most to print.")] = 20,
    page_token: Annotated[str, typer.Option("--page-token", help="Go on where the last list ended.")] = "",
    json: Json = False,
) -> None:
    """List stored explanations, newest first."""
    with _repository(config_with(config, database=database).database_url) as repository:
        page = list_records(repository, limit, page_token, filter)
    response = ListExplanationsResponse(
        explanations=[explanation_message(record, full=False) for record in page.records],
        next_page_token=page.next_page_token,
    )
    if json:
        print_json(response)
    else:
        print_explanations(response)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="explanations/{id}, as printed by explain and list.")],
    *,
    config: ConfigFile = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Print one stored explanation."""
    with _repository(config_with(config, database=database).database_url) as repository:
        explanation = explanation_message(read_record(repository, id_from(name)))
    if json:
        print_json(explanation)
    else:
        print_explanation(explanation)


@contextmanager
def _repository(url: str) -> Iterator[storage.ExplanationRepository]:
    storage.check(url)
    with storage.Database(url) as database:
        yield storage.ExplanationRepository(database)
