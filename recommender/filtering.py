"""RecBole's filters, in RecBole's order: they decide which items exist, and by that every item's number."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recommender.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from recommender.atomic import Table
    from recommender.data_settings import DataSettings

PARTS = 2


@dataclass(frozen=True, slots=True)
class Tables:
    """A data set's loaded files; .item and .user may not be loaded."""

    inter: Table
    items: Table | None
    users: Table | None

    def each(self, change: Callable[[Table], Table]) -> Tables:
        """The same change to every loaded file."""
        return Tables(
            change(self.inter),
            None if self.items is None else change(self.items),
            None if self.users is None else change(self.users),
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """A range of numbers, each end in or out."""

    low: float
    high: float
    low_in: bool
    high_in: bool

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which values lie inside; NaN never does."""
        above = values >= self.low if self.low_in else values > self.low
        below = values <= self.high if self.high_in else values < self.high
        result: NDArray[np.bool_] = above & below
        return result


def parse_intervals(text: str) -> list[Interval]:
    """RecBole's intervals, as in ``(0,1];[3,inf)``.

    Raises:
        DatasetError: the text is of another form.
    """
    return [_parse_interval(part.strip()) for part in text.split(";")]


def _parse_interval(text: str) -> Interval:
    ends = text[1:-1].split(",")
    try:
        low, high = (float(end) for end in ends)
    except ValueError:
        ends = []
    if len(ends) != PARTS or text[0] not in "([" or text[-1] not in ")]":
        raise DatasetError(f"{text[:40]!r} is no interval; RecBole writes them as in [5,inf).")
    return Interval(low, high, text[0] == "[", text[-1] == "]")


def filtered(tables: Tables, settings: DataSettings) -> Tables:
    """What is left after all of RecBole's filters but the one that drops duplicates."""
    for name, wanted in settings.value_intervals.items():
        tables = tables.each(lambda table, name=name, wanted=wanted: _within(table, name, wanted))  # type: ignore[misc]
    if settings.filters_unknown:
        tables = _only_known(tables, settings)
    if settings.user_counts is not None or settings.item_counts is not None:
        tables = _by_counts(tables, settings)
    return tables


def _within(table: Table, name: str, wanted: Any) -> Table:
    if name not in table.columns:
        return table
    if not table.types[name].startswith("float"):
        return table.rows(_marked(table.columns[name], wanted))
    return table.rows(_inside(table.numbers(name), parse_intervals(wanted)))


def _inside(values: NDArray[np.float64], intervals: list[Interval]) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = np.any([interval.holds(values) for interval in intervals], axis=0)
    return result


def _marked(cells: Iterable[str], wanted: Iterable[str]) -> NDArray[np.bool_]:
    """Which cells are among the wanted ones."""
    among = set(wanted)
    return np.array([cell in among for cell in cells], np.bool_)


def _only_known(tables: Tables, settings: DataSettings) -> Tables:
    """Interactions whose user and item have a row in the .user and .item files that are loaded."""
    inter = tables.inter
    for side, name in ((tables.users, settings.user_field), (tables.items, settings.item_field)):
        if side is not None:
            inter = inter.rows(_marked(inter.columns[name], side.columns[name]))
    return Tables(inter, tables.items, tables.users)


def _by_counts(tables: Tables, settings: DataSettings) -> Tables:
    """Drop users and items by their number of interactions until all that are left have as many as they should."""
    user, item = settings.user_field, settings.item_field
    while True:
        banned_users = _banned(tables.inter.columns[user], tables.users, user, settings.user_counts)
        banned_items = _banned(tables.inter.columns[item], tables.items, item, settings.item_counts)
        if not banned_users and not banned_items:
            return tables
        tables = tables.each(
            lambda table, user=user, item=item, users=banned_users, items=banned_items: _without(  # type: ignore[misc]
                _without(table, user, users), item, items
            )
        )


def _banned(ids: list[str], side: Table | None, name: str, interval: str | None) -> set[str]:
    """Ids with a number of interactions outside the interval, those that only the side file has among them."""
    if interval is None:
        return set()
    intervals = parse_intervals(interval)
    counts = Counter(ids)
    tokens = list(counts)
    inside = _inside(np.array([counts[token] for token in tokens], np.float64), intervals)
    banned = {token for token, fits in zip(tokens, inside.tolist(), strict=True) if not fits}
    if side is not None:
        banned |= {token for token in side.columns[name] if counts[token] < intervals[0].low}
    return banned


def _without(table: Table, name: str, banned: set[str]) -> Table:
    if not banned or name not in table.columns:
        return table
    return table.rows(~_marked(table.columns[name], banned))
