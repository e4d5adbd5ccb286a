"""How to explain: what "without the item" means, and everything else that shapes an explanation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from explainer.errors import InvalidParameterError

MIN_SAMPLES = 5
"""Fewest samples with which Fisher's test says anything: sqrt(d - |Z| - 3) must exceed 1 for |Z| = 0."""


class Intervention(Enum):
    """What "without the item" means. Never mixed within one explanation."""

    MASK_OUT = "MASK_OUT"
    """The item is hidden from attention at every layer; the others keep their positions."""

    DELETE = "DELETE"
    """The item is taken out and later items move up one position: the user never had it."""

    DELETE_BACKFILL = "DELETE_BACKFILL"
    """As DELETE, and the next older item enters the model's window: what a deployed system would do."""

    MASK_TOKEN = "MASK_TOKEN"  # noqa: S105 - the name of an intervention, no secret
    """The item is replaced by [MASK] in place."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that shapes an explanation besides the model and the history.

    Raises:
        InvalidParameterError: a value is out of its range.
    """

    intervention: Intervention = Intervention.MASK_OUT
    top_k: int | None = None
    """The target is explained when it leaves the first top_k; None stands for the target's own rank."""

    max_size: int = 3
    """Largest set to try, in items."""

    max_rows: int = 25_000
    """Most counterfactual histories to score."""

    exhaust: bool = False
    """Whether to try all sets of the size that is found, so that the alternatives are complete."""

    alpha: float = 0.01
    """Level of the independence tests."""

    n_samples: int | None = None
    """Sample size of the independence tests; None stands for the model's hidden size."""

    max_radius: int | None = None
    """Largest conditioning set of the graph; None stands for no limit."""

    max_tests: int = 200_000
    """Most independence tests for one graph."""

    temporal: bool | None = None
    """Whether the order of the history is the order of time in the graph; None: as the model reads it."""

    language_code: str = "en"
    """Language of the reason (BCP 47)."""

    verb: str = "watched"
    """What users did with the items, by its name in the language file."""

    min_effect: float = 0.0
    """A reason is given only when the set lowers the target's margin at least this much, in score units."""

    min_stability: float = 0.0
    """A reason is given only when the set works under at least this share of the interventions."""

    def __post_init__(self) -> None:
        at_least = {
            "top_k": 1,
            "max_size": 1,
            "max_rows": 1,
            "n_samples": MIN_SAMPLES,
            "max_radius": 0,
            "max_tests": 1,
        }
        for name, least in at_least.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise InvalidParameterError(name, f"{name} is {value}; give a whole number of {least} or more.")
        if not 0 < self.alpha < 1:
            raise InvalidParameterError("alpha", f"alpha is {self.alpha}; give a level between 0 and 1, such as 0.01.")
        if not self.min_effect >= 0:
            raise InvalidParameterError("min_effect", f"min_effect is {self.min_effect}; give 0 or more.")
        if not 0 <= self.min_stability <= 1:
            raise InvalidParameterError(
                "min_stability", f"min_stability is {self.min_stability}; give a share between 0 and 1."
            )
