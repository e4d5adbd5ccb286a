"""The list of explanations: order, pages, filters and their values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

import storage

if TYPE_CHECKING:
    from conftest import Browser


def test_the_list_shows_the_newest_first_and_pages_by_url(browser: Browser) -> None:
    made = [browser.explain(user_id=f"u{number % 2}") for number in range(30)]
    first = browser.get("/explanations")
    shown = re.findall(r"/explanations/([0-9a-f-]{36})", first.text)
    older = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert older is not None
    rest = re.findall(r"/explanations/([0-9a-f-]{36})", browser.get(older[1].replace("&amp;", "&")).text)

    assert shown + rest == made[::-1]
    assert "30 explanations" in first.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"user": "u1"}, 2),
        ({"user": 'no "one'}, 0),
        ({"item": "t"}, 4),
        ({"cause": "a"}, 4),
        ({"model": "sha256:fake", "status": "EXPLAINED"}, 4),
        ({"status": "NO_COUNTERFACTUAL"}, 0),
        ({"from": "2999-01-01"}, 0),
        ({"until": "2999-01-01", "from": "2000-01-01"}, 4),
    ],
)
def test_filters_live_in_the_url(browser: Browser, query: dict[str, str], found: int) -> None:
    for user in ("u1", "u2", "u1", "u3"):
        browser.explain(user_id=user)
    page = browser.get("/explanations", params=query)

    assert page.status_code == 200
    assert len(set(re.findall(r"/explanations/([0-9a-f-]{36})", page.text))) == found
    for name, value in query.items():
        assert f'name="{name}"' in page.text
        assert name == "status" or f'value="{value.replace(chr(34), "&#34;")}"' in page.text


def test_a_filter_that_cannot_be_read_is_said(browser: Browser) -> None:
    page = browser.get("/explanations", params={"from": "yesterday"})

    assert page.status_code == 400
    assert "RFC 3339" in page.text


def test_a_script_gets_the_list_alone(browser: Browser) -> None:
    browser.explain()
    part = browser.get("/explanations", headers={"hx-request": "true"}).text

    assert "<html" not in part
    assert "Because you watched Alien" in part


def test_an_empty_database_says_what_comes(browser: Browser) -> None:
    assert "Nothing here yet" in browser.get("/").text


def test_an_error_comes_into_the_page_as_a_part(browser: Browser) -> None:
    part = browser.get(f"/explanations/{storage.new_id()}", headers={"hx-request": "true"})

    assert part.status_code == 404
    assert "<html" not in part.text
    assert "There is no explanation" in part.text


def test_filters_offer_values(browser: Browser) -> None:
    browser.explain()
    page = browser.get("/explanations").text

    assert '<option value="sha256:fake">fake, answers now</option>' in page
    assert '<option value="q">Quiz Show</option>' in browser.get("/items", params={"item": "QUIZ"}).text
    assert '<option value="a">Alien</option>' in browser.get("/items", params={"cause": "alie"}).text
    assert "<option" not in browser.get("/items").text


def test_a_title_in_a_filter_leads_to_its_token(browser: Browser) -> None:
    browser.explain()
    page = browser.get("/explanations", params={"item": "them", "user": "u"}).text

    assert 'href="/explanations?item=t&amp;user=u"' in page
    assert "Did you mean" not in browser.get("/explanations", params={"item": "t"}).text
