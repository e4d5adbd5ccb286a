"""The page in Chromium: accessible, by keyboard alone, narrow and wide, light and dark, with and without scripts."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

import storage
from fakes import FakeRecommender
from node_modules import node_modules
from server.activation import Activations
from server.application import Application, Patience
from server.batching import Scheduler
from server.config import Config
from server.models import Models
from server.records import Records
from server.web.listener import WebListener

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, Page

SIZES = {"narrow": {"width": 360, "height": 780}, "wide": {"width": 1440, "height": 900}}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
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


@contextmanager
def page_over(url: str, folder: Path, histories: Sequence[Sequence[str]] = ()) -> Iterator[tuple[str, str]]:
    """The page on a port, and an explanation that it has, if any."""
    storage.upgrade(url)
    config = Config(web={"address": "127.0.0.1:0"}, bundle=folder / "bundle")
    with storage.Database(url) as database, Records(database, config.audit) as records:
        records.start()
        models = Models(FakeRecommender(), config, Scheduler(config.batching))
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


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("page")
    with page_over(f"sqlite:///{folder / 'becausal.db'}", folder, histories=[["a", "b", "c"]] * 30) as one:
        yield one


@pytest.fixture
def page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
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


def paths(record: str) -> list[str]:
    return [
        "/explanations",
        "/explanations?user=nobody",
        f"/explanations/{record}",
        f"/what-if?explanation={record}&off=0",
        "/demo?history=a,b,c",
        "/users?user=u1",
        "/users",
        "/log",
        "/models",
        "/quality",
        "/login",
    ]


LOOKS = [
    pytest.param({"viewport": SIZES[size], "color_scheme": scheme}, id=f"{size} {scheme}")
    for size, scheme in (("narrow", "light"), ("wide", "light"), ("wide", "dark"))
]


@pytest.mark.parametrize("page", LOOKS, indirect=True)
def test_every_page_is_accessible_and_fits(page: Page, served: tuple[str, str], axe: str) -> None:
    address, record = served
    for path in paths(record):
        page.goto(address + path)
        # The policy lets no script of another origin in, but the debugger's own is none of the page.
        found = page.evaluate(f"() => {{ {axe}; return axe.run(document, {{resultTypes: ['violations']}}); }}")
        assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found["violations"]] == [], path
        widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert widths[0] <= widths[1], path


def test_a_list_is_filtered_in_place_and_in_the_url(page: Page, served: tuple[str, str]) -> None:
    page.goto(served[0] + "/explanations")
    page.fill("input[name=user]", "u7")
    page.press("input[name=user]", "Enter")
    page.wait_for_url("**user=u7**")

    assert page.locator(".entry").count() == 1
    page.go_back()
    page.wait_for_function("document.querySelectorAll('.entry').length > 1")


def test_by_keyboard_alone(page: Page, served: tuple[str, str]) -> None:
    address, record = served
    page.goto(address + "/explanations")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "cover":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/explanations/*")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('class') || document.activeElement.innerText"))
    assert {"edge", "Replay", "Verify"} <= reached
    assert record


def test_a_replay_comes_into_the_page(page: Page, served: tuple[str, str]) -> None:
    address, record = served
    page.goto(f"{address}/explanations/{record}")
    page.click("text=Replay")
    page.wait_for_selector("#replayed .result.good")

    assert "holds" in page.inner_text("#replayed").lower()
    assert page.url.endswith(record)


def test_what_if_answers_at_a_switch(page: Page, served: tuple[str, str]) -> None:
    address, record = served
    page.goto(f"{address}/what-if?explanation={record}")
    page.check("text=Alien")
    page.wait_for_selector("#moves :text('Them!')")
    page.wait_for_url("**off=0**")

    assert page.locator(".moves li").count() >= 1


@pytest.mark.parametrize("page", [pytest.param({"java_script_enabled": False}, id="no scripts")], indirect=True)
def test_it_works_without_scripts(page: Page, served: tuple[str, str]) -> None:
    address, record = served
    page.goto(f"{address}/explanations?user=u3")
    page.click(".cover")
    page.click("text=Replay")
    assert "holds" in page.inner_text("main").lower()
    page.goto(f"{address}/what-if?explanation={record}")
    page.check("text=Alien")
    page.click("text=Look")
    assert page.locator(".moves li").count() >= 1


def test_an_empty_database_and_one_that_is_gone_are_pages(
    page: Page, axe: str, tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with page_over(sqlite_url, tmp_path) as (address, _):
        page.goto(f"{address}/explanations")
        assert "Nothing here yet" in page.inner_text("main")
        found = page.evaluate(f"() => {{ {axe}; return axe.run(document, {{resultTypes: ['violations']}}); }}")
        assert [one["id"] for one in found["violations"]] == []

        def down(*_: object) -> None:
            raise storage.DatabaseUnavailableError("db.internal does not answer")

        monkeypatch.setattr(storage.Database, "reading", down)
        answer = page.request.get(f"{address}/explanations")
        assert answer.status == 503
        assert "try again" in answer.text()
        assert "db.internal" not in answer.text()
