"""The words of reasons: one TOML file for each language, in explainer/locales and in a folder of the user's own."""

from __future__ import annotations

import string
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explainer.errors import InvalidParameterError
from explainer.explanation import Relation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHIPPED = Path(__file__).with_name("locales")

_TEXTS = {"title": {"title"}, "separator": set(), "last": set(), "neutral": set()}
_FORMS = ("one", "two", "many")


class LanguageError(ValueError):
    """A language file cannot be used; the text names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Language:
    """How one language says why. Everything it makes is plain text: escape it where it becomes HTML."""

    code: str
    title: str
    separator: str
    last: str
    neutral: str
    """Said when there is nothing that may be said."""

    because: Mapping[str, str]
    """Templates for one, two and many titles."""

    verbs: Mapping[str, str]
    """What users do with items, by the name that the configuration uses."""

    relations: Mapping[str, str]
    """Words for each Relation."""

    def reason(self, titles: Sequence[str], verb: str) -> str:
        """Say "Because you watched A, B and C", each title once, in the order given; neutral without any.

        Raises:
            InvalidParameterError: the language has no such verb.
        """
        if verb not in self.verbs:
            raise InvalidParameterError(
                "verb", f"verb is {verb!r}, which {self.code} does not have; choose from {', '.join(self.verbs)}."
            )
        named = [self.title.format(title=title) for title in dict.fromkeys(titles)]
        if not named:
            return self.neutral
        *firsts, last = named
        joined = self.separator.join(firsts) + self.last + last if firsts else last
        return self.because[_FORMS[min(len(named), 3) - 1]].format(titles=joined, verb=self.verbs[verb])


class Languages:
    """The languages that are at hand; files of the user's own folder win over those shipped.

    Args:
        folder: Folder with more language files, ``CODE.toml``.

    Raises:
        LanguageError: a file cannot be read, or lacks something.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is not None and not folder.is_dir():
            raise LanguageError(f"There is no folder {folder} with language files; make it, or unset it.")
        files = [*sorted(SHIPPED.glob("*.toml")), *sorted(folder.glob("*.toml") if folder else [])]
        self._languages = {file.stem.lower(): read_language(file) for file in files}

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the languages, such as ``en``."""
        return tuple(self._languages)

    def get(self, code: str) -> Language:
        """The language of a BCP 47 code; ``de-AT`` falls back to ``de``.

        Raises:
            InvalidParameterError: there is no such language.
        """
        wanted = code.replace("_", "-").lower()
        while wanted not in self._languages and "-" in wanted:
            wanted = wanted.rpartition("-")[0]
        if wanted not in self._languages:
            raise InvalidParameterError(
                "language_code", f"language_code is {code[:40]!r}; choose from {', '.join(self.codes)}."
            )
        return self._languages[wanted]


def read_language(file: Path) -> Language:
    """Read and check one language file.

    Raises:
        LanguageError: it cannot be read, or lacks something.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LanguageError(f"The language file {file} cannot be read: {error}.") from error
    for name, slots in _TEXTS.items():
        _check(file, name, content.get(name), slots)
    for form in _FORMS:
        _check(file, f"because.{form}", _part(content, "because").get(form), {"titles", "verb"})
    for relation in Relation:
        _check(file, f"relations.{relation.value}", _part(content, "relations").get(relation.value), set())
    if not _part(content, "verbs"):
        raise LanguageError(f"The language file {file} has no verbs; add a table [verbs].")
    for verb, text in _part(content, "verbs").items():
        _check(file, f"verbs.{verb}", text, set())
    names = ("title", "separator", "last", "neutral", "because", "verbs", "relations")
    return Language(file.stem, **{name: content[name] for name in names})


def _part(content: dict[str, Any], name: str) -> dict[str, Any]:
    part = content.get(name)
    return part if isinstance(part, dict) else {}


def _check(file: Path, name: str, text: object, slots: set[str]) -> None:
    """A template may use its slots and nothing else: a format string can read attributes, and files come from users."""
    if not isinstance(text, str):
        raise LanguageError(f"The language file {file} has no text {name}; add it.")
    try:
        used = {slot for _, slot, _, _ in string.Formatter().parse(text) if slot is not None}
    except ValueError as error:
        raise LanguageError(f"The language file {file} has a template {name} that cannot be read: {error}.") from error
    if used != slots:
        wanted = " and ".join(f"{{{slot}}}" for slot in sorted(slots)) or "no slots"
        raise LanguageError(f"The language file {file} must use {wanted} in {name}; it has {text!r}.")
