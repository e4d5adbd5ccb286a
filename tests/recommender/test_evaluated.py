"""An evaluation of real models of both families, short histories included."""

from __future__ import annotations

import json

import pytest

from explainer.errors import InvalidParameterError
from explainer.evaluation import METHODS, Plan, cases, evaluate
from explainer.model import History
from explainer.settings import Intervention
from recbole_files import TOKENS, architecture, random_weights
from recommender.bundle import Content
from recommender.model import Recommender


def recommender(model: str, seed: int) -> Recommender:
    shape = architecture(model)
    return Recommender(Content(shape, random_weights(shape, seed=seed), TOKENS, {}, "").draft())


@pytest.mark.parametrize("model", ["BERT4Rec", "SASRec"])
def test_all_methods_on_both_families(model: str) -> None:
    explained = recommender(model, 3)
    histories = [("one", History(TOKENS[5:6])), ("two", History(TOKENS[4:6])), ("nine", History(TOKENS[4:13]))]
    found = evaluate(explained, cases(explained, histories), Plan(), random_weights=recommender(model, 4))

    json.dumps(found.figures, allow_nan=False)
    goals = found.figures["goals"]
    assert goals["users_exact_covers"] == goals["users_becausal_covers_of_these"]
    assert set(found.results[-1].milliseconds) == set(METHODS)
    assert all(trial.answer.removed == () for trial in found.results[0].trials[Intervention.MASK_OUT].values())


def test_an_intervention_that_the_model_lacks_is_refused() -> None:
    explained = recommender("SASRec", 3)
    asked = cases(explained, [("u", History(TOKENS[4:8]))])

    with pytest.raises(InvalidParameterError, match="MASK_TOKEN"):
        evaluate(explained, asked, Plan(interventions=(Intervention.MASK_TOKEN,)))
