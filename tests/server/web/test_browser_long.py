"""A history of 200 items in Chromium, and an explanation on paper."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from benchmarks.catalogue import make
from browsing import LOOKS, fits, page_over, violations
from recommender import Recommender, load_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

HISTORY = [f"item-{1 + 7 * place}" for place in range(200)]
LARGEST = 400_000
"""Characters of a page that a phone opens at once."""


@pytest.fixture(scope="module", params=[10.0, 1.0], ids=["as if learnt", "even attention"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Attention as models learn it gives hundreds of edges; of even attention nothing can be learnt, and all pairs stay."""
    folder = tmp_path_factory.mktemp("long")
    make(folder / "bundle", 2000, 200, sharp=request.param)
    model = Recommender(load_bundle(folder / "bundle"))
    with page_over(f"sqlite:///{folder / 'becausal.db'}", folder, [HISTORY], model) as one:
        yield one


@pytest.mark.parametrize("page", LOOKS, indirect=True)
def test_a_long_history_is_accessible_and_fits(page: Page, served: tuple[str, str], axe: str) -> None:
    address, record = served
    for path in (f"/explanations/{record}", f"/explanations/{record}/graph/0"):
        page.goto(address + path)
        assert len(page.content()) < LARGEST, path
        assert violations(page, axe) == [], path
        assert fits(page), path


def test_what_matters_is_in_sight_and_the_rest_unfolds(page: Page, served: tuple[str, str]) -> None:
    address, record = served
    page.goto(f"{address}/explanations/{record}")
    rows = page.locator(".timeline li:not(.fold)")
    assert rows.count() >= 199  # one place of the window is the target's
    assert page.locator(".timeline .cause").first.is_visible()
    in_sight = sum(row.is_visible() for row in rows.all())
    assert 30 <= in_sight <= 80

    page.locator(".fold summary").first.focus()
    page.keyboard.press("Enter")
    assert sum(row.is_visible() for row in rows.all()) > in_sight
    assert page.locator(".graph[open] .edge").count() <= 30


def test_on_paper_it_is_a_letter(page: Page, served: tuple[str, str]) -> None:
    address, record = served
    page.goto(f"{address}/explanations/{record}")
    page.emulate_media(media="print")

    for hidden in ("header.top", "footer", ".crumbs", "button", ".onscreen"):
        assert not any(one.is_visible() for one in page.locator(hidden).all()), hidden
    head = page.inner_text(".letterhead")
    assert record in head
    assert f"{address}/explanations/{record}" in head
    assert re.search(r"printed \d{4}-\d\d-\d\d", head)
    assert all(row.is_visible() for row in page.locator(".timeline li").all())
    assert all(graph.is_visible() for graph in page.locator(".paper svg").all())
    for said in ("minimum", "sha256:", f"explanations/{record}"):
        assert said in page.inner_text("[aria-labelledby=checked]")
    assert "inputs" in page.inner_text("[aria-labelledby=checked]").lower()
    pages = page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n")
    assert 3 <= pages <= 8
