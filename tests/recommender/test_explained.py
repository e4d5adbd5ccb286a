"""The explainer on real models: what each model family means for its graphs and interventions."""

from __future__ import annotations

import pytest

from explainer import History, Intervention, Languages, Mark, Settings, Wording, explain
from recbole_files import TOKENS, architecture, random_weights
from recommender.bundle import Content
from recommender.errors import InterventionError
from recommender.model import Recommender

WORDING = Wording(lambda _: "", Languages())
HISTORY = History(TOKENS[4:13])


def recommender(model: str) -> Recommender:
    shape = architecture(model)
    return Recommender(Content(shape, random_weights(shape, seed=3), TOKENS, {}, "").draft())


def test_a_causal_model_is_read_in_the_order_of_time() -> None:
    explanation = explain(recommender("SASRec"), HISTORY, wording=WORDING)

    assert explanation.settings.temporal is True
    edges = [edge for graph in explanation.graphs for edge in graph.edges]
    assert edges
    assert {edge.mark_at_target for edge in edges} == {Mark.ARROWHEAD}


def test_a_bidirectional_model_is_not_unless_asked() -> None:
    model = recommender("BERT4Rec")

    assert explain(model, HISTORY, wording=WORDING).settings.temporal is False
    assert explain(model, HISTORY, settings=Settings(temporal=True), wording=WORDING).settings.temporal is True


def test_robustness_counts_what_the_model_can_do() -> None:
    explanation = explain(recommender("SASRec"), HISTORY, wording=WORDING)

    assert explanation.robustness is not None
    assert Intervention.MASK_TOKEN not in explanation.robustness.moves_under
    assert explanation.robustness.stability in {1 / 3, 2 / 3, 1.0}


def test_an_intervention_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(InterventionError, match="mask token"):
        explain(
            recommender("SASRec"), HISTORY, settings=Settings(intervention=Intervention.MASK_TOKEN), wording=WORDING
        )


@pytest.mark.parametrize("model", ["BERT4Rec", "SASRec"])
def test_a_history_of_one_item_gets_a_negative_answer(model: str) -> None:
    explanation = explain(recommender(model), History((TOKENS[5],)), wording=WORDING)

    assert explanation.causes == ()
    assert explanation.effects == ()
