"""`becausal audit replay`: one stored explanation computed again, or a sample of all."""

from __future__ import annotations

import json as json_module
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.progress import Progress

from explainer.language import Languages
from server.bundles import Bundles
from server.cli.audit_open import Actor, opened
from server.cli.failure import CommandError
from server.cli.options import ConfigFile, Database, Json
from server.cli.printing import print_json
from server.errors import ExplanationNotFoundError
from server.replay import Agreement, Replay, Verdict
from server.replaying import Replayer
from server.rpc.keeping_calls import replay_message
from server.rpc.messages import NAME_PREFIX, id_from

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from server.cli.audit_open import Opened
    from storage import ExplanationRepository


def replay(
    name: Annotated[str | None, typer.Argument(help="explanations/{id}.", show_default=False)] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Replay all stored explanations, or a --sample of them.")] = False,
    sample: Annotated[int | None, typer.Option("--sample", help="How many of all.", min=1, show_default=False)] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the choice of the sample.")] = 0,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            help="Model to use, whatever the record says; by default the recorded version's.",
            show_default=False,
        ),
    ] = None,
    config: ConfigFile = None,
    database: Database = None,
    actor: Actor = "",
    json: Json = False,
) -> None:
    """Compute stored explanations again and compare fact by fact. Exit code 1 when one does not hold."""
    if (name is None) == (not all_):
        raise CommandError("Say which explanation to replay, or --all.")
    with opened(config, database) as found:
        replayer = _replayer(found, bundle)
        if name is not None:
            held = _replay_one(found, replayer, name, actor=actor, json=json)
        else:
            found.note(actor, "replay", f"{sample or 'all'} of all explanations")
            held = _replay_many(replayer, _chosen(found.explanations, sample, seed), json=json)
    if not held:
        raise typer.Exit(1)


def _replayer(found: Opened, bundle: Path | None) -> Replayer:
    from recommender import Recommender, load_bundle  # noqa: PLC0415 - a model is opened only where it is needed

    bundles, suspect = Bundles.of(found.config), None
    if bundle is not None:
        suspect = Recommender(load_bundle(bundle))
    elif found.config.bundle.is_dir():
        active = Recommender(load_bundle(found.config.bundle))
        bundles = Bundles.of(found.config, lambda: active)
    return Replayer(found.explanations, found.trail, bundles, Languages(found.config.languages), suspect)


def _replay_one(found: Opened, replayer: Replayer, name: str, *, actor: str, json: bool) -> bool:
    explanation_id = id_from(name)
    found.note(actor, "replay", name)
    result = replayer.replay(explanation_id)
    if json:
        print_json(replay_message(name, result))
    else:
        typer.echo(
            f"{result.verdict.value}: {result.summary}" + (" Equal to the last bit." if result.bit_equal else "")
        )
        for fact in result.facts:
            if fact.agreement is not Agreement.EQUAL:
                typer.echo(f"   {fact.agreement.value}  {fact.difference}")
        if result.facts:
            typer.echo(f"   compared: {', '.join(fact.name for fact in result.facts)}")
    return result.verdict is Verdict.HOLDS


def _replay_many(replayer: Replayer, ids: Sequence[UUID], *, json: bool) -> bool:
    """Replay each; what does not hold is named, the rest is counted."""
    counts: Counter[Verdict] = Counter()
    exact = 0
    failed: list[tuple[str, Replay]] = []
    with Progress(console=Console(stderr=True)) as bar:
        for explanation_id in bar.track(ids, description="Replaying"):
            try:
                result = replayer.replay(explanation_id)
            except ExplanationNotFoundError:
                continue  # erased since the ids were read
            counts[result.verdict] += 1
            exact += result.bit_equal
            if result.verdict is not Verdict.HOLDS:
                failed.append((f"{NAME_PREFIX}{explanation_id}", result))
    if json:
        content = {
            "replayed": counts.total(),
            "bitEqual": exact,
            "verdicts": {verdict.value: counts[verdict] for verdict in Verdict},
            "failed": [MessageToDict(replay_message(name, result)) for name, result in failed],
        }
        typer.echo(json_module.dumps(content, ensure_ascii=False))
    else:
        for name, result in failed:
            typer.echo(f"{name}  {result.verdict.value}: {result.summary}")
        typer.echo(f"{counts[Verdict.HOLDS]} of {counts.total()} hold, {exact} of them to the last bit.")
    return not failed


def _chosen(explanations: ExplanationRepository, sample: int | None, seed: int) -> list[UUID]:
    """All ids, or a random sample of them, each as likely as the other (Vitter's algorithm R)."""
    chosen: list[UUID] = []
    choice, seen = random.Random(seed), 0  # noqa: S311 - a sample, not a secret
    page = explanations.ids()
    while page:
        for explanation_id in page:
            seen += 1
            if sample is None or len(chosen) < sample:
                chosen.append(explanation_id)
            elif (place := choice.randrange(seen)) < sample:
                chosen[place] = explanation_id
        page = explanations.ids(after=page[-1])
    return chosen
