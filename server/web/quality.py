"""How good the explanations of a model are: what `becausal evaluate` found, as a page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.responses import FileResponse

from server.errors import ExplanationNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response

    from server.web.site import Site, Visit

# Without HTML of its own: whatever stands in the report stays text.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def show(site: Site, visit: Visit) -> Response:
    """The report's tables and plots; where there is none, how to make one."""
    folder = site.config.web.evaluation
    model = None if folder is None else _model(folder)
    if folder is None or model is None:
        return site.page(visit, "quality.html", report=None, plots=[], model="", active=site.application.model_version)
    report = Markup(_MARKDOWN.render((folder / "evaluation.md").read_text(encoding="utf-8")))  # noqa: S704 - see above
    return site.page(
        visit,
        "quality.html",
        report=report,
        plots=_plots(folder),
        model=model,
        active=site.application.model_version,
    )


def plot(site: Site, visit: Visit) -> Response:
    """One of the report's plots."""
    folder, name = site.config.web.evaluation, visit.parts["name"]
    if folder is None or name not in _plots(folder):
        raise ExplanationNotFoundError("name", "There is no such plot.")
    return FileResponse(folder / name)


def _model(folder: Path) -> str | None:
    """The version that was evaluated; None where there is no report."""
    try:
        facts = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["facts"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(facts.get("model", ""))


def _plots(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png"))
