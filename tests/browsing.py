"""The audit page on a port of its own, and what a browser's tests look at it with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import storage
from fakes import FakeRecommender
from server.activation import Activations
from server.application import Application, Patience
from server.config import Config
from server.models import Models
from server.records import Records
from server.scheduling import Scheduler
from server.web.listener import WebListener

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Page

SIZES = {"narrow": {"width": 360, "height": 780}, "wide": {"width": 1440, "height": 900}}

LOOKS = [
    pytest.param({"viewport": SIZES[size], "color_scheme": scheme}, id=f"{size} {scheme}")
    for size, scheme in (("narrow", "light"), ("wide", "light"), ("wide", "dark"))
]


@contextmanager
def page_over(
    url: str, folder: Path, histories: Sequence[Sequence[str]] = (), model: Any = None
) -> Iterator[tuple[str, str]]:
    """The page on a port, over a fake model or another, and an explanation that it has, if any."""
    storage.upgrade(url)
    config = Config(web={"address": "127.0.0.1:0"}, bundle=folder / "bundle")
    with storage.Database(url) as database, Records(database, config.audit) as records:
        records.start()
        models = Models(model or FakeRecommender(), config, Scheduler(config.batching))
        application = Application(models, config, records.explanations, records)
        listener = WebListener(application, Activations(models, storage.ActivationRepository(database), config), config)
        made = [
            application.explain(history, None, config.explain.settings(), f"u{number}", Patience())
            for number, history in enumerate(histories)
        ]
        application.store(made)
        try:
            yield f"http://127.0.0.1:{listener.port}", str(made[0].id) if made else ""
        finally:
            listener.close()
            application.close()


def violations(page: Page, axe: str) -> list[tuple[str, list[str]]]:
    """What axe finds wrong on a page: rules, with the elements that break them."""
    # The policy lets no script of another origin in, but the debugger's own is none of the page.
    found = page.evaluate(f"() => {{ {axe}; return axe.run(document, {{resultTypes: ['violations']}}); }}")
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found["violations"]]


def fits(page: Page) -> bool:
    """Whether nothing but what scrolls by itself is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))
