"""Atomic files as RecBole reads, filters and numbers them; tests/conformance compares with RecBole itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from recbole_files import TOKENS, write_dataset
from recommender.atomic import find_atomic_file, read_table
from recommender.data_settings import DataSettings
from recommender.dataset import HeldOut, read_dataset
from recommender.errors import DatasetError, VocabularyError
from recommender.filtering import parse_intervals

if TYPE_CHECKING:
    from pathlib import Path

INTER = """user_id:token\titem_id:token\trating:float\ttimestamp:float
u1\ta\t5\t30
u2\tb\t3\t10
u1\tc\t4\t20
u1\tb\t1\t10
u2\tNA\t5\t20

u2\td\t5\t20
u3\ta\t2\t
"""


@pytest.fixture(name="data")
def _data(tmp_path: Path) -> Path:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "d.inter").write_text(INTER)
    (folder / "d.item").write_text("item_id:token\tyear:float\nd\t2000\nz\t1990\na\t1980\nb\t2001\n")
    return folder


def test_numbers_follow_the_file_and_order_follows_time(data: Path) -> None:
    """Missing ids go; blank lines are no rows; a missing time is the mean."""
    found = read_dataset(data)

    assert found.item_tokens == ("[PAD]", "a", "b", "c", "d")
    assert found.histories() == {"u1": ("b", "c", "a"), "u2": ("b", "d"), "u3": ("a",)}
    assert len(found) == 6


@pytest.mark.parametrize(
    ("settings", "tokens", "users"),
    [
        ({"value_intervals": {"rating": "[3,inf)"}}, "abcd", {"u1", "u2"}),
        ({"value_intervals": {"rating": "(3,4];[1,1]"}}, "cb", {"u1"}),
        ({"value_intervals": {"item_id": ["a", "d"]}}, "ad", {"u1", "u2", "u3"}),
        ({"user_counts": "[2,inf)"}, "abcd", {"u1", "u2"}),
        ({"user_counts": "[2,inf)", "item_counts": "[2,inf)"}, "", set()),
        ({"item_counts": "[2,inf)"}, "ab", {"u1", "u2", "u3"}),
        ({"item_columns": None}, "abdz", {"u1", "u2", "u3"}),
        ({"item_columns": None, "filters_unknown": False}, "abcdz", {"u1", "u2", "u3"}),
        ({"item_columns": None, "value_intervals": {"year": "[1985,inf)"}}, "bdz", {"u1", "u2"}),
        ({"item_columns": None, "item_counts": "[1,inf)"}, "abd", {"u1", "u2", "u3"}),
    ],
)
def test_filters_decide_which_items_there_are(
    data: Path, settings: dict[str, Any], tokens: str, users: set[str]
) -> None:
    """And by that which number each has."""
    if not tokens:
        with pytest.raises(DatasetError, match="left after the filters"):
            read_dataset(data, DataSettings(**settings))
        return

    found = read_dataset(data, DataSettings(**settings))

    assert found.item_tokens == ("[PAD]", *tokens)
    assert set(found.user_tokens) == users


def test_times_are_compared_in_32_bits(tmp_path: Path) -> None:
    """Unscaled epoch seconds that lie closer than 64 s keep the order of the file; scaled ones do not."""
    rows = "u\tb\t1000000020\nu\ta\t1000000010\nu\tc\t1000000000\n"
    (tmp_path / "x.inter").write_text(f"user_id:token\titem_id:token\ttimestamp:float\n{rows}")

    assert read_dataset(tmp_path).histories() == {"u": ("c", "a", "b")}
    assert read_dataset(tmp_path, DataSettings(scales_time=False)).histories() == {"u": ("b", "a", "c")}


def test_leave_one_out_keeps_one_pair_for_training(tmp_path: Path) -> None:
    """The last item tests, the one before validates, if there are enough."""
    rows = [f"u{n}\t{TOKENS[1 + i]}\t{i}" for n in (1, 2, 3, 4, 5) for i in range(n)]
    (tmp_path / "x.inter").write_text("\n".join(["user_id:token\titem_id:token\ttimestamp:float", *rows]))
    found = read_dataset(tmp_path)

    assert [case.user for case in found.held_out("test")] == ["u3", "u4", "u5"]
    assert [case.user for case in found.held_out("valid")] == ["u4", "u5"]
    assert found.held_out("valid")[0] == HeldOut("u4", ("item-1", "item-2"), "item-3")
    with pytest.raises(ValueError, match="valid or test"):
        found.held_out("train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("user_id\titem_id\n", "names each column"),
        ("user_id:token\tuser_id:token\n", "names each column"),
        ("user_id:token\n", "item_id"),
        ("user_id:token\titem_id:token\nu\ti\tx\n", "cells in line 2"),
        ("user_id:token\titem_id:token\ttimestamp:float\nu\ti\tnoon\n", "no number"),
        ("user_id:token\titem_id:token\n", "Nothing"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    """Each with the remedy."""
    (tmp_path / "x.inter").write_text(content)

    with pytest.raises(DatasetError, match=message):
        read_dataset(tmp_path)


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    """UTF-8 is what RecBole reads by default."""
    (tmp_path / "x.inter").write_bytes(b"user_id:token\titem_id:token\n\xff\xfe\t1\n")

    with pytest.raises(DatasetError, match="UTF-8"):
        read_dataset(tmp_path)


def test_the_right_file_is_found(tmp_path: Path) -> None:
    """By the data set's name, the folder's name, or because it is alone; or it is named itself."""
    folder = tmp_path / "two"
    for name in ("one", "two"):
        write_dataset(folder, name=name)

    assert find_atomic_file(folder, "inter", "one") == folder / "one.inter"
    assert find_atomic_file(folder, "inter") == folder / "two.inter"
    assert find_atomic_file(folder / "one.inter", "item") == folder / "one.item"
    assert find_atomic_file(folder, "user") is None
    (folder / "two.inter").rename(folder / "three.inter")
    with pytest.raises(DatasetError, match="several"):
        find_atomic_file(folder, "inter")
    with pytest.raises(DatasetError, match="no data set"):
        find_atomic_file(tmp_path / "nowhere", "inter")


def test_only_the_asked_columns_are_read(data: Path) -> None:
    """In the order of the file."""
    found = read_table(data / "d.inter", only=("rating", "user_id"))

    assert list(found.columns) == ["user_id", "rating"]
    assert found.types["rating"] == "float"


@pytest.mark.parametrize("text", ["[1,2", "1,2", "[1]", "[a,2]", "", "(;)"])
def test_malformed_intervals_are_refused(text: str) -> None:
    """RecBole's form or none."""
    with pytest.raises(DatasetError, match="no interval"):
        parse_intervals(text)


