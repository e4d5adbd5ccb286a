"""A run ends with every user once, whatever is killed or fails on the way; without Ray, step by step."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select
from works import OpenPlainWork, PlainWork

import storage
from batch.errors import HistoriesError, RunFolderError
from batch.files import read_rows
from batch.folder import RunFolder, RunIdentity, Worked
from batch.preparing import Preparing, prepare, since_run, since_time
from batch.worker import DEATHS, Worker
from storage.models import ExplanationRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HISTORIES = {f"u{number}": [f"i{number}", "x"] for number in range(10)}


class KilledError(BaseException):
    """Stands for the end of the process."""


def rows(out: Path, folder: str) -> list[dict[str, Any]]:
    return [row for path in sorted((out / folder).glob("*.parquet")) for row in read_rows(path)]


def users(out: Path, folder: str) -> list[str]:
    return [row["user_id"] for row in rows(out, folder)]


def test_every_user_has_one_record_and_the_report_says_what_came_of_them(
    write_lists: Callable[..., Path], run_here: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    source = write_lists({**HISTORIES, "raise1": ["q"], "raise2": ["r"]})

    report = run_here(source, tmp_path / "out")

    assert sorted(users(tmp_path / "out", "explanations")) == sorted(HISTORIES)
    assert sorted(users(tmp_path / "out", "users")) == sorted([*HISTORIES, "raise1", "raise2"])
    assert report["users"] == {"answered": 10, "setAside": 2, "unchanged": 0}
    assert report["outcomes"] == {"EXPLAINED": 10}
    assert report["sizes"] == {"1": 10}
    assert report["setAside"] == {"ValueError": {"users": 2, "first": "nothing is known of q"}}
    assert report["cost"]["rowsScored"] == 20
    assert report["bytes"] > 0
    (first, _) = rows(tmp_path / "out", "rejects")
    assert first == {
        "user_id": "raise1", "items": ["q"], "error_type": "ValueError", "error": "nothing is known of q"
    }  # fmt: skip
    assert not (tmp_path / "out" / "work").exists()


def test_a_finished_run_is_only_reported(
    write_lists: Callable[..., Path],
    run_here: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = run_here(write_lists(HISTORIES), tmp_path / "out")
    monkeypatch.setattr(OpenPlainWork, "answer", None)

    assert run_here(tmp_path / "histories.parquet", tmp_path / "out") == first


@pytest.mark.parametrize("step", ["answer", "put", "results", "keep", "kept", "publish", "published", "finish", "tidy"])
def test_killed_at_any_step_and_run_again(
    step: str,
    write_lists: Callable[..., Path],
    run_here: Callable[..., dict[str, Any]],
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, work = write_lists(HISTORIES), PlainWork(database_url=database_url)
    owner: Any = OpenPlainWork if step in {"answer", "keep", "kept"} else RunFolder
    name = {"kept": "keep", "published": "publish"}.get(step, step)
    whole, calls = getattr(owner, name), 0

    def killed(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != {"answer": 7, "finish": 1, "tidy": 1}.get(step, 2):
            return whole(*args, **kwargs)
        if step in {"kept", "published"}:
            whole(*args, **kwargs)
        raise KilledError

    monkeypatch.setattr(owner, name, killed)
    with pytest.raises(KilledError):
        run_here(source, tmp_path / "out", work)
    monkeypatch.setattr(owner, name, whole)
    report = run_here(source, tmp_path / "out", work)

    assert report["users"]["answered"] == 10
    found = rows(tmp_path / "out", "explanations")
    assert Counter(row["user_id"] for row in found) == dict.fromkeys(HISTORIES, 1)
    assert in_database(database_url) == {row["id"]: row["payload"] for row in found}
    assert not (tmp_path / "out" / "work").exists()


def in_database(url: str) -> dict[str, str]:
    with storage.Database(url) as database, database.reading() as connection:
        stored = connection.execute(select(ExplanationRow.id, ExplanationRow.payload)).all()
    return {str(row.id): row.payload for row in stored}


def test_a_run_for_the_database_alone_leaves_no_results_as_files(
    write_lists: Callable[..., Path], run_here: Callable[..., dict[str, Any]], database_url: str, tmp_path: Path
) -> None:
    run_here(write_lists(HISTORIES), tmp_path / "out", PlainWork(database_url=database_url, keeps_files=False))

    assert len(in_database(database_url)) == 10
    assert not (tmp_path / "out" / "explanations").exists()
    assert len(users(tmp_path / "out", "users")) == 10


def prepared(folder: RunFolder, source: Path) -> RunIdentity:
    with folder.held({}) as identity:
        prepare(folder, Preparing(source, block=4))
    return identity


def test_of_two_workers_with_one_block_the_first_has_it(
    write_lists: Callable[..., Path], database_url: str, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "out", "explanations")
    identity = prepared(folder, write_lists(HISTORIES))
    work = PlainWork(database_url=database_url)
    first, late = Worker(work, folder.path, identity), Worker(work, folder.path, identity)
    worked = late._worked(0)
    folder.put(0, worked)
    other = Worked([], [], [], {})
    folder.put(0, other)
    assert len(folder.results(0)) == 4
    first.do(0)
    folder.put(0, other)
    late.do(0)

    assert len(rows(folder.path, "explanations")) == 4
    with storage.Database(database_url) as database, database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(ExplanationRow)).scalar_one() == 4


def test_a_user_over_whom_workers_die_is_set_aside(write_lists: Callable[..., Path], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "out", "explanations")
    identity = prepared(folder, write_lists({"u1": ["a"], "die": ["b"], "u2": ["c"]}))
    for _ in range(DEATHS):
        notes, _ = folder.begin(0)
        with notes.open("a") as file:
            file.write("0\n1\n")

    summary = Worker(PlainWork(), folder.path, identity).do(0)

    assert summary["outcomes"] == {"EXPLAINED": 2}
    assert summary["setAside"] == {
        "WorkerDied": {"users": 1, "first": "3 workers died while they worked for this user."}
    }


def test_a_user_with_two_rows_has_one_record(
    run_here: Callable[..., dict[str, Any]], write_lists: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_lists({"u": [name]}, f"in/{name}.parquet")

    report = run_here(tmp_path / "in", tmp_path / "out")

    assert report["users"] == {"answered": 1, "setAside": 1, "unchanged": 0}
    assert report["setAside"]["HistoriesError"]["first"].startswith("The user has more than one row")


def test_long_histories_are_cut_to_the_newest(
    run_here: Callable[..., dict[str, Any]], write_lists: Callable[..., Path], tmp_path: Path
) -> None:
    report = run_here(write_lists({"u": ["a", "b", "c", "d"]}), tmp_path / "out", longest=3)

    assert report["cost"]["rowsScored"] == 3


def test_more_blocks_than_a_file_of_them_holds(
    run_here: Callable[..., dict[str, Any]],
    write_lists: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batch.preparing.BLOCKS_IN_A_FILE", 3)
    many = {f"u{number}": ["a"] for number in range(8)}

    run_here(write_lists(many), tmp_path / "out", block=1)

    assert sorted(users(tmp_path / "out", "explanations")) == sorted(many)


def test_only_who_changed_since_another_run(
    run_here: Callable[..., dict[str, Any]], write_lists: Callable[..., Path], tmp_path: Path
) -> None:
    run_here(write_lists({**HISTORIES, "raise": ["a"]}), tmp_path / "first")
    changed = {**HISTORIES, "u3": ["i3", "x", "new"], "fresh": ["a"], "raise": ["a"]}

    report = run_here(write_lists(changed), tmp_path / "out", since=since_run(tmp_path / "first"))

    assert sorted(users(tmp_path / "out", "explanations")) == ["fresh", "u3"]
    assert users(tmp_path / "out", "rejects") == ["raise"]
    assert report["users"] == {"answered": 2, "setAside": 1, "unchanged": 9}


@pytest.mark.parametrize("since", ["86400", "1970-01-02", "1970-01-02T01:00:00+01:00"])
def test_only_who_changed_since_a_time(since: str, run_here: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    source = tmp_path / "some.csv"
    source.write_text("user_id,item_id,timestamp\nold,a,86399\nnew,a,1\nnew,b,86400\n")

    report = run_here(source, tmp_path / "out", since=since_time(since))

    assert users(tmp_path / "out", "explanations") == ["new"]
    assert report["users"]["unchanged"] == 1


def test_a_time_needs_times(
    run_here: Callable[..., dict[str, Any]], write_lists: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(HistoriesError, match="no run's folder and no time"):
        since_time("yesterday")
    with pytest.raises(HistoriesError, match="have no times"):
        run_here(write_lists(HISTORIES), tmp_path / "out", since=since_time("1"))
    with pytest.raises(RunFolderError, match="no users of an earlier run"):
        since_run(tmp_path)


def test_a_folder_is_of_one_run(
    run_here: Callable[..., dict[str, Any]], write_lists: Callable[..., Path], tmp_path: Path
) -> None:
    run_here(write_lists(HISTORIES), tmp_path / "out")

    with pytest.raises(RunFolderError, match="other histories"):
        run_here(write_lists({"u": ["a"]}), tmp_path / "out")
    folder = RunFolder(tmp_path / "fresh", "explanations")
    with folder.held({"block size": 4}):
        pass
    with pytest.raises(RunFolderError, match="other block size"), folder.held({"block size": 5}):
        pass
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "file").touch()
    with pytest.raises(RunFolderError, match="something else than a run"), RunFolder(tmp_path / "else", "x").held({}):
        pass
    with pytest.raises(RunFolderError, match="cannot be written"), RunFolder(tmp_path / "else/file", "x").held({}):
        pass


def test_two_drivers_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path, "explanations").held({}),
        pytest.raises(RunFolderError, match="Another run works"),
        RunFolder(tmp_path, "explanations").held({}),
    ):
        pass
