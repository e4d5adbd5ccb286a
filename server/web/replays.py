"""Replays that go on while somebody looks how far they are: begun by a button, asked after until they are done."""

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING

from server.progress import Progress
from server.web.site import explanation_id, see_other

if TYPE_CHECKING:
    from starlette.responses import Response

    from server.web.runs import Run
    from server.web.site import Site, Visit

SHORT = 0.4
"""Seconds that an answer waits for a replay: most are done by then, and no progress need be shown."""


def begin(site: Site, visit: Visit) -> Response:
    """Compute an explanation again, and say what holds, or how far that is."""
    record_id = explanation_id(visit.parts["id"])
    site.note(visit, "replay", f"explanations/{record_id}")
    progress = Progress()
    run = site.replays.keep(
        record_id, progress, site.begin(lambda: site.application.keeping.replay(record_id, progress))
    )
    return _shown(site, visit, run) if visit.wants_part else see_other(f"/explanations/{record_id}/replay/{run.key}")


def follow(site: Site, visit: Visit) -> Response:
    """How far it is, or what it found."""
    record_id = explanation_id(visit.parts["id"])
    run = site.replays.find(visit.parts["run"], record_id)
    if run is None:
        text = "It was begun before the server was started again, or long ago; begin it once more."
        return site.message(visit, "This replay is not known", text, 404)
    return _shown(site, visit, run)


def _shown(site: Site, visit: Visit, run: Run) -> Response:
    wait([run.outcome], SHORT)
    replay = run.outcome.result() if run.outcome.done() else None
    template = "replay.html" if not visit.wants_part else "_progress.html" if replay is None else "_replay.html"
    return site.page(visit, template, replay=replay, run=run, progress=run.progress)
