"""The offline verifier: an export file in, findings out, each with the record it is about.

An export is one JSON object per line: the header with checkpoint and public key, the leaf hashes of the whole log (256 a
line), then the entries with their documents. The leaf hashes are believed only if they give the signed root; then each
entry has to be the one that its leaf stands for.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

from becausal.audit.entries import Kind, commitment, entry_leaf
from becausal.audit.errors import AuditError, ExportFormatError
from becausal.audit.findings import Fault, Report
from becausal.audit.merkle import HASH_BYTES, root_of, verify_inclusion
from becausal.audit.note import Checkpoint, Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXPORT = "becausal-audit-export"
PROOF = "becausal-audit-proof"
FORMAT = 1

_LOSSES = {Fault.TRUNCATED_TAIL, Fault.REMOVED_ENTRY, Fault.EDITED_ENTRY, Fault.UNREADABLE_LINE}


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry as the file has it."""

    index: int
    id: UUID
    kind: str
    leaf: bytes

    @property
    def name(self) -> str:
        return f"explanations/{self.id}" if self.kind == Kind.EXPLANATION else f"{self.kind} {self.id}"


@dataclass(slots=True)
class _State:
    """What was read so far."""

    report: Report
    entries: list[_Entry] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    gone: dict[UUID, _Entry] = field(default_factory=dict)
    present: set[UUID] = field(default_factory=set)
    named_by_erasures: set[UUID] = field(default_factory=set)


