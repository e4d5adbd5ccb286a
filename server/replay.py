"""Replay: an explanation computed again from its stored inputs, compared with the stored one fact by fact."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from explainer.budget import Budget
from explainer.errors import ExplainerError
from explainer.explain import explain
from explainer.explanation import CertificateKind, Status
from explainer.model import NEAR_TIE, History
from explainer.reason import Wording
from recommender.errors import RecommenderError
from server.progress import Progress, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from explainer.explanation import Explanation
    from explainer.language import Languages
    from explainer.model import ExplainableModel
    from storage import ExplanationRecord

TOLERANCE = NEAR_TIE
"""Largest difference between two scores, effects or probabilities that counts as none: what the explainer itself takes
for level. On the same build and kind of machine there is no difference at all."""

_NOT_COMPARED = {"model_version", "history", "settings", "cost", "digests"}
"""Inputs, which the digest covers, and the time it took."""

_SEARCH_FREE = ("target", "effects", "position_sensitive", "graphs")
"""What does not depend on when a budget ended the search."""

_WORDS = {"title", "titles", "relation_text", "reason"}


class Verdict(Enum):
    """What a replay comes to."""

    HOLDS = "HOLDS"
    RECORD_TAMPERED = "RECORD_TAMPERED"
    MODEL_SWAPPED = "MODEL_SWAPPED"
    MODEL_MISSING = "MODEL_MISSING"
    WORDS_CHANGED = "WORDS_CHANGED"
    NUMBERS_DIFFER = "NUMBERS_DIFFER"
    FACTS_DIFFER = "FACTS_DIFFER"


class Agreement(Enum):
    """How far a stored and a recomputed fact agree."""

    EQUAL = "EQUAL"
    WITHIN_TOLERANCE = "WITHIN_TOLERANCE"
    DIFFERENT = "DIFFERENT"


@dataclass(frozen=True, slots=True)
class Fact:
    """One field of the explanation, stored and recomputed."""

    name: str
    agreement: Agreement
    difference: str = ""
    """Where they differ first, with both values."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found."""

    verdict: Verdict
    summary: str
    bit_equal: bool = False
    facts: tuple[Fact, ...] = ()
    model_version: str = ""


@dataclass(frozen=True, slots=True)
class _Difference:
    """One place where two values differ."""

    path: str
    stored: object
    recomputed: object

    @property
    def is_words(self) -> bool:
        return self.path.rpartition(".")[2].partition("[")[0] in _WORDS

    @property
    def is_number(self) -> bool:
        return isinstance(self.stored, float) and isinstance(self.recomputed, float)

    @property
    def is_level(self) -> bool:
        return (
            isinstance(self.stored, float)
            and isinstance(self.recomputed, float)
            and abs(self.stored - self.recomputed) <= TOLERANCE
        )

    def __str__(self) -> str:
        return f"{self.path}: {_short(self.stored)} stored, {_short(self.recomputed)} recomputed"


def replay(
    record: ExplanationRecord,
    model: ExplainableModel,
    title: Callable[[str], str],
    languages: Languages,
    progress: Progress | None = None,
) -> Replay:
    """Compute an explanation again and compare.

    Args:
        record: whose document was found untouched.
        model: of the recorded version, or of another that is suspected to be the same.
        title: the model's titles by item token.
        languages: the reasons' words.
        progress: is told how far this is.
    """
    stored = record.explanation
    progress = progress or Progress()
    budget = Budget(stored.settings.max_rows)
    progress.computing(budget, stored.cost.rows_scored)
    history = History(stored.history, record.older_history)
    try:
        again = explain(
            model,
            history,
            stored.target.item,
            settings=stored.settings,
            wording=Wording(title, languages),
            budget=budget,
        )
    except (ExplainerError, RecommenderError) as error:
        if model.version != stored.model_version:
            return _swapped(stored, model)
        return Replay(
            Verdict.FACTS_DIFFER, f"The model no longer gives this recommendation: {error}", model_version=model.version
        )
    progress.step = Step.COMPARE
    return _judged(stored, again, model)


