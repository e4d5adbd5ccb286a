"""Trains a model with RecBole's own dataset, model class and trainer, in minutes instead of hours.

RecBole turns every prefix of every user's history into a training row and runs through all rows in each epoch: 97,171
rows and 160 s for ml-100k. Here an epoch is a fixed number of batches drawn from those rows, users who did much no longer
drown the others, the learning rate follows half a cosine, and what is validated and saved is a running mean of the
weights. The checkpoint is RecBole's, written by its trainer.

RecBole needs an environment of its own (``make .venv-recbole``); nothing else of this package imports it.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recommender.atomic import find_atomic_file
from recommender.dataset import read_dataset
from recommender.errors import TrainingError
from recommender.evaluation import Quality, quality
from recommender.importing import import_checkpoint
from recommender.model import HistoryPolicy, Recommender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recommender.bundle import Bundle

MODELS: Final = ("BERT4Rec", "SASRec")


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """What shapes a training run. The defaults are tuned on ml-100k's validation items."""

    model: str = "BERT4Rec"
    epochs: int = 72
    batches: int = 30
    """Batches per epoch."""

    batch_size: int = 128
    layers: int = 2
    heads: int = 2
    hidden_size: int = 64
    inner_size: int = 256
    max_length: int = 50
    learning_rate: float = 3e-3
    warm_up: int = 2
    """Epochs until the learning rate is at its highest."""

    weight_decay: float = 0.01
    dropout: float = 0.2
    mask_ratio: float = 0.2
    last_item_ratio: float = 0.3
    """Share of batches in which only the newest item is masked, as at prediction time (RecBole's ft_ratio)."""

    user_balance: float = 0.5
    """A user with n rows is drawn n ** (1 - user_balance) times as often as one with one row."""

    length_balance: float = 0.5
    """A row of n items is drawn n ** length_balance times as often as one of a single item."""

    averaging: float = 0.995
    """Decay of the running mean of the weights, per batch; 0 switches it off."""

    validate_every: int = 6
    """Epochs between validations."""

    patience: int = 10
    """Validations without improvement after which training stops."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training run is."""

    epoch: int
    """Epochs finished."""

    epochs: int
    loss: float
    """Mean over the batches of the last epoch."""

    valid: float | None
    """Validation NDCG@10 in RecBole's convention, after an epoch that was validated."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training run."""

    checkpoint: Path
    epoch: int
    """The epoch that the checkpoint is of, from 1."""

    valid: float
    """Validation NDCG@10 in RecBole's convention, as the checkpoint states it."""

    with_history: Quality
    """On the test items, as RecBole evaluates: items that the user has had are candidates."""

    without_history: Quality
    """On the test items, as a service recommends: items that the user has had are no candidates."""

    cpu_seconds: float


def train(
    dataset: Path | str,
    out: Path,
    *,
    seed: int = 2026,
    settings: TrainingSettings | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train a model and write RecBole's checkpoint to ``out``, as in ``out/BERT4Rec-ml-100k.pth``.

    Args:
        dataset: folder of the atomic files, or the name of a data set that comes with RecBole (``ml-100k``).
        out: folder for the checkpoint; made if it is not there.
        seed: of everything random.
        settings: what to train.
        progress: called after every epoch.

    Raises:
        TrainingError: RecBole is not installed, or refuses the settings or the data.
        DatasetError: there is no such data set.
    """
    settings, started = settings or TrainingSettings(), time.process_time()
    if settings.model not in MODELS:
        raise TrainingError(f"{settings.model} cannot be served; train one of {', '.join(MODELS)}.")
    if find_spec("recbole") is None:
        raise TrainingError("RecBole is not installed here; run `make .venv-recbole` and train with that environment.")
    from recommender.recbole_run import run  # noqa: PLC0415 - imports RecBole

    inter, out = _inter_file(dataset), out.resolve()
    name = inter.stem
    with _scratch(inter.parent, name) as folder:
        epoch, valid, written = run(name, seed, settings, progress or (lambda _: None))
        out.mkdir(parents=True, exist_ok=True)
        checkpoint = Path(shutil.copyfile(folder / written, out / f"{settings.model}-{name}.pth"))
        imported = import_checkpoint(checkpoint, data=inter, out=folder / "bundle")
        qualities = _qualities(imported.bundle, inter)
    return Trained(checkpoint, epoch + 1, valid, *qualities, time.process_time() - started)


def _qualities(bundle: Bundle, inter: Path) -> tuple[Quality, Quality]:
    """On the test items: with the history among the candidates, as RecBole does, and without, as a service does."""
    held_out = read_dataset(inter, bundle.data_settings).held_out("test")
    as_recbole = Recommender(bundle, history_policy=HistoryPolicy.RECBOLE_EXACT)
    return (
        quality(as_recbole, held_out, exclude_history=False),
        quality(Recommender(bundle), held_out, exclude_history=True),
    )


def _inter_file(dataset: Path | str) -> Path:
    folder = Path(dataset)
    if not folder.exists():
        spec = find_spec("recbole")
        places = spec.submodule_search_locations if spec is not None else None
        folder = Path(next(iter(places or ["."]))) / "dataset_example" / str(dataset)
    found = find_atomic_file(folder, "inter") if folder.exists() else None
    if found is None:
        raise TrainingError(f"There is no data set {dataset}; give the folder of its atomic files.")
    return found.resolve()


@contextlib.contextmanager
def _scratch(data: Path, name: str) -> Iterator[Path]:
    """Work in a throw-away folder that shows the data set under its name.

    RecBole writes logs to the current folder, reads the command line of whatever program it runs in, and stores its
    paths in the checkpoint, where those of this machine have no business.
    """
    arguments = sys.argv
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        (Path(folder) / name).symlink_to(data, target_is_directory=True)
        sys.argv = sys.argv[:1]
        try:
            yield Path(folder)
        finally:
            sys.argv = arguments
