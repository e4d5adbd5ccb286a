"""Writes files as RecBole writes them, byte layout and all, without RecBole: small models with random weights."""

from __future__ import annotations

import contextlib
import enum
import sys
import types
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recommender.architecture import Architecture, Head, Model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKENS = ("[PAD]", *(f"item-{number}" for number in range(1, 30)))

LAYOUTS = {
    "1.0.0": {"head": Head.PLAIN, "extra_positions": 1, "settings": {}},
    "1.0.1": {"head": Head.PLAIN, "extra_positions": 1, "settings": {"log_wandb": False}},
    "1.1.1": {"head": Head.PLAIN, "extra_positions": 1, "settings": {"log_wandb": False, "enable_amp": False}},
    "1.2.1": {"head": Head.TRANSFORMED, "extra_positions": 0, "settings": {"log_wandb": False, "ft_ratio": 0.5}},
}


class EvaluatorType(enum.Enum):
    """RecBole's enum, by name."""

    RANKING = 1


def architecture(model: str = "BERT4Rec", layout: str = "1.2.1", **sizes: Any) -> Architecture:
    """A small model's shape in the layout of a RecBole version."""
    values: dict[str, Any] = {
        "layers": 2,
        "heads": 2,
        "hidden_size": 16,
        "inner_size": 32,
        "activation": "gelu",
        "layer_norm_eps": 1e-12,
        "max_list": 12,
        "items": len(TOKENS),
    } | sizes
    bidirectional = model == "BERT4Rec"
    extra = LAYOUTS[layout]["extra_positions"] if bidirectional else 0
    return Architecture(
        model=Model(model),
        head=LAYOUTS[layout]["head"] if bidirectional else Head.PLAIN,
        positions=values["max_list"] + extra,
        **values,
    )


def random_weights(shape: Architecture, seed: int = 0, spread: float = 0.3) -> dict[str, np.ndarray]:
    """Weights large enough for attention to prefer some items to others."""
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(0, spread, size).astype(np.float32) for name, size in shape.schema().items()}
    norms = ("LayerNorm.weight", "output_ln.weight")
    return {name: np.abs(value) + 1 if name.endswith(norms) else value for name, value in weights.items()}


def settings(shape: Architecture, layout: str = "1.2.1", **changes: Any) -> dict[str, Any]:
    """RecBole's final config, as far as anybody reads it, with a few things that nobody does."""
    return {
        "model": shape.model.value,
        "dataset": "tiny",
        "data_path": "/somewhere/else",
        "n_layers": shape.layers,
        "n_heads": shape.heads,
        "hidden_size": shape.hidden_size,
        "inner_size": shape.inner_size,
        "hidden_act": shape.activation,
        "layer_norm_eps": shape.layer_norm_eps,
        "MAX_ITEM_LIST_LENGTH": shape.max_list,
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "TIME_FIELD": "timestamp",
        "field_separator": "\t",
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "normalize_all": True,
        "rm_dup_inter": None,
        "filter_inter_by_user_or_item": True,
        "valid_metric": "NDCG@10",
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": {"valid": "full", "test": "full"}},
        "eval_type": EvaluatorType.RANKING,
        "device": torch.device("cpu"),
        **LAYOUTS[layout]["settings"],
        **changes,
    }


def write_checkpoint(path: Path, config: dict[str, Any], weights: dict[str, Any], **changes: Any) -> Path:
    """Save a checkpoint as RecBole's trainer does; ``protocol`` 2 is that of RecBole 1.0."""
    protocol = changes.pop("protocol", 4)
    with recbole_names() as module:
        parts = module["Config"]()
        parts.__dict__.update(
            final_config_dict=config,
            model=config["model"],
            yaml_loader=module["FullLoader"],
            parameters={"Training": ["a"]},
        )
        state = OrderedDict((name, torch.as_tensor(value)) for name, value in weights.items())
        state._metadata = OrderedDict({"": {"version": 1}})
        content = {
            "config": parts,
            "epoch": 3,
            "cur_step": 0,
            "best_valid_score": np.float64(0.25),
            "state_dict": state,
            "other_parameter": {},
            "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.001}]},
        }
        torch.save(content | changes, path, pickle_protocol=protocol)
    return path


@contextlib.contextmanager
def recbole_names() -> Iterator[dict[str, Any]]:
    """Classes that pickle under RecBole's names, as long as the context lasts."""
    modules = {
        "recbole.config.configurator": {"Config": type("Config", (), {})},
        "recbole.utils.enum_type": {"EvaluatorType": EvaluatorType},
        "yaml.loader": {"FullLoader": type("FullLoader", (), {})},
    }
    before = {name: sys.modules.get(name) for name in ("recbole", "recbole.config", "recbole.utils", "yaml", *modules)}
    home = EvaluatorType.__module__
    for name in before:
        sys.modules[name] = types.ModuleType(name)
    classes: dict[str, Any] = {}
    for name, members in modules.items():
        for member, class_ in members.items():
            class_.__module__, class_.__qualname__ = name, member
            setattr(sys.modules[name], member, class_)
            classes[member] = class_
    try:
        yield classes
    finally:
        EvaluatorType.__module__ = home
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def write_dataset(folder: Path, users: int = 24, seed: int = 0, name: str = "tiny") -> Path:
    """Atomic files of a small data set, in which every token of `TOKENS` appears in order: numbers are theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = [("0", token, str(index)) for index, token in enumerate(TOKENS[1:])]
    for user in range(1, users):
        count = int(rng.integers(2, 15))
        chosen = rng.choice(len(TOKENS) - 1, count, replace=False) + 1
        times = rng.integers(0, 1_000, count)
        rows += [(str(user), TOKENS[item], str(time)) for item, time in zip(chosen, times, strict=True)]
    lines = ["\t".join(row) for row in [("user_id:token", "item_id:token", "timestamp:float"), *rows]]
    (folder / f"{name}.inter").write_text("\n".join(lines) + "\n")
    items = [f"{token}\tTitle of {token}\t{1990 + number}" for number, token in enumerate(TOKENS[1:])]
    (folder / f"{name}.item").write_text("item_id:token\tmovie_title:token_seq\tyear:token\n" + "\n".join(items) + "\n")
    return folder
