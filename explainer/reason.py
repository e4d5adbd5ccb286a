"""From causes to the sentence a person reads. It states what was checked on the model, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from explainer.explanation import Relation, Robustness
    from explainer.language import Languages
    from explainer.settings import Settings


@dataclass(frozen=True, slots=True)
class Reason:
    """What is said, and whether something was held back."""

    text: str
    withheld: bool
    """Whether a verified set was found, but its evidence stays below the floors."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How explanations speak of items."""

    title: Callable[[str], str]
    """Title of an item token, empty when there is none."""

    languages: Languages

    def name(self, item: str) -> str:
        """The title, or the token of an item without one."""
        return self.title(item) or item

    def relation(self, relation: Relation, settings: Settings) -> str:
        """A relation in words."""
        return self.languages.get(settings.language_code).relations[relation.value]

    def reason(self, items: Sequence[str], robustness: Robustness | None, settings: Settings) -> Reason:
        """The reason for a set of causes; neutral without one, and when its evidence stays below the floors.

        Raises:
            InvalidParameterError: there is no such language, or it lacks the verb.
        """
        language = self.languages.get(settings.language_code)
        enough = robustness is not None and (
            robustness.effect >= settings.min_effect and robustness.stability >= settings.min_stability
        )
        shown = [self.name(item) for item in items] if enough else []
        return Reason(language.reason(shown, settings.verb), withheld=bool(items) and not enough)
