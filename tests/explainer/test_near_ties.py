"""Arithmetic noise decides nothing: exact ties and adversarial near-ties give the same answer with and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from explainer.explain import explain
from explainer.language import Languages
from explainer.model import NEAR_TIE, History
from explainer.reason import Wording
from explainer.settings import Settings
from fakes import AdditiveModel

if TYPE_CHECKING:
    from explainer.explanation import Explanation

WORDING = Wording(lambda _: "", Languages())
NOISE = 1e-6
"""Ten times what differs between machines; scores on one machine have the same bits."""


class Noisy(AdditiveModel):
    """The same model on a machine that adds differently."""

    def __init__(self, model: AdditiveModel, seed: int) -> None:
        super().__init__(model.gives, model.bias)
        self._seed = seed

    def scores(self, history: History, removal: tuple[int, ...] = ()) -> dict[str, float]:
        rng = np.random.default_rng([self._seed, *removal])
        return {item: score + rng.uniform(-NOISE, NOISE) for item, score in super().scores(history, removal).items()}


def told(explanation: Explanation) -> tuple[object, ...]:
    """What is claimed, without the last digits and without the choice between equals."""
    return (
        explanation.status,
        explanation.target.item,
        {tuple(cause.position for cause in explanation.causes), *explanation.alternatives},
        explanation.common,
        explanation.certificate,
        [effect.rank for effect in explanation.effects],
        explanation.position_sensitive,
    )


@given(
    gives=st.lists(st.integers(-2, 4), min_size=2, max_size=6),
    lead=st.sampled_from([0.3 * NEAR_TIE, 0.9 * NEAR_TIE, 1.1 * NEAR_TIE, 1.0, 2.0, 3.0 + 0.9 * NEAR_TIE]),
    seed=st.integers(0, 5),
)
def test_noise_changes_no_answer(gives: list[int], lead: float, seed: int) -> None:
    names = [f"item {position}" for position in range(len(gives))]
    model = AdditiveModel(
        {name: {"t": float(given_)} for name, given_ in zip(names, gives, strict=True)},
        {"t": 0.0, "r": sum(gives) - lead, "far": -50.0},
    )
    history = History(tuple(names))
    settings = Settings(max_size=3, exhaust=True)

    exact = explain(model, history, settings=settings, wording=WORDING)
    noisy = explain(Noisy(model, seed), history, settings=settings, wording=WORDING)

    assert told(exact) == told(noisy)