def _judged(stored: Explanation, again: Explanation, model: ExplainableModel) -> Replay:
    same_version = model.version == stored.model_version
    differences = {name: list(_differences(name, *pair)) for name, pair in _pairs(stored, again).items()}
    facts = tuple(_fact(name, found) for name, found in differences.items())
    hard = [each for found in differences.values() for each in found if not each.is_level]
    digests = dict(stored.digests), dict(again.digests)
    if same_version and digests[0].get("inputs") != digests[1].get("inputs"):
        return Replay(Verdict.RECORD_TAMPERED, "The record's inputs are not those that its digest was made over.")
    same_attention = digests[0].get("attention") == digests[1].get("attention")
    made = Replay(
        Verdict.HOLDS,
        "Every stated fact holds.",
        bit_equal=same_attention and not any(differences.values()),
        facts=facts,
        model_version=model.version,
    )
    if all(each.is_words for each in hard) and (same_version or same_attention):
        return replace(made, verdict=Verdict.WORDS_CHANGED, summary=_words(hard)) if hard or not same_version else made
    if not same_version:
        return replace(_swapped(stored, model), facts=facts)
    if all(each.is_words or each.is_number for each in hard):
        first = next(each for each in hard if each.is_number)
        return replace(
            made, verdict=Verdict.NUMBERS_DIFFER, summary=f"Numbers differ by more than {TOLERANCE}: {first}."
        )
    first = next(each for each in hard if not each.is_words and not each.is_number)
    return replace(made, verdict=Verdict.FACTS_DIFFER, summary=f"Facts differ: {first}.")


def _words(hard: list[_Difference]) -> str:
    if not hard:
        return "All facts hold, on a bundle that has the same model and other items or titles."
    return f"All numbers hold; words differ: {hard[0]}."


def _swapped(stored: Explanation, model: ExplainableModel) -> Replay:
    return Replay(
        Verdict.MODEL_SWAPPED,
        f"The model at hand is {model.version}, and the record was made with {stored.model_version}.",
        model_version=model.version,
    )


def _pairs(stored: Explanation, again: Explanation) -> dict[str, tuple[Any, Any]]:
    names = [field.name for field in dataclasses.fields(stored) if field.name not in _NOT_COMPARED]
    if _was_cut_short(stored):
        # A deadline ended the search at a moment that does not come again.
        names = [name for name in names if name in _SEARCH_FREE and (name != "effects" or stored.effects)]
    return {name: (getattr(stored, name), getattr(again, name)) for name in names}


def _was_cut_short(stored: Explanation) -> bool:
    kind = stored.certificate.kind
    return stored.status is Status.BUDGET_EXHAUSTED or kind in {CertificateKind.IRREDUCIBLE, CertificateKind.BEST_FOUND}


def _differences(path: str, stored: Any, again: Any) -> Iterator[_Difference]:
    if dataclasses.is_dataclass(stored) and type(stored) is type(again):
        for field in dataclasses.fields(stored):
            yield from _differences(f"{path}.{field.name}", getattr(stored, field.name), getattr(again, field.name))
    elif isinstance(stored, tuple) and isinstance(again, tuple) and len(stored) == len(again):
        for place, (one, other) in enumerate(zip(stored, again, strict=True)):
            yield from _differences(f"{path}[{place}]", one, other)
    elif stored != again or type(stored) is not type(again):
        yield _Difference(path, stored, again)


def _fact(name: str, found: list[_Difference]) -> Fact:
    hard = [each for each in found if not each.is_level]
    if hard:
        return Fact(name, Agreement.DIFFERENT, str(hard[0]))
    if found:
        return Fact(name, Agreement.WITHIN_TOLERANCE, str(found[0]))
    return Fact(name, Agreement.EQUAL)


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} of them"
    text = str(value.value) if isinstance(value, Enum) else repr(value)
    return text if len(text) <= 80 else text[:80] + "..."  # noqa: PLR2004 - a line's worth
