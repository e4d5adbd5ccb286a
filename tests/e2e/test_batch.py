"""`becausal batch` on a Ray of its own and the demo's model; and its refusals, which need no Ray."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

import storage
from batch.files import read_rows

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


@pytest.mark.timeout(120)
def test_everybody_is_explained_once_into_files_and_database(
    becausal: Becausal, demo_bundle: Path, histories: Path, database_file: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["batch", "--bundle", demo_bundle, "--histories", histories, "--workers", "1", "--out", out]
    arguments += ["--out", database_file]

    # In a process of its own: Ray's warnings are not ours.
    first = subprocess.run([BECAUSAL, *arguments, "--json"], check=False, capture_output=True, text=True)  # noqa: S603 - our own command
    again = becausal(*arguments)

    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
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
