"""Replay and Verify: what holds, how far it is, and what is remembered."""

from __future__ import annotations

import re
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

import storage
from fakes import HeldRecommender
from server.progress import Progress
from server.web.runs import REMEMBERED, Replays

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Browser


def test_a_replay_says_what_holds(browser: Browser) -> None:
    record = browser.explain()
    whole, part = (
        browser.post(f"/explanations/{record}/replay", data={"csrf": browser.csrf()}, headers=headers).text
        for headers in ({}, {"hx-request": "true"})
    )

    assert "holds" in whole
    assert "<html" not in part
    assert part.count('class="equal"') > 5


def test_a_replay_that_takes_long_says_how_far_it_is(opened: Callable[..., Browser]) -> None:
    model = HeldRecommender()
    model.go_on.set()
    browser = opened(model)
    record, other = browser.explain(), browser.explain()
    model.go_on.clear()
    script = {"hx-request": "true"}
    part = browser.post(f"/explanations/{record}/replay", data={"csrf": browser.csrf()}, headers=script).text
    path = part.partition('hx-get="')[2].partition('"')[0]

    assert re.search(r"\d+ of \d+ histories scored", part)
    assert 'aria-current="step">The explanation, computed again' in part
    assert "histories scored" in browser.get(path).text
    assert browser.get(path.replace(record, other)).status_code == 404
    assert "is not known" in browser.get(f"/explanations/{record}/replay/forgotten", headers=script).text
    model.go_on.set()
    for _ in range(100):
        part = browser.get(path, headers=script).text
        if "hx-get" not in part:
            break
    assert "holds" in part
    assert "Every stated fact holds" in browser.get(path).text


def test_replays_are_remembered_up_to_a_number() -> None:
    replays, record = Replays(), storage.new_id()
    runs = [replays.keep(record, Progress(), Future()) for _ in range(REMEMBERED + 1)]

    assert replays.find(runs[0].key, record) is None
    assert all(replays.find(run.key, record) is run for run in runs[1:])
    assert replays.find(runs[1].key, storage.new_id()) is None


def test_a_proof_is_checked(browser: Browser) -> None:
    record = browser.explain()
    for _ in range(200):
        page = browser.submit(f"/explanations/{record}/verify").text
        if "In the log, and untouched" in page:
            break
        time.sleep(0.05)

    assert "The proof leads from the record to the signed root" in page
    assert "becausal.test/log" in page
