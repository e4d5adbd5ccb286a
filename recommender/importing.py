"""From a RecBole checkpoint to a bundle, with the item numbering proved where it can be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from recommender.atomic import find_atomic_file, read_table
from recommender.bundle import Bundle, Content, save_bundle
from recommender.checkpoint import Checkpoint, read_checkpoint
from recommender.data_settings import DataSettings
from recommender.dataset import Dataset, read_dataset
from recommender.errors import VocabularyError
from recommender.selfcheck import SelfCheck, check_metric
from recommender.vocabulary import EXPORT, check_vocabulary, read_vocabulary

if TYPE_CHECKING:
    from pathlib import Path

TITLE_FIELDS: Final = ("title", "movie_title", "item_title", "name", "item_name", "track_name", "product_title")
"""Columns of .item files that hold titles, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made, and how far the item numbering was proved."""

    bundle: Bundle
    self_check: SelfCheck


def import_checkpoint(
    checkpoint: Path,
    *,
    out: Path,
    data: Path | None = None,
    vocabulary: Path | None = None,
    title_field: str | None = None,
    skip_self_check: bool = False,
) -> Imported:
    """Turn a RecBole checkpoint into a bundle. Nothing of the checkpoint's pickle is run.

    Args:
        checkpoint: RecBole's .pth file.
        out: the bundle's folder; a bundle that stands there is replaced.
        data: folder of the data set's atomic files: for the vocabulary (unless one is given), titles and the self-check.
        vocabulary: exported vocabulary (JSON) or RecBole's saved data set (.pth).
        title_field: column of the .item file with titles; by default the first that is named like one.
        skip_self_check: write the bundle although the recomputed metric differs from the stored one.

    Raises:
        CheckpointError: the checkpoint cannot be trusted or served.
        DatasetError: the atomic files cannot be read.
        VocabularyError: the item tokens are missing or not the checkpoint's.
        SelfCheckError: the recomputed validation metric is another than the stored one.
        BundleError: the bundle cannot be written.
    """
    source = read_checkpoint(checkpoint)
    dataset = _dataset(source, data, needed=vocabulary is None)
    tokens, origin = _tokens(source, dataset, vocabulary)
    fields = {} if data is None else _fields(data, source)
    title = title_field or next((name for name in TITLE_FIELDS if name in fields), "")
    if title and title not in fields:
        raise VocabularyError(f"There is no column {title} in the .item file; it has {', '.join(fields) or 'none'}.")
    content = Content(source.architecture, source.tensors, tokens, fields, title)
    check = check_metric(source, dataset, content.draft(), required=not skip_self_check)
    return Imported(save_bundle(out, content, _about(source, dataset, origin, check)), check)


def _about(source: Checkpoint, dataset: Dataset | None, origin: str, check: SelfCheck) -> dict[str, Any]:
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": {
            "checkpoint_sha256": source.digest,
            "recbole": source.recbole,
            "dataset": source.dataset,
            "epoch": source.epoch,
            "vocabulary": origin,
        },
        "data_settings": None if dataset is None else DataSettings.from_recbole(source.settings).to_json(),
        "self_check": check.to_json(),
    }


def _dataset(source: Checkpoint, data: Path | None, *, needed: bool) -> Dataset | None:
    """The data set as trained on. With a vocabulary at hand, one that cannot be reproduced is no obstacle."""
    if data is None:
        return None
    try:
        return read_dataset(data, DataSettings.from_recbole(source.settings))
    except VocabularyError:
        if needed:
            raise
        return None


def _tokens(source: Checkpoint, dataset: Dataset | None, vocabulary: Path | None) -> tuple[tuple[str, ...], str]:
    items = source.architecture.items
    if vocabulary is not None:
        item_field = source.settings.get("ITEM_ID_FIELD")
        name = item_field if type(item_field) is str else "item_id"
        return read_vocabulary(
            vocabulary, name, items
        ), "exported" if vocabulary.suffix == ".json" else "saved data set"
    if dataset is None:
        raise VocabularyError(
            "A RecBole checkpoint does not hold its item tokens; give its data set (--data) or the vocabulary that this "
            f"line writes in the training environment (--vocabulary): {EXPORT}"
        )
    return check_vocabulary(dataset.item_tokens, items, f"The data set {dataset.name}"), "atomic files"


def _fields(data: Path, source: Checkpoint) -> dict[str, dict[str, str]]:
    """Column -> token -> text of the .item file; empty without one."""
    path = find_atomic_file(data, "item", source.dataset)
    if path is None:
        return {}
    item_field = source.settings.get("ITEM_ID_FIELD") or "item_id"
    separator = source.settings.get("field_separator") or "\t"
    table = read_table(path, separator if type(separator) is str else "\t")
    tokens = table.columns.get(str(item_field))
    if tokens is None:
        return {}
    return {
        name: dict(zip(tokens, cells, strict=True)) for name, cells in table.columns.items() if name != str(item_field)
    }
