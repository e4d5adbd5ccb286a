"""Proves a vocabulary: recomputes RecBole's validation metric and compares it with the one in the checkpoint.

A wrong item numbering of the right length loads without complaint and recommends nonsense. The metric that RecBole
stored when it saved the checkpoint tells: with a wrong numbering it comes out near zero.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from recommender.errors import SelfCheckError
from recommender.evaluation import METRICS, metric, ranks
from recommender.model import HistoryPolicy, Recommender

if TYPE_CHECKING:
    from recommender.bundle import Bundle
    from recommender.checkpoint import Checkpoint
    from recommender.dataset import Dataset

TOLERANCE: Final = 1.5e-4
"""RecBole rounds the metric to 4 decimals; two users' worth of float noise at a rank boundary may move the last one."""

LARGEST: Final = 2**33
"""Most scores (users times items) to compute for a check: minutes, not hours."""


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """Both figures, or why there is only one."""

    metric: str
    stored: float | None
    recomputed: float | None
    reason: str
    """Why nothing was compared; empty when it was."""

    @property
    def agrees(self) -> bool:
        """Whether both figures are there and the same."""
        return self.stored is not None and self.recomputed is not None and _same(self.stored, self.recomputed)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as a bundle's manifest holds them."""
        return asdict(self)


def check_metric(source: Checkpoint, dataset: Dataset | None, bundle: Bundle, *, required: bool) -> SelfCheck:
    """Recompute the checkpoint's validation metric with the bundle made from it.

    Args:
        source: the checkpoint.
        dataset: what it was trained on; None when only a vocabulary was given.
        bundle: a draft made from it.
        required: whether a difference is an error.

    Raises:
        SelfCheckError: the figures differ, and are required not to.
    """
    name, stored = str(source.settings.get("valid_metric"))[:40], source.best_valid_score
    reason = _obstacle(source, dataset, name)
    if reason or dataset is None or stored is None:
        return SelfCheck(name, stored, None, reason)
    # RecBole keeps nothing from the list that the user has had, and feeds what its own inference feeds.
    recommender = Recommender(bundle, history_policy=HistoryPolicy.RECBOLE_EXACT)
    recomputed = metric(name, ranks(recommender, dataset.held_out("valid"), exclude_history=False))
    if required and not _same(stored, recomputed):
        raise SelfCheckError(name, stored, recomputed)
    return SelfCheck(name, stored, recomputed, "")


def _same(stored: float, recomputed: float) -> bool:
    return abs(stored - recomputed) < TOLERANCE


def _obstacle(source: Checkpoint, dataset: Dataset | None, name: str) -> str:
    """Why the metric cannot be recomputed; empty when it can."""
    if source.best_valid_score is None:
        return "the training run never validated"
    if dataset is None:
        return "no data set was given"
    kind, _, cut = name.lower().partition("@")
    arguments = source.settings.get("eval_args")
    split, mode = (arguments.get("split"), arguments.get("mode")) if type(arguments) is dict else (None, None)
    mode = mode.get("valid") if type(mode) is dict else mode
    obstacles = {
        f"the metric {name} is not one of {', '.join(METRICS)}": kind not in METRICS or not _is_cut(cut),
        "the run did not split by leave-one-out with valid_and_test": split != {"LS": "valid_and_test"},
        "the run did not rank the whole catalogue": mode != "full",
        "no user has enough interactions": not dataset.held_out("valid"),
        "the data set is too large to check in minutes": len(dataset.user_tokens) * source.architecture.items > LARGEST,
    }
    return next((reason for reason, stands in obstacles.items() if stands), "")


def _is_cut(text: str) -> bool:
    return text.isdecimal() and len(text) <= len("9999") and int(text) > 0
