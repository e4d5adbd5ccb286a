"""`becausal train` and `becausal import`: from a data set to a checkpoint, from a checkpoint to a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from recommender.selfcheck import SelfCheck


def train(
    *,
    dataset: Annotated[str, typer.Option("--dataset", help="Folder of atomic files, or a RecBole example: ml-100k.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the checkpoint to.")],
    model: Annotated[str, typer.Option("--model", help="BERT4Rec or SASRec.")] = "BERT4Rec",
    seed: Annotated[int, typer.Option("--seed", help="Of everything random.")] = 2026,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Most epochs.", show_default=False)] = None,
) -> None:
    """Train a model with RecBole's own trainer; runs in the environment that `make .venv-recbole/.done` builds."""
    from recommender import training  # noqa: PLC0415 - loads torch, which other commands can do without

    settings = training.TrainingSettings(model=model)
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    with _training_bar() as bar:
        task = bar.add_task("Training", total=settings.epochs, loss=float("nan"), valid=float("nan"))

        def show(step: training.Progress) -> None:
            bar.update(task, completed=step.epoch, loss=step.loss)
            if step.valid is not None:
                bar.update(task, valid=step.valid)

        trained = training.train(dataset, out, seed=seed, settings=settings, progress=show)
    typer.echo(
        f"{trained.checkpoint}: epoch {trained.epoch}, validation NDCG@10 {trained.valid:.4f}; on test items, history "
        f"excluded: {trained.without_history}; as RecBole evaluates: {trained.with_history}; "
        f"{trained.cpu_seconds:.0f} CPU seconds"
    )


def _training_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}  validation NDCG@10 {task.fields[valid]:.4f}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def import_(
    *,
    checkpoint: Annotated[Path, typer.Argument(help="RecBole checkpoint (.pth).")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the bundle to; a bundle there is replaced.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Folder of the data set's atomic files: vocabulary, titles, check.", show_default=False
        ),
    ] = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            "--vocabulary", help="Exported vocabulary (JSON) or RecBole's saved data set.", show_default=False
        ),
    ] = None,
    title_field: Annotated[
        str | None,
        typer.Option("--title-field", help="Column of the .item file that holds titles.", show_default=False),
    ] = None,
    skip_self_check: Annotated[
        bool,
        typer.Option("--skip-self-check", help="Import although the metric recomputed on the data differs."),
    ] = False,
) -> None:
    """Turn a RecBole checkpoint into a model bundle. No code of the checkpoint is run."""
    from recommender import import_checkpoint  # noqa: PLC0415 - loads torch, which other commands can do without

    imported = import_checkpoint(
        checkpoint,
        out=out,
        data=data,
        vocabulary=vocabulary,
        title_field=title_field,
        skip_self_check=skip_self_check,
    )
    typer.echo(_checked(imported.self_check))
    typer.echo(f"Bundle {out} holds {len(imported.bundle.catalogue)} items, version {imported.bundle.version}")


def _checked(check: SelfCheck) -> str:
    """Both figures of the self-check, or why there is only one."""
    if check.recomputed is None:
        return f"Self-check left out: {check.reason}"
    verdict = "they agree" if check.agrees else "THEY DIFFER"
    return f"Self-check: validation {check.metric} {check.stored:.4f} in the checkpoint, {check.recomputed:.4f} recomputed; {verdict}"
