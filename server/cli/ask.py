"""`becausal recommend` and `becausal explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from becausal.v1.explanation_pb2 import ExplainOptions
from explainer.explanation import Intervention
from server.cli.gateway import open_gateway
from server.cli.options import BundleFolder, ConfigFile, Database, Json, config_with
from server.cli.printing import print_explanation, print_json, print_recommendation

History = Annotated[str, typer.Option("--history", help="Item tokens, oldest first, separated by commas.")]
User = Annotated[str, typer.Option("--user", help="User id to store with the explanation.")]
Address = Annotated[
    str | None,
    typer.Option("--address", help="HOST:PORT of a running server, instead of --bundle.", show_default=False),
]


def recommend(
    *,
    history: History,
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
    history: History,
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
    database: Database = None,
    json: Json = False,
) -> None:
    """Say why an item is recommended. In process, the explanation is stored only when --database says where."""
    options = ExplainOptions(top_k=top_k, max_size=max_size)
    if intervention is not None:
        options.intervention = ExplainOptions.Intervention.Value(intervention.value)
    settings = config_with(config, bundle, database)
    with open_gateway(settings, address=address, store=database is not None) as gateway:
        explanation = gateway.explain(_items(history), item=item, user_id=user, options=options)
    if json:
        print_json(explanation)
    else:
        print_explanation(explanation)


def _items(history: str) -> list[str]:
    return [token.strip() for token in history.split(",") if token.strip()]
