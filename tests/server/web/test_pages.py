"""What each page shows, and that what is stored can put nothing of its own into it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import select

import storage
from explainer.explanation import Effect
from fakes import FakeCatalogue, FakeRecommender
from server.web.cards import facts_of
from server.web.timeline import LONG, STRONGEST, Step, folded
from storage.models import LogEntryRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from conftest import Browser

SCRIPT = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class Hostile(FakeRecommender):
    """Its titles are pieces of pages."""

    def __init__(self) -> None:
        super().__init__()
        self.bundle.catalogue = FakeCatalogue({item: f"{item} {SCRIPT}" for item in "abcdtrq"})


def reads(repository: storage.ExplanationRepository) -> list[tuple[str, str]]:
    with repository._database.reading() as connection:
        rows = connection.execute(
            select(LogEntryRow.document).where(LogEntryRow.kind == "read").order_by(LogEntryRow.id)
        )
        return [(one["action"], one["subject"]) for one in map(json.loads, rows.scalars())]


def test_the_page_that_is_open_is_marked(browser: Browser) -> None:
    marked = {path: re.findall(r'href="([^"]+)" aria-current', browser.get(path).text) for path in ("/log", "/login")}

    assert marked == {"/log": ["/log"], "/login": []}


def test_one_explanation_is_one_page(browser: Browser) -> None:
    record = browser.explain()
    page = browser.get(f"/explanations/{record}").text

    assert "Because you watched Alien" in page
    assert re.search(r'<li class="cause">.*?Alien', page, flags=re.DOTALL)
    assert "Ran</strong> there" in page  # what would be there instead
    assert page.count('class="edge"') >= 1
    assert 'aria-label="Alien and Brazil' in page or 'aria-label="Alien' in page
    assert "Without the causes" in page
    assert json.loads(browser.get(f"/explanations/{record}/json").text)["id"] == record


def test_an_answer_without_a_set_is_a_page_too(browser: Browser) -> None:
    page = browser.get(f"/explanations/{browser.explain(['c'])}").text

    assert "no counterfactual" in page


def test_what_is_not_there_is_said(browser: Browser) -> None:
    for path in (f"/explanations/{storage.new_id()}", "/explanations/7", "/cards/7"):
        page = browser.get(path)
        assert (page.status_code, "There is no explanation" in page.text) == (404, True)
    assert browser.get("/nowhere").status_code == 404


def test_titles_and_user_ids_stay_text(opened: Callable[..., Browser]) -> None:
    browser = opened(Hostile())
    record = browser.explain(user_id=SCRIPT)
    pages = [
        browser.get("/explanations"),
        browser.get(f"/explanations/{record}"),
        browser.get("/what-if", params={"explanation": record, "search": SCRIPT}),
        browser.get("/users", params={"user": SCRIPT}),
        browser.get("/demo", params={"history": "a,b,c"}),
        browser.get(f"/cards/{record}"),
        browser.get("/explanations", params={"user": SCRIPT}),
        browser.get("/log", params={"note": SCRIPT}),
    ]

    for page in pages:
        assert page.status_code == 200, page.text
        assert "<script>alert" not in page.text
        assert "<img" not in page.text


def test_what_if_moves_with_the_switches(browser: Browser) -> None:
    record = browser.explain()
    page = browser.get("/what-if", params={"explanation": record, "off": "0", "search": "cube", "add": "d"}).text

    assert re.search(r"Them!</strong>\s*1 → 3", page)
    assert browser.get("/what-if").status_code == 200
    assert browser.get("/what-if", params={"history": "a b", "off": ["0", "1"]}).status_code == 400


def test_a_title_is_searched(browser: Browser) -> None:
    page = browser.get("/what-if", params={"history": "a", "search": "qUIZ"}).text

    assert "Quiz Show" in page


def test_a_user_is_shown_taken_along_held_and_erased(
    browser: Browser, repository: storage.ExplanationRepository
) -> None:
    record = browser.explain(user_id="u")
    browser.explain(user_id="other")
    assert record in browser.get("/users", params={"user": "u"}).text
    lines = browser.submit("/users/export", user="u").text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [record]

    browser.submit("/users/hold", user="u", reason="a case")
    assert browser.submit("/users/erase", user="u", typed="u", reason="asked").status_code == 409
    assert "u</a> since" in browser.get("/users").text
    browser.submit("/users/release", user="u", reason="done")
    assert browser.submit("/users/erase", user="u", typed="U", reason="asked").status_code == 400
    assert (
        "1 explanations and 0 interactions were erased"
        in browser.submit("/users/erase", user="u", typed="u", reason="asked").text
    )
    assert [str(one) for one in repository.ids()] != []
    assert record not in [str(one) for one in repository.ids()]


def test_every_read_is_in_the_log(browser: Browser, repository: storage.ExplanationRepository) -> None:
    record = browser.explain()
    browser.get("/explanations", params={"user": "u"})
    browser.get(f"/explanations/{record}")
    browser.submit(f"/explanations/{record}/replay")
    browser.get("/users", params={"user": "u"})
    browser.submit("/users/export", user="u")
    browser.get(f"/cards/{record}")

    name = f"explanations/{record}"
    assert reads(repository) == [
        ("list", 'user_id = "u"'),
        ("get", name),
        ("replay", name),
        ("list", 'user_id = "u"'),
        ("export", 'user_id = "u"'),
        ("card", name),
    ]


def test_the_log_says_whether_it_only_grew(browser: Browser) -> None:
    browser.explain()
    note = _note(browser)
    browser.explain()
    time.sleep(0.3)

    assert "it only grew" in browser.get("/log", params={"note": note.replace("\n", "\r\n")}).text
    lines = note.split("\n")
    lines[2] = "A" * 43 + "="
    assert "was changed" in browser.get("/log", params={"note": "\n".join(lines)}).text
    assert "no checkpoint" in browser.get("/log", params={"note": "x"}).text


def _note(browser: Browser) -> str:
    for _ in range(200):
        found = re.search(r"<pre[^>]*>(.*?)</pre>", browser.get("/log").text, flags=re.DOTALL)
        if found is not None:
            return found[1].replace("&#43;", "+")
        time.sleep(0.05)
    raise AssertionError("no checkpoint came")


def test_quality_shows_what_was_evaluated(opened: Callable[..., Browser], tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    web = {"address": "127.0.0.1:8080", "evaluation": folder}
    assert "No evaluation yet" in opened(web=web).get("/quality").text
    (folder / "evaluation.json").write_text(json.dumps({"facts": {"model": "sha256:other"}}))
    (folder / "evaluation.md").write_text(f"# Evaluation\n\n| method | size |\n|---|---|\n| `exact` | {SCRIPT} |\n")
    (folder / "sizes.png").write_bytes(b"a picture")
    browser = opened(web=web)
    page = browser.get("/quality").text

    assert "<td><code>exact</code></td>" in page
    assert "<script>alert" not in page
    assert "sha256:fake</code> answers now" in page
    assert browser.get("/quality/sizes.png").content == b"a picture"
    for name in ("evaluation.json", "..%2Fkey", "nothing.png"):
        assert browser.get(f"/quality/{name}").status_code == 404


def test_a_card_is_html_and_json_and_keeps_the_floors(
    opened: Callable[..., Browser], callers: dict[str, object], tokens: dict[str, str]
) -> None:
    browser = opened(auth=callers)
    record = browser.explain()
    bearer = {"authorization": f"Bearer {tokens['explain']}"}
    fragment = browser.get(f"/cards/{record}", headers=bearer)
    facts = browser.get(f"/cards/{record}", headers={**bearer, "accept": "application/json"}).json()

    assert "<html" not in fragment.text
    assert "Because you watched Alien" in fragment.text
    assert "set-cookie" not in fragment.headers
    assert [one["title"] for one in facts["because"]] == ["Alien"]
    assert facts["otherwise"]["title"] == "Ran"
    assert browser.get(f"/cards/{record}", headers={"authorization": "Bearer nobody"}).status_code == 401


def test_a_withheld_reason_names_nothing(browser: Browser) -> None:
    record = browser.application.get(UUID(browser.explain()))
    facts = facts_of(replace(record.explanation, reason_withheld=True, reason="For you"))

    assert (facts["reason"], facts["because"], facts["otherwise"]) == ("For you", [], None)


def test_a_dead_database_is_a_page(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise storage.DatabaseUnavailableError("db.internal:5432 does not answer")

    monkeypatch.setattr(storage.Database, "reading", down)
    page = browser.get("/explanations")

    assert page.status_code == 503
    assert "db.internal" not in page.text


def test_one_graph_is_a_page(browser: Browser) -> None:
    record = browser.explain()

    assert 'class="edge"' in browser.get(f"/explanations/{record}/graph/1").text
    for head in ("2", "x", "-1", "²"):
        assert browser.get(f"/explanations/{record}/graph/{head}").status_code == 404


def steps(count: int, causes: tuple[int, ...] = ()) -> list[Step]:
    """Effects that grow with the position; the causes have none to speak of."""
    made = []
    for position in range(count):
        size = 0.0 if position in causes else (position + 1) / count
        made.append(Step(position, str(position), "", Effect(-size, 1, 0.0), -size, position in causes, common=False))
    return made


def test_a_long_history_folds_what_does_little() -> None:
    assert [stretch.fold for stretch in folded(steps(LONG))] == [False]
    stretches = folded(steps(200, causes=(50, 53)))
    shown = [step.position for stretch in stretches if not stretch.fold for step in stretch.steps]

    assert [step.position for stretch in stretches for step in stretch.steps] == list(range(200))
    assert [stretch.fold for stretch in stretches] == [True, False, True, False]
    assert shown == [50, 51, 52, 53, *range(200 - STRONGEST, 200)]
    assert stretches[0].largest == 0.25
