"""`becausal train` and `becausal import`: from a data set to a checkpoint, from a checkpoint to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    dataset: Annotated[str, typer.Option("--dataset", help="Name of a RecBole data set, such as ml-100k.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the checkpoint to.")],
) -> None:
    """Train a model with RecBole's own trainer; runs in the environment that `make .venv-recbole` builds."""


def import_(
    checkpoint: Annotated[Path, typer.Argument(help="RecBole checkpoint (.pth).")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the bundle to.")],
) -> None:
    """Turn a RecBole checkpoint into a model bundle; no code of the checkpoint is run."""
