"""`becausal recommend`, `becausal explain` and `becausal what-if`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from becausal.v1.explanation_pb2 import ExplainOptions
from explainer.settings import Intervention
from server.cli.failure import CommandError
from server.cli.gateway import open_gateway
from server.cli.graph_file import graph_text, write_graph
from server.cli.options import BundleFolder, ConfigFile, Database, Json, config_with
from server.cli.printing import print_explanation, print_json, print_recommendation, print_what_if

History = Annotated[
    str,
    typer.Option(
        "--history", help="Item tokens, oldest first, separated by commas; left out, what is recorded for --user."
    ),
]
User = Annotated[str, typer.Option("--user", help="User id to store with the explanation.")]
Address = Annotated[
    str | None,
    typer.Option("--address", help="HOST:PORT of a running server, instead of --bundle.", show_default=False),
]


def recommend(
    *,
    history: History = "",
    bundle: BundleFolder = None,
    address: Address = None,
    config: ConfigFile = None,
    user: User = "",
    k: Annotated[int, typer.Option("--k", help="How many items.")] = 10,
    json: Json = False,
) -> None:
    """Rank the catalogue for a history."""
    with open_gateway(config_with(config, bundle), address=address, store=False) as gateway:
        response = gateway.recommend(_items(history), k=k, user_id=user)
    if json:
        print_json(response)
    else:
        print_recommendation(response)


def explain(
    *,
    history: History = "",
    bundle: BundleFolder = None,
    address: Address = None,
    config: ConfigFile = None,
    user: User = "",
    item: Annotated[str, typer.Option("--item", help="Item to explain; by default the top recommendation.")] = "",
    intervention: Annotated[
        Intervention | None, typer.Option(help='What "without the item" means.', show_default=False)
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(help="Explain leaving the first top_k; by default the item's own place.", show_default=False),
    ] = None,
    max_size: Annotated[int | None, typer.Option(help="Largest set of items to try.", show_default=False)] = None,
    language: Annotated[
        str | None, typer.Option("--language", help="Language of the reason, such as de.", show_default=False)
    ] = None,
    verb: Annotated[
        str | None, typer.Option("--verb", help="What the user did: watched, bought, listened ...", show_default=False)
    ] = None,
    exhaust: Annotated[bool, typer.Option("--exhaust", help="Find all smallest sets, not just some.")] = False,
    graph: Annotated[
        Path | None,
        typer.Option("--graph", help="Draw a head's causal graph into this SVG file; - prints it.", show_default=False),
    ] = None,
    head: Annotated[int, typer.Option("--head", help="Head whose graph is drawn, from 0.")] = 0,
    database: Database = None,
    json: Json = False,
) -> None:
    """Say why an item is recommended. In process, the explanation is stored only when --database says where."""
    options = ExplainOptions(top_k=top_k, max_size=max_size, language_code=language, verb=verb, exhaust=exhaust or None)
    if intervention is not None:
        options.intervention = ExplainOptions.Intervention.Value(intervention.value)
    settings = config_with(config, bundle, database)
    with open_gateway(settings, address=address, store=database is not None) as gateway:
        explanation = gateway.explain(_items(history), item=item, user_id=user, options=options)
    if graph is not None and str(graph) != "-":
        write_graph(explanation, head, graph)
    if json:
        print_json(explanation)
    else:
        print_explanation(explanation)
        if str(graph) == "-":
            typer.echo(graph_text(explanation, head))


def what_if(
    *,
    history: History,
    bundle: BundleFolder = None,
    address: Address = None,
    config: ConfigFile = None,
    remove: Annotated[
        str, typer.Option("--remove", help="Positions of the history, from 0, separated by commas.")
    ] = "",
    add: Annotated[str, typer.Option("--add", help="Item tokens to add at the end, separated by commas.")] = "",
    intervention: Annotated[
        Intervention | None, typer.Option(help='What "without the item" means.', show_default=False)
    ] = None,
    k: Annotated[int, typer.Option("--k", help="How many items.")] = 10,
    json: Json = False,
) -> None:
    """Edit a history and see how the recommendations change."""
    with open_gateway(config_with(config, bundle), address=address, store=False) as gateway:
        response = gateway.what_if(
            _items(history),
            remove=_positions(remove),
            add=_items(add),
            intervention=ExplainOptions.Intervention.Value(
                "INTERVENTION_UNSPECIFIED" if intervention is None else intervention.value
            ),
            k=k,
        )
    if json:
        print_json(response)
    else:
        print_what_if(response)


def _positions(text: str) -> list[int]:
    try:
        return [int(position) for position in _items(text)]
    except ValueError as error:
        raise CommandError(f"--remove takes positions from 0 separated by commas, not {text!r}.") from error


def _items(history: str) -> list[str]:
    return [token.strip() for token in history.split(",") if token.strip()]
