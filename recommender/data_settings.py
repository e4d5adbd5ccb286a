"""The part of RecBole's config that decides which interactions there are, in which order, under which item numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from recommender.errors import DatasetError, VocabularyError

UNREPRODUCIBLE: Final = {
    "rm_dup_inter": "it sorts by time with an unstable sort, whose order differs from machine to machine",
    "alias_of_item_id": "item numbers come from several columns",
    "benchmark_filename": "item numbers come from split files",
}
"""Settings under which item numbers cannot be recomputed from the atomic files, and why."""


@dataclass(frozen=True, slots=True)
class DataSettings:
    """What of RecBole's config decides the interactions, their order and the item numbers. Defaults are RecBole's."""

    dataset: str = ""
    user_field: str = "user_id"
    item_field: str = "item_id"
    time_field: str = "timestamp"
    separator: str = "\t"
    inter_columns: tuple[str, ...] | None = None
    """Columns of .inter that are loaded; None stands for all."""

    item_columns: tuple[str, ...] | None = ()
    """Columns of .item that are loaded; empty when the file is not."""

    user_columns: tuple[str, ...] | None = ()
    value_intervals: dict[str, Any] = field(default_factory=dict)
    """Field -> an interval such as ``[4,inf)`` for a float, a list of values for a token."""

    user_counts: str | None = None
    """Interval of interactions that a user must have to stay."""

    item_counts: str | None = None
    filters_unknown: bool = True
    """Whether interactions without a row in a loaded .item or .user file go."""

    scales_time: bool = True

    @classmethod
    def from_recbole(cls, settings: dict[str, Any]) -> DataSettings:
        """The settings of a checkpoint's config.

        Raises:
            VocabularyError: under these settings the item numbers cannot be recomputed from the atomic files.
        """
        for name, reason in UNREPRODUCIBLE.items():
            if settings.get(name):
                raise VocabularyError(
                    f"The checkpoint was trained with {name}, under which item numbers cannot be recomputed from the raw "
                    f"files ({reason}); give the vocabulary that RecBole exports, or its saved data set."
                )
        columns = settings.get("load_col")
        return cls(
            dataset=_text(settings, "dataset", ""),
            user_field=_text(settings, "USER_ID_FIELD", "user_id"),
            item_field=_text(settings, "ITEM_ID_FIELD", "item_id"),
            time_field=_text(settings, "TIME_FIELD", "timestamp"),
            separator=_text(settings, "field_separator", "\t"),
            inter_columns=_columns(columns, "inter"),
            item_columns=_columns(columns, "item"),
            user_columns=_columns(columns, "user"),
            value_intervals=_value_intervals(settings.get("val_interval")),
            user_counts=_interval_text(settings.get("user_inter_num_interval")),
            item_counts=_interval_text(settings.get("item_inter_num_interval")),
            filters_unknown=settings.get("filter_inter_by_user_or_item") is True,
            scales_time=settings.get("normalize_all") is True,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values, as a bundle's manifest holds them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> DataSettings:
        """The settings of a manifest."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**plain)


def _text(settings: dict[str, Any], name: str, default: str) -> str:
    value = settings.get(name)
    return value if type(value) is str else default


def _columns(load_col: Any, suffix: str) -> tuple[str, ...] | None:
    """RecBole's load_col for one file: None and ``*`` stand for all columns, a missing entry for none."""
    if load_col is None:
        return None
    names = load_col.get(suffix, []) if type(load_col) is dict else None
    if names == "*":
        return None
    if type(names) is not list or any(type(name) is not str for name in names):
        raise DatasetError(
            "The checkpoint's load_col is not RecBole's; give the vocabulary that RecBole exports instead."
        )
    return tuple(names)


def _value_intervals(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if type(value) is not dict or any(
        type(name) is not str or type(wanted) not in {str, list} for name, wanted in value.items()
    ):
        raise DatasetError(
            "The checkpoint's val_interval is not RecBole's; give the vocabulary that RecBole exports instead."
        )
    return {
        name: wanted if type(wanted) is str else [cell for cell in wanted if type(cell) is str]
        for name, wanted in value.items()
    }


def _interval_text(value: Any) -> str | None:
    return value if type(value) is str else None
