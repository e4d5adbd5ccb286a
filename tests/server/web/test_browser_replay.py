"""A replay that takes its time, as whoever waits sees it."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import pytest

from browsing import page_over, violations
from fakes import FakeRecommender

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page


class Held(FakeRecommender):
    """Explains at once, until a test wants to see it at work: then after its first batch it waits for a sign."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = Event()
        self.go_on.set()

    def shifted(self, *args: object, **kwargs: object) -> object:
        assert self.go_on.wait(60)
        return super().shifted(*args, **kwargs)


@pytest.fixture
def held(sqlite_url: str, tmp_path: Path) -> Iterator[tuple[str, str, Held]]:
    model = Held()
    with page_over(sqlite_url, tmp_path, [["a", "b", "c"]], model) as (address, record):
        model.go_on.clear()
        yield address, record, model
        model.go_on.set()


def test_progress_comes_into_the_page(page: Page, held: tuple[str, str, Held], axe: str) -> None:
    address, record, model = held
    page.goto(f"{address}/explanations/{record}")
    page.click("text=Replay")
    page.wait_for_selector("#replayed progress[max]")
    bar = page.locator("#replayed progress")
    assert 0 < float(bar.get_attribute("value") or 0) < float(bar.get_attribute("max") or 0)
    assert "histories scored" in page.inner_text("#replayed")
    assert "computed again" in page.inner_text("#replayed [aria-current]")
    assert violations(page, axe) == []

    model.go_on.set()
    page.wait_for_selector("#replayed .result.good")
    assert page.url.endswith(record)


@pytest.mark.parametrize("page", [pytest.param({"java_script_enabled": False}, id="no scripts")], indirect=True)
def test_progress_is_a_page_without_scripts(page: Page, held: tuple[str, str, Held]) -> None:
    address, record, model = held
    page.goto(f"{address}/explanations/{record}")
    page.click("text=Replay")
    assert "Being computed again" in page.inner_text("h1")

    model.go_on.set()
    page.wait_for_selector(".result.good")
    assert "holds" in page.inner_text("main").lower()
