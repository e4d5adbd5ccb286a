"""What the comparison with RecBole needs: its classes with our weights, and its data sets."""

from __future__ import annotations

import contextlib
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """RecBole warns, writes where it stands, and reads the command line of whoever imports it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(name="ml100k", scope="session")
def _ml100k() -> Path:
    """ml-100k, which RecBole brings along."""
    import recbole  # noqa: PLC0415 - every module skips without it

    return Path(recbole.__file__).parent / "dataset_example" / "ml-100k"


@pytest.fixture(name="recbole_dataset")
def _recbole_dataset() -> Callable[..., Any]:
    """RecBole's own data set for a folder and settings."""

    def create(folder: Path, model: str = "BERT4Rec", **settings: Any) -> Any:
        from recbole.config import Config  # noqa: PLC0415
        from recbole.data import create_dataset  # noqa: PLC0415

        with contextlib.suppress(FileExistsError):
            Path(folder.name).symlink_to(folder, target_is_directory=True)
        defaults = {"data_path": ".", "train_neg_sample_args": None, "use_gpu": False, "show_progress": False}
        config = Config(model=model, dataset=folder.name, config_dict=defaults | settings)
        config["data_path"] = folder.name
        return config, create_dataset(config)

    return create


class Shape:
    """The one thing that RecBole's model classes ask of a data set."""

    def __init__(self, items: int) -> None:
        self.items = items

    def num(self, _field: str) -> int:
        """Items with the padding item."""
        return self.items


class Missing(dict[str, Any]):
    """A config that, like RecBole's, has None for what is not there."""

    def __missing__(self, _name: str) -> None:
        return None


@pytest.fixture(name="recbole_model")
def _recbole_model() -> Callable[..., Any]:
    """RecBole's own model class with given weights."""

    def create(settings: dict[str, Any], weights: dict[str, Any], items: int) -> Any:
        import torch  # noqa: PLC0415
        from recbole.model import sequential_recommender  # noqa: PLC0415

        ratios = {"hidden_dropout_prob": 0.1, "attn_dropout_prob": 0.1, "initializer_range": 0.02}
        fixed = {"device": "cpu", "LIST_SUFFIX": "_list", "ITEM_LIST_LENGTH_FIELD": "item_length", "NEG_PREFIX": "neg_"}
        config = Missing({"mask_ratio": 0.2, "loss_type": "CE", **ratios, **settings, **fixed})
        model = getattr(sequential_recommender, settings["model"])(config, Shape(items))
        model.load_state_dict({name: torch.as_tensor(value) for name, value in weights.items()})
        return model.eval()

    return create
