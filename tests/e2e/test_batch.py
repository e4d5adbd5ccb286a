"""`becausal batch` on a Ray of its own and the demo's model; and its refusals, which need no Ray."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

import storage
from batch.files import read_rows
from small_models import TOKENS, bundle

if TYPE_CHECKING:
    from commands import Becausal

BECAUSAL = str(Path(sys.executable).with_name("becausal"))


@pytest.fixture
def histories(tmp_path: Path) -> Path:
    path = tmp_path / "some.csv"
    items = ("168", "50", "172", "181", "1", "7", "174", "195")
    lines = [f"{user},{item},{time}" for user in ("1", "2", "3") for time, item in enumerate(items[int(user) :])]
    path.write_text("\n".join(["user_id,item_id,timestamp", *lines, "4,nope,1"]) + "\n")
    return path


def batch(*arguments: object) -> dict[str, Any]:
    """The report of `becausal batch`, in a process of its own: Ray's warnings are not ours."""
    ran = subprocess.run(  # noqa: S603 - our own command
        [BECAUSAL, "batch", *map(str, arguments), "--workers", "1", "--json"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


@pytest.mark.timeout(120)
def test_everybody_is_explained_once_into_files_and_database(
    becausal: Becausal, demo_bundle: Path, histories: Path, database_file: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["--bundle", demo_bundle, "--histories", histories, "--out", out, "--out", database_file]

    report = batch(*arguments)
    again = becausal("batch", *arguments)

    assert report["users"] == {"answered": 3, "setAside": 1, "unchanged": 0}
    assert list(report["setAside"]) == ["NoKnownItemsError"]
    assert re.search(r"users answered +3\n", again.out), again.err
    assert "1 for NoKnownItemsError" in again.out
    rows = [row for path in (out / "explanations").iterdir() for row in read_rows(path)]
    with storage.Database(database_file) as database:
        explanations = storage.ExplanationRepository(database)
        assert sorted(map(str, explanations.ids())) == sorted(row["id"] for row in rows)
        assert {explanations.get(UUID(row["id"])).user_id for row in rows} == {"1", "2", "3"}  # type: ignore[union-attr]
        with database.reading() as connection:
            places = connection.exec_driver_sql("SELECT leaf_index FROM log_entries ORDER BY 1").scalars().all()
    assert list(places) == [0, 1, 2]


@pytest.mark.timeout(180)
def test_a_later_run_leaves_out_who_did_not_change(demo_bundle: Path, histories: Path, tmp_path: Path) -> None:
    earlier, later = tmp_path / "earlier", tmp_path / "later"
    first = batch("--bundle", demo_bundle, "--histories", histories, "--out", earlier)
    histories.write_text(histories.read_text() + "2,288,99\n5,50,1\n")

    second = batch("--bundle", demo_bundle, "--histories", histories, "--out", later, "--changed-since", earlier)

    assert first["users"] == {"answered": 3, "setAside": 1, "unchanged": 0}
    # 2 has one item more, 5 is new; 4 was set aside and is tried again.
    assert second["users"] == {"answered": 2, "setAside": 1, "unchanged": 2}
    rows = [row for path in (later / "explanations").iterdir() for row in read_rows(path)]
    assert {row["user_id"] for row in rows} == {"2", "5"}
    assert (
        "288"
        in json.loads(next(row["payload"] for row in rows if row["user_id"] == "2"))["record"]["explanation"]["history"]
    )


@pytest.mark.timeout(120)
def test_two_models_are_compared(tmp_path: Path) -> None:
    old, new = (bundle(tmp_path, seed).path for seed in (1, 2))
    histories, out = tmp_path / "histories.csv", tmp_path / "out"
    lines = [f"u{user},{item},{time}" for user in range(6) for time, item in enumerate(TOKENS[1 + user : 4 + user])]
    histories.write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")

    report = batch("--compare", old, new, "--histories", histories, "--out", out)

    rows = [row for path in (out / "differences").iterdir() for row in read_rows(path)]
    changes = Counter(row["change"] for row in rows)
    assert report["users"]["answered"] == 6
    assert changes
    assert Counter(report["outcomes"]) - Counter({"SAME": 6}) == changes
    assert report["outcomes"].get("SAME", 0) == 6 - len(rows)
    assert all(row["old_target_item"] != row["new_target_item"] for row in rows if row["change"] == "OTHER_ITEM")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "{tmp}/out", "--out", "{tmp}/other"), "one folder and one database"),
        (("--out", "mysql://x"), "begins with 'mysql'"),
        (("--out", "sqlite:///{tmp}/none.db"), "becausal db upgrade"),
        (("--out", "{tmp}/out", "--k", "2", "--compare", "{bundle}", "{bundle}"), "--compare writes"),
        (("--out", "{tmp}/out", "--changed-since", "never"), "no time"),
        (("--out", "{tmp}/out", "--changed-since", "{tmp}"), "holds no users"),
        (("--out", "{tmp}/out", "--top-k", "0"), "top_k is 0"),
        (("--out", "{tmp}"), "holds something else than a run"),
        (("--out", "{tmp}/out", "--item-field", "film"), "no column film"),
        (("--out", "{tmp}/out", "--k", "21"), "k is 21"),
        (("--out", "{tmp}/out", "--ray-address", "127.0.0.1:1"), "No Ray cluster answers"),
        (("--out", "{tmp}/out", "--ray-address", "head"), "is no HOST:PORT"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    arguments: tuple[str, ...],
    said: str,
    becausal: Becausal,
    demo_bundle: Path,
    histories: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [argument.format(tmp=tmp_path, bundle=demo_bundle) for argument in arguments]

    ran = becausal("batch", "--bundle", demo_bundle, "--histories", histories, *given)

    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_serving_imports_neither_ray_nor_pyarrow() -> None:
    code = "import sys, server.cli.app, server.main; sys.exit(bool({'ray', 'pyarrow'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own code
