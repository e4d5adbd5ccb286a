"""A RecBole data set as RecBole sees it: which interactions remain, in which order, under which item numbers.

Nothing of RecBole or pandas is needed. What is followed here, measured on RecBole 1.2.1 and tested against it:

- filters run in the order missing ids, value intervals, ids without a row in a loaded .item or .user file, then the
  interaction counts again and again until nothing changes;
- an item's number is the order of its first appearance in the *file* (not in time), .item rows after .inter rows,
  counted from 1; 0 is padding;
- a user's order is a stable sort by time as a 32-bit float, after scaling to 0..1 unless normalize_all is off. Without
  the scaling, 32-bit floats tell times only 64 seconds apart, and most users' order is another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recommender.atomic import MISSING, Table, find_atomic_file, read_table
from recommender.data_settings import DataSettings
from recommender.errors import DatasetError
from recommender.filtering import Tables, filtered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

PADDING: Final = "[PAD]"
"""RecBole's token of item number 0."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One prediction to judge a model by: what the user did, and what came next."""

    user: str
    history: tuple[str, ...]
    """All item tokens before the target, oldest first."""

    target: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """The interactions that RecBole would train on."""

    name: str
    item_tokens: tuple[str, ...]
    """By RecBole's item number; number 0 is ``[PAD]``."""

    user_tokens: tuple[str, ...]
    _items: NDArray[np.int64]
    """(n,) item number of each interaction, sorted by user and time."""

    _starts: NDArray[np.int64]
    """(users + 1,) where each user's interactions begin."""

    def __len__(self) -> int:
        return len(self._items)

    def histories(self) -> dict[str, tuple[str, ...]]:
        """Every user's item tokens, oldest first, users in file order."""
        return dict(self._histories())

    def held_out(self, part: str) -> list[HeldOut]:
        """RecBole's leave-one-out split: ``test`` is each user's last item, ``valid`` the one before.

        A user with three interactions has no validation item and one with two no test item either, because at least
        one (history, target) pair stays in training.

        Raises:
            ValueError: the part is neither ``valid`` nor ``test``.
        """
        if part not in {"valid", "test"}:
            raise ValueError(f"{part!r} is no held-out part; ask for valid or test.")
        back, least = (1, 3) if part == "test" else (2, 4)
        return [
            HeldOut(user, history[:-back], history[-back])
            for user, history in self._histories()
            if len(history) >= least
        ]

    def _histories(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        tokens = np.array(self.item_tokens, dtype=object)
        for user, start, end in zip(self.user_tokens, self._starts, self._starts[1:], strict=False):
            yield user, tuple(tokens[self._items[start:end]].tolist())


def read_dataset(data: Path, settings: DataSettings | None = None) -> Dataset:
    """Read a data set's interactions as RecBole would.

    Args:
        data: the folder of the atomic files, or the .inter file.
        settings: the model's; the default is RecBole's.

    Raises:
        DatasetError: a file is missing or malformed, or nothing is left after filtering.
    """
    settings = settings or DataSettings()
    path = find_atomic_file(data, "inter", settings.dataset)
    if path is None:
        raise DatasetError(f"There is no .inter file in {data}; give the folder of the data set that was trained on.")
    tables = filtered(
        Tables(
            _loaded(path, settings.separator, settings.inter_columns, (settings.user_field, settings.item_field)),
            _side(data, "item", settings, settings.item_columns, settings.item_field),
            _side(data, "user", settings, settings.user_columns, settings.user_field),
        ),
        settings,
    )
    if not len(tables.inter):
        raise DatasetError(f"Nothing of {path} is left after the filters that the model was trained with.")
    return _assemble(path.stem, tables, settings)


def _assemble(name: str, tables: Tables, settings: DataSettings) -> Dataset:
    inter = tables.inter
    catalogue = [] if tables.items is None else tables.items.columns[settings.item_field]
    items, item_of = _numbered(inter.columns[settings.item_field], catalogue)
    users, user_of = _numbered(inter.columns[settings.user_field], ())
    order = np.arange(len(inter))
    if settings.time_field in inter.columns:
        times = _recbole_times(inter.numbers(settings.time_field), scaled=settings.scales_time)
        order = np.argsort(times, kind="stable")
    order = order[np.argsort(user_of[order], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(np.bincount(user_of, minlength=len(users)))])
    return Dataset(name, (PADDING, *items), users, item_of[order] + 1, starts)


def _numbered(tokens: Sequence[str], more: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The distinct tokens by first appearance, and which of them each of the first tokens is."""
    numbers = {token: number for number, token in enumerate(dict.fromkeys([*tokens, *more]))}
    return tuple(numbers), np.array([numbers[token] for token in tokens], np.int64)


def _recbole_times(times: NDArray[np.float64], *, scaled: bool) -> NDArray[np.float32]:
    """Times as RecBole sorts them: missing ones at the mean, 0..1 if scaled, in 32 bits."""
    if np.isnan(times).any():
        times = np.where(np.isnan(times), np.nanmean(times), times)
    if scaled and times.max() > times.min():
        times = (times - times.min()) / (times.max() - times.min())
    return times.astype(np.float32)


def _loaded(path: Path, separator: str, only: Sequence[str] | None, ids: Sequence[str]) -> Table:
    """A file's loaded columns, without rows that lack an id."""
    table = read_table(path, separator, only)
    lacking = [name for name in ids if name not in table.columns]
    if lacking:
        raise DatasetError(
            f"{path} has no column {lacking[0]} (or the model did not load it); give the right data set."
        )
    present = [[cell not in MISSING for cell in table.columns[name]] for name in ids]
    return table.rows(np.all(np.array(present, np.bool_).reshape(len(ids), -1), axis=0))


def _side(
    data: Path, suffix: str, settings: DataSettings, columns: Sequence[str] | None, id_field: str
) -> Table | None:
    """The .item or .user file, when the model loaded one."""
    path = None if columns == () else find_atomic_file(data, suffix, settings.dataset)
    return None if path is None else _loaded(path, settings.separator, columns, (id_field,))
