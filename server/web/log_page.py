"""The audit log: how long it is, its newest signed state, and whether it only grew since one that was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from becausal.audit.errors import NoteFormatError
from becausal.audit.merkle import verify_consistency
from becausal.audit.note import Checkpoint
from storage import NoCheckpointError, NotInLogError

if TYPE_CHECKING:
    from starlette.responses import Response

    from server.web.site import Site, Visit
    from storage import LogState


def show(site: Site, visit: Visit) -> Response:
    """The log's state; with an older note, the proof that it only grew since."""
    keeping = site.application.keeping
    problem, state = "", None
    try:
        state = keeping.checkpoint()
    except NoCheckpointError as error:
        problem = str(error)
    note = visit.asked("note")
    return site.page(
        visit,
        "log.html",
        state=state,
        problem=problem,
        key=keeping.public_key,
        backlog=keeping.waiting(),
        note=note,
        grew=_grew(site, state, note) if note and state is not None else "",
    )


def _grew(site: Site, state: LogState, note: str) -> str:
    """What comes of comparing an older checkpoint with the log of now."""
    try:
        # Browsers send line ends of their own.
        older = Checkpoint.parse(note.replace("\r\n", "\n").partition("\n\n")[0] + "\n")
        proof = site.application.keeping.consistency(older.size, state.size)
    except (NoteFormatError, ValueError) as error:
        return f"That is no checkpoint: {error}"
    except NotInLogError as error:
        return f"Not proved: {error}"
    holds = verify_consistency(older.size, state.size, older.root, state.root, proof.proof)
    return (
        f"The log of {state.size:,} entries begins with all {older.size:,} of that checkpoint: it only grew."
        if holds
        else f"The log of now does not begin with the {older.size:,} entries of that checkpoint: it was changed, or the "
        "checkpoint is another log's. Keep both, and tell the operator."
    )
