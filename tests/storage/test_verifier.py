"""The offline verifier against every way of changing an export that it is to find, each named with its record."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import storage
from becausal.audit.entries import Kind, commitment, new_salt
from becausal.audit.errors import AuditError, ExportFormatError, KeyFormatError, NoteFormatError
from becausal.audit.findings import Fault
from becausal.audit.note import Checkpoint, Signer, Verifier, split_note
from becausal.audit.verifier import verify_file
from storage.entries import Batch, event_entry
from storage_examples import record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from becausal.audit.findings import Report

SIGNER, STRANGER = Signer.new("becausal.test/log"), Signer.new("becausal.test/log")
RECORDS = [record(user_id=str(number % 4)) for number in range(300)]

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lines, str, dict[str, Any]]:
    """An export of 300 records and a few other entries, a checkpoint from before its end, and one proof."""
    url = f"sqlite:///{tmp_path_factory.mktemp('export') / 'becausal.db'}"
    storage.upgrade(url)
    with storage.Database(url) as database:
        explanations, trail = storage.ExplanationRepository(database), storage.AuditTrail(database)
        log = storage.AuditLog(database, SIGNER.name, SIGNER)
        explanations.add(RECORDS[:200])
        log.sequence()
        earlier = log.checkpoint().note or ""
        explanations.add(RECORDS[200:])
        explanations.write(Batch(entries=[event_entry(Kind.READ, {"subject": "everything"})]))
        storage.Erasure(database).erase_user("3", actor="clerk", reason="")
        log.sequence_all()
        lines = [json.loads(line) for line in storage.export_lines(trail, log.checkpoint(), SIGNER.verifier.text)]
        proof = storage.proof_file(trail, log, RECORDS[4].id, SIGNER.verifier.text)
    return lines, earlier, proof


@pytest.fixture
def check(exported: tuple[Lines, str, dict[str, Any]], tmp_path: Path) -> Callable[..., Report]:
    """Change the export, and verify what comes of it."""

    def run(change: Callable[[Lines], object] = lambda _: None, key: Verifier | None = SIGNER.verifier) -> Report:
        lines = json.loads(json.dumps(exported[0]))
        change(lines)
        file = tmp_path / "export.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return verify_file(file, key, exported[1])

    return run


def entry(lines: Lines, index: int) -> int:
    """Where in the file an entry stands."""
    return next(place for place, line in enumerate(lines) if line.get("index") == index)


def name(index: int) -> str:
    return f"explanations/{RECORDS[index].id}"


def test_an_untouched_export_is_intact(check: Callable[..., Report]) -> None:
    report = check()
    assert report.intact, report.findings
    assert (report.entries, report.documents, report.erased) == (302, 227, 75)
    assert report.key_was_given
    assert not check(key=None).key_was_given


def edit_field(lines: Lines) -> None:
    lines[entry(lines, 8)]["document"]["record"]["explanation"]["target"]["rank"] = 2


def edit_salt(lines: Lines) -> None:
    lines[entry(lines, 8)]["salt"] = "00" * 32


def edit_and_commit_again(lines: Lines) -> None:
    edit_field(lines)
    line, salt = lines[entry(lines, 8)], new_salt()
    line |= {"salt": salt.hex(), "commitment": commitment(salt, line["document"]).hex()}


def remove(lines: Lines) -> None:
    del lines[entry(lines, 8)]


def remove_and_renumber(lines: Lines) -> None:
    place = entry(lines, 8)
    del lines[place]
    for line in lines[place:]:
        line["index"] -= 1


def swap(lines: Lines) -> None:
    one, other = entry(lines, 8), entry(lines, 9)
    lines[one], lines[other] = lines[other], lines[one]


def swap_and_renumber(lines: Lines) -> None:
    swap(lines)
    one, other = entry(lines, 9), entry(lines, 8)
    lines[one]["index"], lines[other]["index"] = 8, 9


def cut_tail(lines: Lines) -> None:
    del lines[entry(lines, 292) :]


def cut_tail_and_leaves(lines: Lines) -> None:
    cut_tail(lines)
    del lines[2]


def erase_in_silence(lines: Lines) -> None:
    lines[entry(lines, 8)] |= {"salt": None, "document": None}


def put_back(lines: Lines) -> None:
    document = {"format": 1, "record": {"id": str(RECORDS[3].id)}}
    salt = new_salt()
    lines[entry(lines, 3)] |= {"salt": salt.hex(), "document": document}


def break_line(lines: Lines) -> None:
    lines[entry(lines, 8)] = {"type": "entry", "index": "x"}


def forge_root(lines: Lines) -> None:
    checkpoint = Checkpoint.parse(split_note(lines[0]["checkpoint"])[0])
    lines[0]["checkpoint"] = STRANGER.sign(Checkpoint(checkpoint.origin, checkpoint.size, bytes(32)).body)


def sign_by_stranger(lines: Lines) -> None:
    lines[0]["checkpoint"] = STRANGER.sign(split_note(lines[0]["checkpoint"])[0])


def edit_checkpoint(lines: Lines) -> None:
    lines[0]["checkpoint"] = lines[0]["checkpoint"].replace("302", "301", 1)


FAULTS = {
    edit_field: (Fault.EDITED_DOCUMENT, name(8)),
    edit_salt: (Fault.EDITED_DOCUMENT, name(8)),
    edit_and_commit_again: (Fault.EDITED_ENTRY, name(8)),
    remove: (Fault.REMOVED_ENTRY, "entry 8"),
    remove_and_renumber: (Fault.REMOVED_ENTRY, "entry 8"),
    swap: (Fault.REORDERED_ENTRY, name(8)),
    swap_and_renumber: (Fault.REORDERED_ENTRY, name(8)),
    cut_tail: (Fault.TRUNCATED_TAIL, "entry 292"),
    cut_tail_and_leaves: (Fault.TRUNCATED_TAIL, "entry 292"),
    erase_in_silence: (Fault.UNEXPLAINED_ERASURE, name(8)),
    put_back: (Fault.ERASED_BUT_PRESENT, name(3)),
    break_line: (Fault.UNREADABLE_LINE, "line 12"),
    forge_root: (Fault.FORGED_CHECKPOINT, ""),
    sign_by_stranger: (Fault.FORGED_CHECKPOINT, ""),
    edit_checkpoint: (Fault.FORGED_CHECKPOINT, ""),
}


@pytest.mark.parametrize("change", FAULTS, ids=lambda change: change.__name__)
def test_every_change_is_found_and_named(check: Callable[..., Report], change: Callable[[Lines], object]) -> None:
    fault, named = FAULTS[change]
    findings = check(change).findings
    assert (fault, named) in [(finding.fault, finding.record) for finding in findings]
    assert len(findings) <= 4, findings
    assert all(finding.text.endswith(".") for finding in findings)


def test_a_whole_log_that_was_made_anew_is_found_by_an_older_checkpoint(
    exported: tuple[Lines, str, dict[str, Any]], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'anew.db'}"
    storage.upgrade(url)
    with storage.Database(url) as database:
        log = storage.AuditLog(database, SIGNER.name, SIGNER)
        storage.ExplanationRepository(database).add(RECORDS[1:])
        log.sequence_all()
        file = tmp_path / "anew.jsonl"
        file.write_text(
            "".join(storage.export_lines(storage.AuditTrail(database), log.checkpoint(), SIGNER.verifier.text))
        )
    assert verify_file(file, SIGNER.verifier).intact
    findings = verify_file(file, SIGNER.verifier, exported[1]).findings
    assert [finding.fault for finding in findings] == [Fault.INCONSISTENT_HISTORY]


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        (None, None, None),
        ("index", 5, Fault.EDITED_ENTRY),
        ("salt", "00" * 32, Fault.EDITED_DOCUMENT),
        ("id", str(RECORDS[5].id), Fault.EDITED_ENTRY),
    ],
    ids=["untouched", "index", "salt", "id"],
)
def test_a_proof_of_one_record(
    exported: tuple[Lines, str, dict[str, Any]], tmp_path: Path, field: str | None, value: object, fault: Fault | None
) -> None:
    proof = json.loads(json.dumps(exported[2]))
    if field is not None:
        proof["entry"][field] = value
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(proof))
    found = {finding.fault for finding in verify_file(file, SIGNER.verifier).findings}
    assert (fault in found) if fault else not found


@pytest.mark.parametrize(
    "content", ["", "x", "{}", "[]", "null", '{"type": "becausal-audit-export", "format": 9}', "\xff"]
)
def test_what_is_no_export_is_said(tmp_path: Path, content: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(ExportFormatError, match="give"):
        verify_file(file)


@pytest.mark.parametrize(
    "text",
    ["", "a+b+c", "PRIVATE+KEY+a+b+c", SIGNER.verifier.text[:-4], f"x{SIGNER.verifier.text}"],
    ids=["empty", "three parts", "no base64", "cut off", "another name"],
)
def test_what_is_no_key_is_said_without_repeating_it(text: str) -> None:
    for parse in (Verifier.parse, Signer.parse):
        with pytest.raises(KeyFormatError) as caught:
            parse(text)
        assert not text or text not in str(caught.value)


def test_keys_and_notes_read_back_as_they_are_written() -> None:
    assert Signer.parse(SIGNER.text).text == SIGNER.text
    assert Verifier.parse(SIGNER.verifier.text).text == SIGNER.verifier.text
    note = SIGNER.sign("one\ntwo\n")
    assert SIGNER.verifier.opened(note) == "one\ntwo\n"
    assert STRANGER.verifier.opened(note) is None
    assert SIGNER.verifier.opened(note.replace("two", "too")) is None
    for broken in ("", "x", note[:-1], note.replace("\n\n", "\n"), note.replace("— ", "- ")):
        with pytest.raises(NoteFormatError):
            SIGNER.verifier.opened(broken)
    with pytest.raises(NoteFormatError):
        Checkpoint.parse("origin\nx\n\n")
    for bad in ("", "a b", "a+b", "a\n"):
        with pytest.raises(AuditError):
            Signer.new(bad)


def test_the_key_id_is_that_of_the_signed_note_specification() -> None:
    # The example of golang.org/x/mod/sumdb/note, which the specification was written after.
    known = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    assert Verifier.parse(known).text == known


def test_the_verifier_needs_neither_database_nor_model_nor_server(
    exported: tuple[Lines, str, dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "export.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in exported[0]))
    code = (
        "import sys, runpy; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_module('becausal.audit', run_name='__main__')\n"
        "finally: print(sorted({'torch', 'sqlalchemy', 'grpc', 'storage', 'server', 'numpy'} & set(sys.modules)))"
    )
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code, "becausal.audit", str(file), SIGNER.verifier.text],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["302 entries, 227 documents checked, 75 erased", "[]"]
