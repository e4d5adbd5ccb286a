"""The page over a real application, a fake model and a real database, asked as a browser asks."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright
from starlette.testclient import TestClient

import storage
from becausal.audit.note import Signer
from browsing import SIZES
from fakes import FakeRecommender
from node_modules import node_modules
from server.access import new_token, token_hash
from server.activation import Activations
from server.application import Application, Patience
from server.config import Config
from server.models import Models
from server.records import Records, write_key
from server.scheduling import Scheduler
from server.web.app import web_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser as Chromium
    from playwright.sync_api import Page

HISTORY = ["a", "b", "c"]
ROLES = ("explain", "audit.read", "audit.erase", "admin")


class Browser(TestClient):
    """A browser on the page, with the application behind it."""

    application: Application

    def explain(self, history: list[str] = HISTORY, user_id: str = "u") -> str:
        """Store an explanation; its id."""
        settings = Config().explain.settings()
        record = self.application.explain(history, None, settings, user_id, Patience())
        self.application.store([record])
        return str(record.id)

    def csrf(self) -> str:
        """What stands in the forms of this session."""
        page = self.get("/login").text
        return page.partition('name="csrf" value="')[2].partition('"')[0]

    def submit(self, path: str, **fields: str) -> object:
        """Send a form."""
        return self.post(path, data={"csrf": self.csrf(), **fields})


Opened = "Callable[..., Browser]"


@pytest.fixture
def repository(sqlite_url: str) -> Iterator[storage.ExplanationRepository]:
    storage.upgrade(sqlite_url)
    with storage.Database(sqlite_url) as database:
        yield storage.ExplanationRepository(database)


@pytest.fixture
def opened(repository: storage.ExplanationRepository, tmp_path: Path) -> Iterator[Callable[..., Browser]]:
    """Opens pages with settings of a test's own."""
    stack: list[object] = []

    def open_(model: FakeRecommender | None = None, **settings: object) -> Browser:
        one = _browser(repository, tmp_path, model, settings)
        stack.append(one)
        return one.__enter__()

    yield open_
    for one in reversed(stack):
        one.__exit__(None, None, None)


@contextmanager
def _browser(
    repository: storage.ExplanationRepository,
    folder: Path,
    model: FakeRecommender | None,
    settings: dict[str, object],
) -> Iterator[Browser]:
    key = folder / "key"
    if not key.exists():
        write_key(key, Signer.new("becausal.test/log"))
    audit = {"key_file": key, "origin": "becausal.test/log", "sequence_seconds": 0.05}
    config = Config(**{"web": {"address": "127.0.0.1:8080"}, "audit": audit, "bundle": folder / "bundle", **settings})
    with Records(repository._database, config.audit) as records:
        records.start()
        models = Models(model or FakeRecommender(), config, Scheduler(config.batching))
        application = Application(models, config, repository, records)
        activations = Activations(models, storage.ActivationRepository(repository._database), config)
        with Browser(web_app(application, activations, config), base_url="http://127.0.0.1:8080") as browser:
            browser.application = application
            yield browser
        application.close()


@pytest.fixture
def browser(opened: Callable[..., Browser]) -> Browser:
    """On an open server, where nobody logs in."""
    return opened()


@pytest.fixture(scope="session")
def tokens() -> dict[str, str]:
    """A token for each role, and one that may do everything."""
    return {name: new_token() for name in (*ROLES, "everything")}


@pytest.fixture
def callers(tokens: dict[str, str]) -> dict[str, object]:
    """Settings with a caller for each token."""
    return {
        "callers": [
            {"name": name, "roles": ROLES if name == "everything" else [name], "tokens": [token_hash(token)]}
            for name, token in tokens.items()
        ]
    }


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """Debian's Chromium; `make test` installs it where it may."""
    found = shutil.which("chromium")
    if found is None:
        if "CI" in os.environ:
            pytest.fail("Chromium is not installed; CI needs it to look at the page.")
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Chromium, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A tab that fails the test when the page asks elsewhere, or breaks its own policy."""
    wanted: dict[str, Any] = getattr(request, "param", {})
    context = chromium.new_context(**{"viewport": SIZES["wide"], **wanted})
    tab = context.new_page()
    problems: list[str] = []
    tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("request", lambda asked: problems.append(asked.url) if "//127.0.0.1:" not in asked.url else None)
    yield tab
    context.close()
    assert problems == []


@pytest.fixture(scope="module")
def axe() -> str:
    return (node_modules() / "axe-core" / "axe.min.js").read_text()
