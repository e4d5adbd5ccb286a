"""Histories in every form: the same users and items, and what cannot be read is one user's misfortune."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyarrow import parquet

from batch.errors import HistoriesError
from batch.histories import Fields, UserHistory, read_histories

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [("u2", "b", 5.0), ("u1", "a", 3.0), ("u2", "a", 4.0), ("u1", "b", 3.0), ("u1", "a", 3.0), ("u1", "c", 1.5)]
EXPECTED = [UserHistory("u2", ("a", "b"), 5.0), UserHistory("u1", ("c", "a", "b"), 3.0)]


def text(path: Path, rows: list[tuple[str, ...]], header: tuple[str, ...]) -> Path:
    delimiter = "\t" if path.suffix == ".inter" else ","
    path.write_bytes("\n".join(delimiter.join(row) for row in [header, *rows]).encode("latin-1"))
    return path


def written(form: str, folder: Path) -> Path:
    rows = [(user, item, str(time)) for user, item, time in ROWS]
    if form == "inter":
        header = ("user_id:token", "item_id:token", "timestamp:float")
        return text(folder / "some.inter", rows, header).parent
    if form == "csv":
        return text(folder / "some.csv", rows, ("user_id", "item_id", "timestamp"))
    users, items, times = zip(*ROWS, strict=True)
    if form == "lists":
        table = {"user_id": ["u2", "u1"], "item_id": [["a", "b"], ["c", "a", "b"]], "timestamp": [5.0, 3.0]}
    else:
        table = {"user_id": users, "item_id": items, "timestamp": times}
    parquet.write_table(pa.table(table), folder / "some.parquet")
    return folder


@pytest.mark.parametrize("form", ["inter", "csv", "rows", "lists"])
def test_every_form_says_the_same(form: str, tmp_path: Path) -> None:
    assert list(read_histories(written(form, tmp_path), Fields())) == EXPECTED


def test_several_files_are_one_table(tmp_path: Path) -> None:
    text(tmp_path / "1.csv", [("u", "b", "2")], ("user_id", "item_id", "timestamp"))
    text(tmp_path / "2.csv", [("u", "a", "1")], ("user_id", "item_id", "timestamp"))

    assert list(read_histories(tmp_path, Fields())) == [UserHistory("u", ("a", "b"), 2.0)]


def test_names_of_columns_can_be_given_and_times_be_timestamps(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    table = pa.table({"who": [7], "what": [168], "when": [moment]})
    parquet.write_table(table, tmp_path / "some.pq")

    (found,) = read_histories(tmp_path, Fields("who", "what", "when"))

    assert found == UserHistory("7", ("168",), moment.timestamp())


def test_a_broken_line_or_value_spoils_one_user(tmp_path: Path) -> None:
    rows = [
        ("good", "a", "1"),
        ("late", "a", "soon"),
        ("lacks", "", "1"),
        ("a", "b"),
        ("", "a", "1"),
        ("\xff", "a", "1"),
    ]
    path = text(tmp_path / "some.csv", rows, ("user_id", "item_id", "timestamp"))

    found = list(read_histories(path, Fields()))

    assert [one.user_id for one in found] == ["good", "late", "lacks", None, None, None]
    assert [one.error is None for one in found] == [True, *[False] * 5]
    assert found[0].items == ("a",)


def test_a_broken_list_spoils_one_user(tmp_path: Path) -> None:
    table = {"user_id": ["a", "b", None, "d"], "history": [["x"], None, ["x"], ["x", None]]}
    parquet.write_table(pa.table(table), tmp_path / "some.parquet")

    found = list(read_histories(tmp_path, Fields()))

    assert [(one.user_id, one.error is None) for one in found] == [
        ("a", True),
        ("b", False),
        (None, False),
        ("d", False),
    ]


def test_a_file_with_a_header_alone_has_no_users(tmp_path: Path) -> None:
    assert list(read_histories(text(tmp_path / "a.csv", [], ("user_id", "item_id", "timestamp")), Fields())) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"user_id,item_id\n", "no column timestamp"),
        ("a.parquet", b"no parquet", "cannot be read"),
        ("a.txt", b"", "no histories"),
    ],
)
def test_what_cannot_be_read_at_all_is_said_in_a_sentence(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HistoriesError, match=said):
        list(read_histories(tmp_path, Fields()))
