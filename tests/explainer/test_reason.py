"""Reasons read as sentences, in every language, and are held back when the evidence is weak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from explainer.errors import InvalidParameterError
from explainer.explanation import Relation, Robustness
from explainer.language import SHIPPED, LanguageError, Languages, read_language
from explainer.reason import Wording
from explainer.settings import Intervention, Settings

if TYPE_CHECKING:
    from pathlib import Path

ROBUST = Robustness(
    (Intervention.MASK_OUT, Intervention.MASK_TOKEN), 0.5, 0.3, sufficient=True, rank_from_causes_alone=1
)
WORDING = Wording(lambda item: item.title() if item.isalpha() else "", Languages())


@pytest.mark.parametrize(
    ("code", "verb", "one", "many"),
    [
        ("en", "watched", "Because you watched Fargo", "Because you watched Fargo, Alien and Heat"),
        ("en", "listened", "Because you listened to Fargo", "Because you listened to Fargo, Alien and Heat"),
        ("de", "bought", "Weil du „Fargo“ gekauft hast", "Weil du „Fargo“, „Alien“ und „Heat“ gekauft hast"),
        ("es", "read", "Porque leíste «Fargo»", "Porque leíste «Fargo», «Alien» y «Heat»"),
        ("zh", "watched", "因为您看过《Fargo》", "因为您看过《Fargo》、《Alien》和《Heat》"),
        ("de-AT", "watched", "Weil du „Fargo“ gesehen hast", "Weil du „Fargo“, „Alien“ und „Heat“ gesehen hast"),
    ],
)
def test_a_reason_in_each_language(code: str, verb: str, one: str, many: str) -> None:
    language = Languages().get(code)

    assert language.reason(["Fargo"], verb) == one
    assert language.reason(["Fargo", "Alien", "Heat"], verb) == many


def test_two_titles_and_the_same_title_twice() -> None:
    language = Languages().get("en")

    assert language.reason(["Fargo", "Alien"], "watched") == "Because you watched Fargo and Alien"
    assert language.reason(["Fargo", "Fargo"], "watched") == "Because you watched Fargo"


def test_an_item_without_a_title_is_named_by_its_token() -> None:
    assert WORDING.reason(["7", "fargo"], ROBUST, Settings()).text == "Because you watched 7 and Fargo"


@pytest.mark.parametrize("code", Languages().codes)
def test_every_language_says_every_relation_of_the_model_and_never_of_the_user(code: str) -> None:
    language = Languages().get(code)

    assert set(language.relations) == {relation.value for relation in Relation}
    assert set(language.verbs) == set(Languages().get("en").verbs)
    assert "because" not in language.neutral.lower()


@pytest.mark.parametrize(
    ("floors", "given"),
    [({}, True), ({"min_effect": 0.3}, True), ({"min_effect": 0.31}, False), ({"min_stability": 0.51}, False)],
)
def test_weak_evidence_gets_a_neutral_text_and_says_so(floors: dict[str, float], *, given: bool) -> None:
    reason = WORDING.reason(["fargo"], ROBUST, Settings(**floors))

    assert reason.text.startswith("Because") is given
    assert reason.withheld is not given


def test_without_a_set_there_is_nothing_to_withhold() -> None:
    reason = WORDING.reason([], None, Settings())

    assert reason.text == "Recommended from your history as a whole"
    assert not reason.withheld


def test_a_title_with_braces_is_a_title() -> None:
    assert Languages().get("en").reason(["{verb} {0}"], "watched") == "Because you watched {verb} {0}"


@pytest.mark.parametrize(("settings", "named"), [({"language_code": "xx"}, "en"), ({"verb": "smelled"}, "watched")])
def test_what_is_not_there_is_refused_with_what_is(settings: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidParameterError, match=named):
        WORDING.reason(["fargo"], ROBUST, Settings(**settings))


def test_a_folder_adds_and_replaces_languages(tmp_path: Path) -> None:
    english = (SHIPPED / "en.toml").read_text()
    (tmp_path / "pt.toml").write_text(english.replace("Because you", "Porque"))
    (tmp_path / "en.toml").write_text(english.replace('watched = "watched"', 'watched = "saw"\nrented = "rented"'))
    languages = Languages(tmp_path)

    assert languages.get("pt").reason(["Heat"], "watched") == "Porque watched Heat"
    assert languages.get("en").reason(["Heat"], "rented") == "Because you rented Heat"
    assert languages.get("de").reason(["Heat"], "watched") == "Weil du „Heat“ gesehen hast"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (('last = " and "', ""), "last"),
        (("{verb} {titles}", "{verb}"), "because.one"),
        (('title = "{title}"', 'title = "{title.__class__}"'), "title"),
        (('CAUSE = "a direct', 'OTHER = "a direct'), "relations.CAUSE"),
        (("[verbs]", "[words]"), "verbs"),
        (('neutral = "', 'neutral = "{user}'), "neutral"),
        (("title =", "title"), "cannot be read"),
        (("{titles}", "{titles"), "cannot be read"),
    ],
)
def test_a_faulty_language_file_is_named(tmp_path: Path, change: tuple[str, str], named: str) -> None:
    file = tmp_path / "xx.toml"
    file.write_text((SHIPPED / "en.toml").read_text().replace(*change))

    with pytest.raises(LanguageError, match=named):
        read_language(file)


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(LanguageError, match="no folder"):
        Languages(tmp_path / "none")
