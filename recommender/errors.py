"""Everything that can be wrong with what the recommender is given, each in one sentence with its remedy.

::

    RecommenderError
    ├── CheckpointError
    │   ├── CorruptCheckpointError        no checkpoint, a damaged one, or one that holds what RecBole never writes
    │   └── UnsupportedCheckpointError    a whole one, of a model or a layout that cannot be served
    ├── DatasetError                      atomic files that cannot be read
    ├── VocabularyError                   the item tokens are missing, or are not those of the checkpoint
    ├── SelfCheckError                    the recomputed validation metric is not the one that RecBole stored
    ├── BundleError                       no bundle, or one that is not what its digests say
    ├── UnknownItemError                  an item token that the catalogue lacks
    ├── HistoryError                      a history that the model cannot score
    ├── InterventionError                 an intervention that the model has no way to carry out
    └── TrainingError                     RecBole is missing, or its training failed
"""

from __future__ import annotations


class RecommenderError(Exception):
    """Indicates that the recommender was given something that it cannot use."""


class CheckpointError(RecommenderError):
    """Indicates that a checkpoint cannot be imported."""


class CorruptCheckpointError(CheckpointError):
    """Indicates that a file is not a whole checkpoint, or holds what RecBole never writes into one."""


class UnsupportedCheckpointError(CheckpointError):
    """Indicates that a checkpoint is whole, but of a model or a layout that cannot be served."""


class DatasetError(RecommenderError):
    """Indicates that a data set's atomic files are missing or malformed."""


class VocabularyError(RecommenderError):
    """Indicates that the item tokens of a checkpoint are missing, or are not its own."""


class SelfCheckError(RecommenderError):
    """Indicates that the validation metric, recomputed, differs from the one in the checkpoint."""

    def __init__(self, metric: str, stored: float, recomputed: float) -> None:
        self.metric = metric
        self.stored = stored
        self.recomputed = recomputed
        super().__init__(
            f"The checkpoint says {metric} {stored:.4f} and this data gives {recomputed:.4f}, so the item vocabulary is "
            "probably not the one it was trained with; give the data set or the vocabulary of that training run, or "
            "skip the self-check by name if you know why they differ."
        )


class BundleError(RecommenderError):
    """Indicates that a folder is not a bundle, or that its content is not what its digests say."""


class UnknownItemError(RecommenderError):
    """Indicates an item token that the catalogue lacks."""

    def __init__(self, token: str) -> None:
        self.token = token
        super().__init__(f"Item {token!r} is not in the catalogue; use the item tokens of the model's data set.")


class HistoryError(RecommenderError):
    """Indicates a history that the model cannot score."""


class InterventionError(RecommenderError):
    """Indicates an intervention that the model has no way to carry out."""


class TrainingError(RecommenderError):
    """Indicates that RecBole is missing, or that its training failed."""