def test_intervals_keep_their_ends() -> None:
    """Open, closed, and several of them."""
    first, second = parse_intervals("(0,1];[3,inf)")

    assert first.holds(np.array([0.0, 0.5, 1.0, np.nan])).tolist() == [False, True, True, False]
    assert second.holds(np.array([2.9, 3.0, 1e9])).tolist() == [False, True, True]


@pytest.mark.parametrize("name", ["rm_dup_inter", "alias_of_item_id", "benchmark_filename"])
def test_what_cannot_be_reproduced_is_refused(name: str) -> None:
    """With what to supply instead."""
    with pytest.raises(VocabularyError, match=f"{name}.*vocabulary that RecBole exports"):
        DataSettings.from_recbole({name: "first"})


def test_settings_come_from_recbole_and_survive_a_manifest() -> None:
    """A round trip through plain values."""
    settings = DataSettings.from_recbole(
        {
            "dataset": "d",
            "load_col": {"inter": ["user_id", "item_id"], "item": "*"},
            "val_interval": {"rating": "[3,inf)", "genre": ["x"]},
            "user_inter_num_interval": "[5,inf)",
            "filter_inter_by_user_or_item": True,
            "normalize_all": None,
        }
    )

    assert settings.inter_columns == ("user_id", "item_id")
    assert settings.item_columns is None
    assert settings.user_columns == ()
    assert not settings.scales_time
    assert DataSettings.from_json(settings.to_json()) == settings
    assert DataSettings.from_recbole({"load_col": None}).user_columns is None


@pytest.mark.parametrize("settings", [{"load_col": "all"}, {"load_col": {"inter": [1]}}, {"val_interval": {"a": 1}}])
def test_settings_that_recbole_would_not_write_are_refused(settings: dict[str, Any]) -> None:
    """They come out of an untrusted file."""
    with pytest.raises(DatasetError, match="not RecBole's"):
        DataSettings.from_recbole(settings)
