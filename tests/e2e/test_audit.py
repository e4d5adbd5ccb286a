"""The auditor's commands on the demo's model, against real records: found, replayed, proved, held, erased."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from commands import DATA, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from commands import Becausal, Ran

    Audit = Callable[..., Ran]

HISTORY = "168,50,172,181,1,7,174,195"


@pytest.fixture
def audit(
    becausal: Becausal, demo_bundle: Path, database_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Audit:
    """`becausal audit ...` on a database with a key and two records, one of user 7 and one of user 8."""
    monkeypatch.setenv("BECAUSAL_DATABASE_URL", database_file)
    monkeypatch.setenv("BECAUSAL_BUNDLE", str(demo_bundle))
    monkeypatch.setenv("BECAUSAL_BUNDLES", str(tmp_path / "bundles"))
    monkeypatch.setenv("BECAUSAL_AUDIT__KEY_FILE", str(tmp_path / "key"))
    made = becausal("audit", "keygen", tmp_path / "key")
    assert re.fullmatch(r"becausal\+[0-9a-f]{8}\+\S+\n", made.out), made.err
    (tmp_path / "key.pub").write_text(made.out)
    for user in ("7", "8"):
        ran = becausal("explain", "--history", HISTORY, "--user", user, "--database", database_file)
        assert ran.code == 0, ran.err
    return lambda *arguments: becausal("audit", *arguments)


def name_of(audit: Audit, user: str) -> str:
    listed = audit("list", "--filter", f'user_id = "{user}"', "--json").json
    (explanation,) = listed["explanations"]
    return explanation["name"]


def edit(tmp_path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(tmp_path / "becausal.db") as connection:
        connection.execute(statement, values)
    connection.close()


def test_a_replay_holds_to_the_last_bit(audit: Audit) -> None:
    ran = audit("replay", name_of(audit, "7"))
    assert (ran.code, ran.out.splitlines()[0]) == (0, "HOLDS: Every stated fact holds. Equal to the last bit.")
    fleet = audit("replay", "--all", "--sample", 1, "--json")
    assert fleet.code == 0
    assert (fleet.json["replayed"], fleet.json["bitEqual"], fleet.json["verdicts"]["HOLDS"]) == (1, 1, 1)


def test_a_tampered_record_a_missing_and_a_swapped_model_are_told_apart(
    audit: Audit, tmp_path: Path, demo_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited, other = name_of(audit, "7"), name_of(audit, "8")
    edit(
        tmp_path,
        "UPDATE explanations SET payload = replace(payload, 'Because', 'Since') WHERE user_id = ?",
        "7",
    )
    assert audit("replay", edited).out.startswith("RECORD_TAMPERED: ")
    fleet = audit("replay", "--all")
    assert fleet.code == 1
    assert f"{edited}  RECORD_TAMPERED" in fleet.out
    assert "1 of 2 hold, 1 of them to the last bit." in fleet.out

    monkeypatch.setenv("BECAUSAL_BUNDLE", str(tmp_path / "none"))
    assert audit("replay", other).out.startswith("HOLDS: ")  # on the bundle that was kept
    (kept,) = (tmp_path / "bundles").iterdir()
    (kept / "items.safetensors").write_bytes(b"another")
    assert audit("replay", other).out.startswith("MODEL_SWAPPED: ")
    shutil.rmtree(kept)
    missing = audit("replay", other)
    assert (missing.code, missing.out.partition(":")[0]) == (1, "MODEL_MISSING")
    assert demo_bundle.is_dir()


def test_an_export_is_verified_without_the_database(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "old").write_text(audit("checkpoint").out)
    assert audit("export", "--out", tmp_path / "export.jsonl", "--as", "auditor").code == 0
    (tmp_path / "becausal.db").rename(tmp_path / "gone.db")

    ran = audit("verify", tmp_path / "export.jsonl", "--key", tmp_path / "key.pub", "--since", tmp_path / "old")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Intact: 3 entries against a checkpoint of 3, 3 documents recomputed, 0 erased.")

    text = (tmp_path / "export.jsonl").read_text()
    (tmp_path / "edited.jsonl").write_text(text.replace("Because", "Since"))
    ran = audit("verify", tmp_path / "edited.jsonl", "--json")
    assert ran.code == 1
    assert {finding["fault"] for finding in ran.json["findings"]} == {"EDITED_DOCUMENT"}
    assert audit("verify", tmp_path / "key.pub").code == 2


def test_a_proof_holds_after_its_record_is_erased(audit: Audit, tmp_path: Path) -> None:
    name = name_of(audit, "7")
    before = audit("prove", name).json
    (tmp_path / "before").write_text(json.dumps(before))
    assert audit("erase", "7", "--reason", "asked").out.startswith("Erased 1 explanations, 0 interactions")
    assert audit("show", name).code == 2
    audit("prove", name, "--out", tmp_path / "after")
    for file, erased in (("before", 0), ("after", 1)):
        ran = audit("verify", tmp_path / file, "--key", tmp_path / "key.pub", "--json")
        assert (ran.code, ran.json["erased"]) == (0, erased)
    grown = audit("consistency", "--from", 1).json
    assert grown["oldSize"] == 1
    assert grown["newSize"] > 2
    assert audit("list", "--filter", 'user_id = "8"').out.count("explanations/") == 1


def test_a_hold_blocks_erasure_and_retention(audit: Audit) -> None:
    assert audit("hold", "7", "--reason", "case 9").code == 0
    assert audit("holds").out.startswith("7  since ")
    blocked = audit("erase", "7")
    assert blocked.code == 1
    assert "legal hold" in blocked.err
    assert audit("retain", "--days", 0).out.startswith("Erased 1 explanations")
    assert audit("release", "7").code == 0
    assert audit("release", "7").code == 1
    assert audit("retain", "--days", 0).out.startswith("Erased 1 explanations")
    assert audit("list").out == "No explanation matches.\n"


def test_reading_is_recorded(audit: Audit, tmp_path: Path) -> None:
    name = name_of(audit, "7")
    audit("show", name, "--as", "auditor@example.com")
    with sqlite3.connect(tmp_path / "becausal.db") as connection:
        documents = connection.execute("SELECT document FROM log_entries WHERE kind = 'read' ORDER BY id").fetchall()
    connection.close()
    reads = [json.loads(document) for (document,) in documents]
    assert [read["action"] for read in reads] == ["list", "get"]
    assert (reads[1]["actor"], reads[1]["subject"]) == ("auditor@example.com", name)


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay",),
        ("replay", "explanations/x"),
        ("replay", "--all", "explanations/x"),
        ("prove", "x"),
        ("prove", "00000000-0000-7000-8000-000000000000"),
        ("consistency", "--from", "99"),
        ("verify", "nowhere.jsonl"),
        ("retain", "--days", "1e12"),
        ("export", "--out", "no/such/folder/file"),
        ("erase", ""),
    ],
)
def test_what_cannot_be_done_is_one_sentence(audit: Audit, arguments: tuple[str, ...]) -> None:
    ran = audit(*arguments)
    assert ran.code == 2
    assert re.fullmatch(r"becausal: [^\n]+\.\n", ran.err.splitlines(keepends=True)[-1]), ran.err


def test_without_a_key_nothing_is_proved(
    becausal: Becausal, database_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BECAUSAL_DATABASE_URL", database_file)
    assert "becausal audit keygen" in becausal("audit", "checkpoint").err
    monkeypatch.setenv("BECAUSAL_AUDIT__KEY_FILE", str(tmp_path / "missing"))
    assert "becausal audit keygen" in becausal("audit", "checkpoint").err


def test_histories_are_loaded_and_used(
    becausal: Becausal, demo_bundle: Path, database_file: str, tmp_path: Path
) -> None:
    (tmp_path / "likes.csv").write_text("who,what,when\n7,50,2\n7,172,3\n7,168,1\n8,1,1\n")
    columns = ("--user-field", "who", "--item-field", "what", "--time-field", "when")
    load = ("load-histories", tmp_path / "likes.csv", *columns, "--database", database_file)
    assert becausal(*load).out == "4 interactions read, 4 of them new.\n"
    assert becausal(*load).out == "4 interactions read, 0 of them new.\n"
    ask = ("explain", "--bundle", demo_bundle, "--user", "7", "--database", database_file, "--json")
    assert becausal(*ask).json["history"] == ["168", "50", "172"]
    assert becausal("load-histories", DATA, "--database", database_file).out.startswith("100000 interactions read")


BAD_FILES = {
    "missing": None,
    "empty": b"",
    "no such column": b"user_id,item_id\n1,2\n",
    "short row": b"user_id,item_id,timestamp\n1,2\n",
    "bad time": b"user_id,item_id,timestamp\n1,2,noon\n",
    "not a number": b"user_id,item_id,timestamp\n1,2,nan\n",
    "empty user": b"user_id,item_id,timestamp\n,2,1\n",
    "not text": b"user_id,item_id,timestamp\n\xff,2,1\n",
}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_file_that_cannot_be_loaded_is_one_sentence(
    becausal: Becausal, database_file: str, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "file.csv").write_bytes(content)
    ran = becausal("load-histories", tmp_path / "file.csv", "--database", database_file)
    assert ran.code == 2
    assert re.search(r"^becausal: [^\n]+\.\n", ran.err, flags=re.MULTILINE), ran.err


def test_parquet_is_read_where_pyarrow_is(becausal: Becausal, database_file: str, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet  # noqa: PLC0415 - where it is

    table = pyarrow.table({"user_id": ["1", "1"], "item_id": [5, 6], "timestamp": [1, 2]})
    parquet.write_table(table, tmp_path / "file.parquet")
    ran = becausal("load-histories", tmp_path / "file.parquet", "--database", database_file)
    assert ran.out == "2 interactions read, 2 of them new.\n"


def test_the_commands_of_the_audit_page_run(audit: Audit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "audit.md").read_text()
    (block,) = re.findall(r"<!-- runs as a test -->\n```\n(.*?)```", page, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for line in block.replace("NAME", name_of(audit, "7")).splitlines():
        command, _, out = line.partition(" > ")
        words = command.split()
        assert words[:2] == ["becausal", "audit"], line
        ran = audit(*(word.strip("'\"") for word in words[2:]))
        assert ran.code == 0, (line, ran.err, ran.out)
        if out:
            (tmp_path / out).write_text(ran.out)
