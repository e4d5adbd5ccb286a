"""One training run inside RecBole; the only module that imports it. See `recommender.training`."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.sequential_recommender import BERT4Rec, SASRec
from recbole.trainer import Trainer
from recbole.utils import init_seed

from recommender.errors import TrainingError
from recommender.training import Progress, TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

# One of RecBole's modules switches this on for everybody who imports RecBole; it costs two fifths of the time.
torch.autograd.set_detect_anomaly(mode=False)

CLASSES = {"BERT4Rec": BERT4Rec, "SASRec": SASRec}
LEAST_RATE = 0.02
"""Where the learning rate ends, as a share of the highest."""


def run(
    dataset: str, seed: int, settings: TrainingSettings, progress: Callable[[Progress], None]
) -> tuple[int, float, Path]:
    """Train on the data set that lies in the current folder under its name.

    Returns:
        Epoch of the checkpoint, from 0; its validation metric; its path in the current folder.

    Raises:
        TrainingError: RecBole refuses.
    """
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _run(dataset, seed, settings, progress)
    except (ValueError, KeyError, NotImplementedError, AssertionError) as error:
        raise TrainingError(f"RecBole cannot train on {dataset} with these settings: {error}") from error


def _run(
    dataset: str, seed: int, settings: TrainingSettings, progress: Callable[[Progress], None]
) -> tuple[int, float, Path]:
    config = Config(model=settings.model, dataset=dataset, config_dict=_config(seed, settings))
    # For data sets of its own RecBole sets the path of its installed files, which the checkpoint would then tell.
    config["data_path"] = dataset
    init_seed(seed, reproducibility=True)
    train_data, valid_data, _ = data_preparation(config, create_dataset(config))
    train_data.batch_sampler.sampler = _Rows(train_data, settings)
    trainer = _Trainer(config, CLASSES[settings.model](config, train_data._dataset), settings, progress)  # noqa: SLF001
    trainer.fit(train_data, valid_data, verbose=False)
    if trainer.best_epoch is None:
        raise TrainingError("The run was too short to validate; give more epochs than lie between validations.")
    return trainer.best_epoch, float(trainer.best_valid_score), Path(trainer.saved_model_file)


def _config(seed: int, settings: TrainingSettings) -> dict[str, Any]:
    config: dict[str, Any] = {
        "seed": seed,
        "data_path": ".",
        "checkpoint_dir": ".",
        "use_gpu": False,
        "show_progress": False,
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "epochs": settings.epochs,
        "train_batch_size": settings.batch_size,
        "eval_batch_size": 512,
        "learner": "adamw",
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "clip_grad_norm": {"max_norm": 5.0},
        "train_neg_sample_args": None,
        "n_layers": settings.layers,
        "n_heads": settings.heads,
        "hidden_size": settings.hidden_size,
        "inner_size": settings.inner_size,
        "hidden_dropout_prob": settings.dropout,
        "attn_dropout_prob": settings.dropout,
        "MAX_ITEM_LIST_LENGTH": settings.max_length,
        "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
        "metrics": ["NDCG", "Hit"],
        "topk": [10],
        "valid_metric": "NDCG@10",
        "eval_step": settings.validate_every,
        "stopping_step": settings.patience,
    }
    if settings.model == "BERT4Rec":
        config |= {"mask_ratio": settings.mask_ratio, "ft_ratio": settings.last_item_ratio}
    return config


class _Rows(torch.utils.data.Sampler[int]):
    """The rows of one epoch: drawn with replacement, by weight."""

    def __init__(self, data: Any, settings: TrainingSettings) -> None:
        rows = data._dataset.inter_feat  # noqa: SLF001 - a plain attribute of RecBole's loader
        users = rows["user_id"].numpy()
        lengths = rows["item_length"].double()
        per_user = torch.bincount(rows["user_id"])[users].double()
        self._weights = lengths**settings.length_balance / per_user**settings.user_balance
        self._count = settings.batches * settings.batch_size
        self._generator = data.generator

    def __iter__(self) -> Iterator[int]:
        drawn = torch.multinomial(self._weights, self._count, replacement=True, generator=self._generator)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self._count


class _Trainer(Trainer):  # type: ignore[misc]
    """RecBole's trainer with a schedule, and with a running mean of the weights that is validated and saved."""

    def __init__(
        self, config: Any, model: Any, settings: TrainingSettings, progress: Callable[[Progress], None]
    ) -> None:
        super().__init__(config, model)
        self.best_epoch: int | None = None
        self._settings = settings
        self._progress = progress
        self._mean: dict[str, Tensor] = {}
        self._updates = 0
        self._weights: dict[str, Tensor] | None = None
        self._epoch, self._loss = 0, math.nan
        if settings.averaging:
            self.optimizer.register_step_post_hook(lambda *_: self._average())

    def _train_epoch(self, train_data: Any, epoch_idx: int, *rest: Any, **named: Any) -> Any:
        """RecBole's epoch, from the weights themselves, at the epoch's learning rate."""
        if self._weights is not None:
            self.model.load_state_dict(self._weights)
            self._weights = None
        for group in self.optimizer.param_groups:
            group["lr"] = self._settings.learning_rate * self._rate(epoch_idx)
        total = super()._train_epoch(train_data, epoch_idx, *rest, **named)
        self._epoch, self._loss = epoch_idx, float(total) / self._settings.batches
        if (epoch_idx + 1) % self.eval_step:
            self._tell(None)
        return total

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> Any:  # noqa: FBT001, FBT002 - RecBole's
        """RecBole's validation, of the mean, which stays in place until the next epoch so that it is what is saved."""
        if self._mean:
            self._weights = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.model.load_state_dict(self._mean)
        score, result = super()._valid_epoch(valid_data, show_progress)
        self._tell(float(score))
        return score, result

    def _save_checkpoint(self, epoch: int, *rest: Any, **named: Any) -> None:
        self.best_epoch = epoch
        super()._save_checkpoint(epoch, *rest, **named)

    def _rate(self, epoch: int) -> float:
        """Share of the highest learning rate: a ramp, then half a cosine."""
        fade = 0.5 * (1 + math.cos(math.pi * epoch / self._settings.epochs))
        return min((epoch + 1) / max(self._settings.warm_up, 1), 1) * (LEAST_RATE + (1 - LEAST_RATE) * fade)

    def _average(self) -> None:
        state = self.model.state_dict()
        if not self._mean:
            self._mean = {name: value.clone() for name, value in state.items()}
        self._updates += 1
        # At the beginning the mean follows quickly, or it would remember the random start for a long time.
        decay = min(self._settings.averaging, (1 + self._updates) / (10 + self._updates))
        for name, value in self._mean.items():
            value.mul_(decay).add_(state[name], alpha=1 - decay)

    def _tell(self, valid: float | None) -> None:
        self._progress(Progress(self._epoch + 1, self._settings.epochs, self._loss, valid))
