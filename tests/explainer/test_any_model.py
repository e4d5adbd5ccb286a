"""Nothing in the explainer knows about recommenders: a classifier of sentences is explained the same way."""

from __future__ import annotations

import pytest

from explainer.explain import explain
from explainer.explanation import CertificateKind, Status
from explainer.language import Languages
from explainer.model import History
from explainer.reason import Wording
from explainer.settings import Intervention, Settings
from tiny_classifier import TinyClassifier

SENTENCE = History(("a", "superb", "film", "with", "a", "dull", "end", "but", "wonderful", "music"))
MODEL = TinyClassifier(
    {
        "superb": (2.0, 0.0, 0.0),
        "wonderful": (1.5, 0.0, 0.0),
        "dull": (0.0, 1.7, 0.0),
        "a": (0.0, 0.0, 0.1),
        "film": (0.0, 0.0, 0.1),
        "with": (0.0, 0.0, 0.1),
        "end": (0.0, 0.1, 0.0),
        "but": (0.0, 0.0, 0.1),
        "music": (0.1, 0.0, 0.0),
    }
)
WORDING = Wording(lambda _: "", Languages())


def test_the_words_that_decide_are_found() -> None:
    explanation = explain(MODEL, SENTENCE, settings=Settings(verb="read"), wording=WORDING)

    assert explanation.target.item == "positive"
    assert explanation.status is Status.EXPLAINED
    assert [cause.item for cause in explanation.causes] == ["superb"]
    assert explanation.counterfactual is not None
    assert explanation.counterfactual.replacement.item == "negative"
    assert explanation.certificate.kind is CertificateKind.MINIMUM
    assert explanation.reason == "Because you read superb"


def test_what_the_model_does_not_support_is_not_counted() -> None:
    robustness = explain(MODEL, SENTENCE, wording=WORDING).robustness

    assert robustness is not None
    assert set(robustness.moves_under) == {Intervention.MASK_OUT, Intervention.DELETE}
    assert robustness.stability == 1.0


@pytest.mark.parametrize("target", ["negative", "neutral"])
def test_any_class_can_be_explained_in_its_place(target: str) -> None:
    explanation = explain(MODEL, SENTENCE, target, wording=WORDING)

    assert explanation.target.rank == {"negative": 2, "neutral": 3}[target]
    assert explanation.status in Status
