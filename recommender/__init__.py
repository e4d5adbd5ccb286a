"""From a RecBole checkpoint to a model bundle, and from a bundle to scores with attention.

The only room that knows torch. Item tokens go in and out; a model's item numbers never leave.
"""

from recommender.bundle import Bundle, load_bundle
from recommender.dataset import Dataset, HeldOut, read_dataset
from recommender.errors import RecommenderError
from recommender.importing import Imported, import_checkpoint
from recommender.model import HistoryPolicy, Recommender
from recommender.warming import warm_up

__all__ = [
    "Bundle",
    "Dataset",
    "HeldOut",
    "HistoryPolicy",
    "Imported",
    "Recommender",
    "RecommenderError",
    "import_checkpoint",
    "load_bundle",
    "read_dataset",
    "warm_up",
]