def verify_file(path: Path, key: Verifier | None = None, earlier: str | None = None) -> Report:
    """Check an export or the proof of one record.

    Args:
        path: the file.
        key: the log's public key, known from elsewhere; None takes the one in the file, which proves that the file is
            whole but not whose it is.
        earlier: a checkpoint that was kept from before; the log must begin with what it was signed over.

    Raises:
        ExportFormatError: the file cannot be read, or is no export at all.
        AuditError: the key or a checkpoint cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return _verify(enumerate(file, 1), key, earlier)
    except (OSError, UnicodeDecodeError) as error:
        raise ExportFormatError(f"{path} cannot be read ({error}); give a file of `becausal audit export`.") from error


def _verify(lines: Iterator[tuple[int, str]], key: Verifier | None, earlier: str | None) -> Report:
    header = _header(lines)
    report = Report(key_was_given=key is not None)
    verifier = key or Verifier.parse(str(header.get("public_key", "")))
    checkpoint = _checkpoint(str(header.get("checkpoint", "")), verifier, report)
    report.checkpoint = checkpoint
    state = _State(report)
    if header["type"] == PROOF:
        _check_proof(header, state, checkpoint)
        return report
    for number, line in lines:
        _read_line(number, line, state)
    report.entries = len(state.entries)
    _check_places(state, checkpoint)
    _check_erasures(state)
    if earlier is not None:
        _check_earlier(earlier, verifier, state)
    return report


def _header(lines: Iterator[tuple[int, str]]) -> dict[str, Any]:
    try:
        header = json.loads(next(lines, (0, ""))[1])
        if header["type"] in {EXPORT, PROOF} and header["format"] == FORMAT:
            return dict(header)
    except (ValueError, KeyError, TypeError):
        pass
    raise ExportFormatError(
        "The file is no export of this format; give one of `becausal audit export` or `becausal audit prove`."
    )


def _checkpoint(note: str, verifier: Verifier, report: Report) -> Checkpoint:
    body = verifier.opened(note)
    if body is None:
        report.add(
            Fault.FORGED_CHECKPOINT, "", f"The checkpoint is not signed by {verifier.name}+{verifier.key_id.hex()}."
        )
        return Checkpoint.parse(note)
    return Checkpoint.parse(body)


def _read_line(number: int, line: str, state: _State) -> None:
    try:
        content = json.loads(line)
        if content["type"] == "leaves":
            hashes = base64.b64decode(content["hashes"], validate=True)
            state.leaves += [hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)]
        else:
            _read_entry(content, state)
    except (ValueError, KeyError, TypeError, AttributeError):
        state.report.add(Fault.UNREADABLE_LINE, f"line {number}", f"Line {number} of the file cannot be read.")


def _read_entry(content: dict[str, Any], state: _State) -> None:
    entry_id, kind, committed = UUID(content["id"]), str(content["kind"]), bytes.fromhex(content["commitment"])
    entry = _Entry(int(content["index"]), entry_id, kind, entry_leaf(entry_id, kind, committed))
    state.entries.append(entry)
    document, salt = content["document"], content["salt"]
    if document is None or salt is None:
        state.gone[entry_id] = entry
        state.report.erased += 1
        return
    state.present.add(entry_id)
    state.report.documents += 1
    if commitment(bytes.fromhex(salt), document) != committed:
        state.report.add(
            Fault.EDITED_DOCUMENT, entry.name, f"The document of entry {entry.index} ({entry.name}) was edited."
        )
    elif kind == Kind.EXPLANATION and document["record"]["id"] != str(entry_id):
        state.report.add(Fault.EDITED_DOCUMENT, entry.name, f"{entry.name} holds the document of another record.")
    if kind == Kind.ERASURE:
        state.named_by_erasures |= {UUID(erased) for erased in document["entries"]}


def _check_places(state: _State, checkpoint: Checkpoint) -> None:
    """Each entry against the leaf hashes, once these are known to be the signed ones."""
    report = state.report
    if len(state.leaves) < checkpoint.size or root_of(state.leaves[: checkpoint.size]) != checkpoint.root:
        entries_fit = root_of([entry.leaf for entry in state.entries]) == checkpoint.root
        where = "The list of leaf hashes in the file" if entries_fit else "The log in the file"
        report.add(
            Fault.FORGED_CHECKPOINT,
            "",
            f"{where} is not what the checkpoint of {checkpoint.size} entries was made over.",
        )
        if entries_fit:
            return
    if len(state.leaves) >= len(state.entries):
        _check_against_leaves(state)
    else:
        _check_indexes(state, checkpoint.size)


def _check_against_leaves(state: _State) -> None:
    report, places = state.report, {leaf: place for place, leaf in enumerate(state.leaves)}
    missing = set(range(len(state.leaves))) - {places.get(entry.leaf, -1) for entry in state.entries}
    furthest, renumbered = -1, False
    for entry in state.entries:
        place = places.get(entry.leaf)
        if place is None:
            missing.discard(entry.index)
            report.add(
                Fault.EDITED_ENTRY,
                entry.name,
                f"Entry {entry.index} ({entry.name}) is not the one that the log has there.",
            )
        elif place < furthest:
            report.add(
                Fault.REORDERED_ENTRY,
                entry.name,
                f"{entry.name} is entry {place} of the log and stands behind entry {furthest} in the file.",
            )
        elif place != entry.index and not renumbered:
            # Said once: a renumbered file would repeat it for every entry that follows.
            renumbered = True
            report.add(
                Fault.EDITED_ENTRY,
                entry.name,
                f"{entry.name} is entry {place} of the log, not {entry.index} as the file says.",
            )
        furthest = max(furthest, -1 if place is None else place)
    _report_missing(state, missing)


def _report_missing(state: _State, missing: set[int]) -> None:
    size = len(state.leaves)
    tail = size
    while tail - 1 in missing:
        tail -= 1
    names = {entry.index: entry.name for entry in state.entries}
    if tail < size:
        state.report.add(
            Fault.TRUNCATED_TAIL,
            f"entry {tail}",
            f"The last {size - tail} entries, from index {tail} on, are missing; the last in the file is "
            f"{names.get(tail - 1, 'none')}.",
        )
    for index in sorted(place for place in missing if place < tail):
        after = f", which stood behind {names[index - 1]}" if index - 1 in names else ""
        state.report.add(Fault.REMOVED_ENTRY, f"entry {index}", f"Entry {index} is missing{after}.")


def _check_indexes(state: _State, size: int) -> None:
    """Without leaf hashes to go by: what the indexes alone say."""
    for before, after in pairwise(state.entries):
        if after.index != before.index + 1:
            fault = Fault.REMOVED_ENTRY if after.index > before.index else Fault.REORDERED_ENTRY
            state.report.add(fault, after.name, f"Entry {after.index} follows entry {before.index}.")
    last = state.entries[-1].index if state.entries else -1
    if last + 1 < size:
        state.report.add(
            Fault.TRUNCATED_TAIL,
            f"entry {last + 1}",
            f"The file ends with entry {last} and the checkpoint covers {size} entries.",
        )


def _check_erasures(state: _State) -> None:
    unexplained = [entry for entry_id, entry in state.gone.items() if entry_id not in state.named_by_erasures]
    if unexplained and any(finding.fault in _LOSSES for finding in state.report.findings):
        state.report.add(
            Fault.UNEXPLAINED_ERASURE,
            unexplained[0].name,
            f"{len(unexplained)} documents are gone, and the entries that may say why are missing.",
        )
        unexplained = []
    for entry in unexplained:
        state.report.add(
            Fault.UNEXPLAINED_ERASURE,
            entry.name,
            f"The document of {entry.name} is gone and no erasure entry says so.",
        )
    for entry in state.entries:
        if entry.id in state.present & state.named_by_erasures:
            state.report.add(
                Fault.ERASED_BUT_PRESENT, entry.name, f"An erasure entry names {entry.name}, and its document is there."
            )


def _check_earlier(note: str, verifier: Verifier, state: _State) -> None:
    body = verifier.opened(note)
    if body is None:
        state.report.add(Fault.FORGED_CHECKPOINT, "", "The earlier checkpoint is not signed by the log's key.")
        return
    earlier = Checkpoint.parse(body)
    if earlier.size > len(state.leaves) or root_of(state.leaves[: earlier.size]) != earlier.root:
        state.report.add(
            Fault.INCONSISTENT_HISTORY,
            "",
            f"The log does not begin with the {earlier.size} entries that the earlier checkpoint was signed over.",
        )


def _check_proof(header: dict[str, Any], state: _State, checkpoint: Checkpoint) -> None:
    try:
        content = header["entry"]
        proof = [base64.b64decode(sibling, validate=True) for sibling in content["proof"]]
        _read_entry(content, state)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportFormatError("The proof cannot be read; make it again with `becausal audit prove`.") from error
    (entry,) = state.entries
    state.report.entries = 1
    if not verify_inclusion(entry.leaf, entry.index, checkpoint.size, proof, checkpoint.root):
        state.report.add(
            Fault.EDITED_ENTRY,
            entry.name,
            f"{entry.name} is not entry {entry.index} of the log that the checkpoint covers.",
        )


def earlier_checkpoint(path: Path) -> str:
    """The text of a checkpoint that was kept in a file.

    Raises:
        AuditError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"{path} cannot be read ({error}); give a file that holds a checkpoint.") from error
