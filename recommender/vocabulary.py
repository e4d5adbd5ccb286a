"""Item tokens by item number, from the three places they can come from; a RecBole checkpoint does not hold them.

- an exported vocabulary, JSON ``{"item_field": "item_id", "tokens": ["[PAD]", ...]}``, which two lines in the
  training environment write (`EXPORT`);
- the data set that RecBole saves with ``save_dataset: True``: a bare pickle, parsed as symbols like the checkpoint;
- the raw atomic files, from which the numbering is recomputed (`recommender.dataset`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from recommender.errors import VocabularyError
from recommender.pickles import Call, Global, read_pickle

if TYPE_CHECKING:
    from pathlib import Path

EXPORT: Final = (
    "json.dump({'item_field': dataset.iid_field, 'tokens': "
    "[str(t) for t in dataset.field2id_token[dataset.iid_field]]}, open('vocabulary.json', 'w'))"
)
"""What to run in the training environment, where ``dataset`` is RecBole's."""

MAX_BYTES: Final = 2**31
"""Largest vocabulary or saved data set that is read."""

DATASET_MODULES: Final = frozenset(
    {
        ("builtins", "slice"),
        ("collections", "Counter"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("logging", "getLogger"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("torch", "device"),
        ("yaml.loader", "FullLoader"),
        ("recbole.config.configurator", "Config"),
    }
    | {
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
    }
)
DATASET_PACKAGES: Final = ("pandas.", "recbole.data.dataset.", "recbole.utils.enum_type", "recbole.model.")
"""Whole packages that a saved data set names freely; as symbols they are harmless."""

SCALAR_PARTS: Final = 2
TEXT_STATE_PARTS: Final = 5
CODE_POINT_BYTES: Final = 4


def read_vocabulary(path: Path, item_field: str, items: int) -> tuple[str, ...]:
    """Item tokens by item number, from an exported vocabulary or a saved data set.

    Args:
        path: the file; JSON when its name ends so.
        item_field: RecBole's ITEM_ID_FIELD.
        items: how many items the model has, padding included.

    Raises:
        VocabularyError: it cannot be read, or it is not the vocabulary of this model.
        CorruptCheckpointError: it is a pickle that RecBole would not write.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise VocabularyError(f"{path} is larger than any vocabulary; give the one that RecBole exports.")
        content = path.read_bytes()
    except OSError as error:
        raise VocabularyError(f"The vocabulary {path} cannot be read: {error.strerror}.") from error
    tokens = _from_json(content, path) if path.suffix == ".json" else _from_saved_dataset(content, item_field, path)
    return check_vocabulary(tokens, items, str(path))


def check_vocabulary(tokens: tuple[str, ...], items: int, source: str) -> tuple[str, ...]:
    """The tokens, once they can be those of a model with so many items.

    Raises:
        VocabularyError: they cannot.
    """
    if len(tokens) != items:
        raise VocabularyError(
            f"{source} has {max(len(tokens) - 1, 0)} items and the checkpoint {items - 1}; give the data set or the "
            "vocabulary of the run that trained it."
        )
    if tokens[0] != "[PAD]":
        raise VocabularyError(f"{source} does not begin with [PAD]; export RecBole's field2id_token as it stands.")
    if len(set(tokens)) != len(tokens) or "" in tokens:
        raise VocabularyError(
            f"{source} names an item twice or not at all; export RecBole's field2id_token as it stands."
        )
    return tokens


def _from_json(content: bytes, path: Path) -> tuple[str, ...]:
    try:
        exported = json.loads(content)
        tokens = exported["tokens"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise VocabularyError(f"{path} is no exported vocabulary; write one with: {EXPORT}") from error
    if type(tokens) is not list or any(type(token) is not str for token in tokens):
        raise VocabularyError(f"{path} is no exported vocabulary; write one with: {EXPORT}")
    return tuple(tokens)


def _from_saved_dataset(content: bytes, item_field: str, path: Path) -> tuple[str, ...]:
    dataset = read_pickle(content, _allows)
    state = dataset.state if type(dataset) is Call else None
    tables = state.get("field2id_token") if type(state) is dict else None
    if type(tables) is Call:
        tables = tables.items
    if type(tables) is dict:
        for field, table in tables.items():
            if _text(field) == item_field:
                return _texts(table, path)
    raise VocabularyError(f"{path} is no data set that RecBole saved with save_dataset: True; give that file.")


def _allows(module: str, name: str) -> bool:
    return (module, name) in DATASET_MODULES or module.startswith(DATASET_PACKAGES)


def _text(symbol: Any) -> str | None:
    """A string, or what would be a numpy string scalar."""
    if type(symbol) is str:
        return symbol
    if type(symbol) is not Call or symbol.function.name != "scalar" or len(symbol.arguments) != SCALAR_PARTS:
        return None
    dtype, content = symbol.arguments
    return _decoded(content) if _text_width(dtype) and type(content) is bytes else None


def _texts(symbol: Any, path: Path) -> tuple[str, ...]:
    """The strings of what would be a one-dimensional numpy array of them."""
    state = symbol.state if type(symbol) is Call and symbol.function.name == "_reconstruct" else None
    if type(state) is tuple and len(state) == TEXT_STATE_PARTS:
        shape, dtype, content = state[1], state[2], state[4]
        width = _text_width(dtype)
        if type(shape) is tuple and len(shape) == 1 and width and type(content) is bytes:
            step = width * CODE_POINT_BYTES
            if type(shape[0]) is int and len(content) == shape[0] * step:
                return tuple(_decoded(content[start : start + step]) for start in range(0, len(content), step))
    raise VocabularyError(f"{path} holds item tokens in a form that RecBole never writes; export them with: {EXPORT}")


def _text_width(dtype: Any) -> int:
    """Characters of a little-endian numpy text type such as U4; 0 for any other type."""
    if type(dtype) is not Call or dtype.function != Global("numpy", "dtype") or not dtype.arguments:
        return 0
    name, state = dtype.arguments[0], dtype.state
    if type(name) is not str or not name.startswith("U") or not name[1:].isdecimal() or len(name) > len("U99999999"):
        return 0
    return int(name[1:]) if type(state) is tuple and state[1:2] == ("<",) else 0


def _decoded(content: bytes) -> str:
    return content.decode("utf-32-le", "replace").rstrip("\0")
