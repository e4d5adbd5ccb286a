"""`becausal audit`: stored explanations, read where they are stored, and all that proves them."""

from __future__ import annotations

from typing import Annotated

import typer

from becausal.v1.explanation_service_pb2 import ListExplanationsResponse
from server.cli import audit_log, audit_replay, audit_upkeep
from server.cli.audit_open import Actor, opened
from server.cli.options import ConfigFile, Database, Json
from server.cli.printing import print_explanation, print_explanations, print_json
from server.pages import parse_filter
from server.reading import list_records, read_record
from server.rpc.messages import explanation_message, id_from

app = typer.Typer(help="Read, replay, prove and erase stored explanations.", no_args_is_help=True)
app.command("replay")(audit_replay.replay)
app.command("keygen")(audit_log.keygen)
app.command("checkpoint")(audit_log.checkpoint)
app.command("prove")(audit_log.prove)
app.command("consistency")(audit_log.consistency)
app.command("export")(audit_log.export)
app.command("verify")(audit_log.verify)
app.command("erase")(audit_upkeep.erase)
app.command("retain")(audit_upkeep.retain)
app.command("hold")(audit_upkeep.hold)
app.command("release")(audit_upkeep.release)
app.command("holds")(audit_upkeep.holds)


@app.command("list")
def list_(
    *,
    config: ConfigFile = None,
    database: Database = None,
    filter: Annotated[str, typer.Option("--filter", help='Such as: user_id = "42" AND status = "EXPLAINED"')] = "",  # noqa: A002
    limit: Annotated[int, typer.Option("--limit", help="Most to print.")] = 20,
    page_token: Annotated[str, typer.Option("--page-token", help="Go on where the last list ended.")] = "",
    actor: Actor = "",
    json: Json = False,
) -> None:
    """List stored explanations, newest first."""
    with opened(config, database) as found:
        found.note(actor, "list", filter, parse_filter(filter).user_id)
        page = list_records(found.explanations, limit, page_token, filter)
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
    actor: Actor = "",
    json: Json = False,
) -> None:
    """Print one stored explanation."""
    explanation_id = id_from(name)
    with opened(config, database) as found:
        found.note(actor, "get", name)
        explanation = explanation_message(read_record(found.explanations, explanation_id))
    if json:
        print_json(explanation)
    else:
        print_explanation(explanation)
