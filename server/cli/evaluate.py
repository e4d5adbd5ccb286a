"""`becausal evaluate`: how good are the explanations of a model, against other methods and controls?"""

from __future__ import annotations

import json as jsonlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from explainer.evaluation import METHODS, Plan, cases, evaluate
from explainer.evaluation.plots import check_matplotlib, save_plots
from explainer.evaluation.report import headline, markdown
from explainer.settings import Intervention
from recommender import Recommender, load_bundle, read_dataset
from recommender.evaluation import quality
from server.cli.failure import CommandError
from server.cli.options import BundleFolder, ConfigFile, Json, config_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from explainer.evaluation import Case, Evaluation
    from recommender import Bundle, HeldOut

QUICK = 100
"""Users of a quick evaluation: some minutes."""


def evaluate_(
    *,
    data: Annotated[Path, typer.Option("--data", help="Folder of the data set that the model was trained on.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the report, the figures and the plots to.")],
    bundle: BundleFolder = None,
    config: ConfigFile = None,
    users: Annotated[int, typer.Option("--users", min=0, help="How many users, drawn by the seed; 0 for all.")] = QUICK,
    methods: Annotated[
        str, typer.Option("--methods", help=f"Methods, separated by commas, of {', '.join(METHODS)}.")
    ] = ",".join(METHODS),
    intervention: Annotated[
        list[Intervention] | None,
        typer.Option(
            help="What removing means; may be given again. The first is asked everything, the others for the table "
            "alone. Default: MASK_OUT, DELETE, DELETE_BACKFILL.",
            show_default=False,
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="The target is explained when it leaves the first top_k.")] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Of everything random.")] = 2026,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Whether to draw; needs matplotlib.")] = True,
    json: Json = False,
) -> None:
    """Compare methods of explanation on held-out users, with paired bootstrap intervals."""
    settings = config_with(config, bundle)
    plan = Plan(
        methods=_methods(methods),
        interventions=Plan().interventions if intervention is None else tuple(dict.fromkeys(intervention)),
        top_k=top_k,
        seed=seed,
        settings=settings.explain.settings(),
    )
    _prepare(out, plots=plots)
    loaded = load_bundle(settings.bundle)
    recommender = Recommender(loaded)
    held_out = _drawn(read_dataset(data, loaded.data_settings).held_out("test"), users, seed)
    asked = cases(recommender, [(one.user, recommender.window(one.history)) for one in held_out])
    evaluation = _evaluated(recommender, asked, plan, _with_shuffled_weights(loaded, seed))
    facts = {
        "command": _command(users, methods=plan.methods, intervention=intervention, top_k=top_k, seed=seed),
        "model": recommender.version,
        "accuracy": f"{quality(recommender, held_out, exclude_history=True)}, history excluded",
        "users": f"{len(asked)}, histories of {_lengths(asked)}",
        "question": f"why the top recommendation? Explained when it leaves the top {top_k}",
        "seed": str(seed),
    }
    _save(evaluation, facts, out, plots=plots)
    if json:
        typer.echo(jsonlib.dumps({"facts": facts, **evaluation.figures}, ensure_ascii=False, allow_nan=False))
    else:
        typer.echo(headline(evaluation.figures, plan.interventions[0].value))
        typer.echo(f"\nWritten to {out}: " + ", ".join(sorted(path.name for path in out.iterdir())))


def _evaluated(recommender: Recommender, asked: Sequence[Case], plan: Plan, shuffled: Bundle) -> Evaluation:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("Evaluating", total=len(asked))

        def show(done: int) -> None:
            # Intervals and specificity come last and take about a minute for a thousand users.
            bar.update(task, completed=done, description="Summing up" if done == len(asked) else "Evaluating")

        return evaluate(
            recommender,
            asked,
            plan,
            random_weights=Recommender(shuffled),
            progress=show,
        )


def _prepare(out: Path, *, plots: bool) -> None:
    """Fail now rather than after the evaluation."""
    if plots:
        check_matplotlib()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{out} cannot be made a folder ({error.strerror}); name another with --out.") from error


def _save(evaluation: Evaluation, facts: dict[str, str], out: Path, *, plots: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    _write(
        out / "evaluation.json",
        jsonlib.dumps({"facts": facts, **evaluation.figures}, indent=1, ensure_ascii=False, allow_nan=False),
    )
    _write(out / "evaluation.md", markdown(evaluation.figures, facts))
    lines = [jsonlib.dumps(record, ensure_ascii=False) for record in evaluation.records()]
    _write(out / "records.jsonl", "\n".join(lines))
    if plots:
        save_plots(evaluation, out)


def _write(path: Path, text: str) -> None:
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def _methods(text: str) -> tuple[str, ...]:
    named = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in named if name not in METHODS]
    if unknown or not named:
        raise CommandError(f"--methods takes some of {', '.join(METHODS)}, not {unknown[0] if unknown else 'none'!r}.")
    return tuple(name for name in METHODS if name in named)


def _drawn(held_out: Sequence[HeldOut], users: int, seed: int) -> list[HeldOut]:
    """So many users, in the data set's order."""
    if not users or users >= len(held_out):
        return list(held_out)
    places = np.random.default_rng(seed).choice(len(held_out), users, replace=False)
    return [held_out[place] for place in sorted(places.tolist())]


def _with_shuffled_weights(bundle: Bundle, seed: int) -> Bundle:
    """The same model with every parameter's values in random order: the same sizes, nothing learnt."""
    random = np.random.default_rng(seed)
    weights = {
        name: value.flatten()[random.permutation(value.numel())].view(value.shape)
        for name, value in bundle.weights.items()
    }
    return replace(bundle, weights=weights)


def _lengths(asked: Sequence[Case]) -> str:
    lengths = [case.n for case in asked]
    return f"{min(lengths)} to {max(lengths)} items" if lengths else "no items"


def _command(users: int, *, intervention: list[Intervention] | None, **options: Any) -> str:
    """The command that makes the same figures; where bundle, data and results are is the reader's business."""
    words = ["becausal evaluate --bundle BUNDLE --data DATA --out OUT", f"--users {users}"]
    if options["methods"] != tuple(METHODS):
        words.append(f"--methods {','.join(options['methods'])}")
    words += [f"--intervention {one.value}" for one in intervention or ()]
    words += [f"--top-k {options['top_k']}", f"--seed {options['seed']}"]
    return "`" + " ".join(words) + "`"
