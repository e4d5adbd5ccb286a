"""The models at hand: which one answers, how good each is, and the switch."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from server.web.site import see_other

if TYPE_CHECKING:
    from starlette.responses import Response

    from server.web.site import Site, Visit

SHOWN = 25


def show(site: Site, visit: Visit) -> Response:
    """The models, newest first."""
    page = site.activations.list(SHOWN, visit.asked("page"))
    return site.page(visit, "models.html", page=page, active=site.application.model_version, done=visit.asked("done"))


def activate(site: Site, visit: Visit) -> Response:
    """Have a model answer from now on, at all instances."""
    model = site.activations.activate(visit.asked("version"), actor=visit.actor)
    done = f"{model.version.removeprefix('sha256:')[:12]} answers now; calls under way finish on the model before."
    return see_other(f"/models?{urlencode({'done': done})}")
