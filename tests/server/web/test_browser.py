"""The page in Chromium: accessible, by keyboard alone, narrow and wide, light and dark, with and without scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import storage
from browsing import LOOKS, fits, page_over, violations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("page")
    with page_over(f"sqlite:///{folder / 'becausal.db'}", folder, histories=[["a", "b", "c"]] * 30) as one:
        yield one


def paths(record: str) -> list[str]:
    return [
        "/explanations",
        "/explanations?user=nobody",
        "/explanations?item=quiz",
        f"/explanations/{record}",
        f"/explanations/{record}/graph/1",
        f"/what-if?explanation={record}&off=0",
        "/demo?history=a,b,c",
        "/users?user=u1",
        "/users",
        "/log",
        "/models",
        "/quality",
        "/login",
    ]


@pytest.mark.parametrize("page", LOOKS, indirect=True)
def test_every_page_is_accessible_and_fits(page: Page, served: tuple[str, str], axe: str) -> None:
    address, record = served
    for path in paths(record):
        page.goto(address + path)
        assert violations(page, axe) == [], path
        assert fits(page), path


def test_a_list_is_filtered_in_place_and_in_the_url(page: Page, served: tuple[str, str]) -> None:
    page.goto(served[0] + "/explanations")
    page.fill("input[name=user]", "u7")
    page.press("input[name=user]", "Enter")
    page.wait_for_url("**user=u7**")

    assert page.locator(".entry").count() == 1
    page.go_back()
    page.wait_for_function("document.querySelectorAll('.entry').length > 1")


def test_a_title_becomes_a_token(page: Page, served: tuple[str, str]) -> None:
    page.goto(served[0] + "/explanations")
    page.locator("input[name=item]").press_sequentially("quiz")
    page.wait_for_selector("#items option", state="attached")

    assert page.locator("#items option").get_attribute("value") == "q"
    page.goto(served[0] + "/explanations?cause=lien")
    page.click("text=Alien")
    assert page.url.endswith("cause=a")
    assert page.locator(".entry").count() > 1


def test_a_focused_edge_says_what_it_is(page: Page, served: tuple[str, str]) -> None:
    page.goto(f"{served[0]}/explanations/{served[1]}")
    edge = page.locator(".edge").first
    shown = "getComputedStyle(document.querySelector('.edge .words')).visibility"
    assert page.evaluate(shown) == "hidden"
    edge.focus()

    assert page.evaluate(shown) == "visible"
    assert edge.locator(".words").text_content() == edge.get_attribute("aria-label")


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
        assert violations(page, axe) == []

        def down(*_: object) -> None:
            raise storage.DatabaseUnavailableError("db.internal does not answer")

        monkeypatch.setattr(storage.Database, "reading", down)
        answer = page.request.get(f"{address}/explanations")
        assert answer.status == 503
        assert "try again" in answer.text()
        assert "db.internal" not in answer.text()
