"""Not a recommender at all: a classifier over words with one attention layer, to be explained by the same explainer.

Items are words, and the "recommendation" is the class. It shows what the explainer asks of a model, and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from explainer.model import NEAR_TIE, Outcomes, ScoredItem
from explainer.settings import Intervention

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from explainer.model import History, Removal

CLASSES = ("positive", "negative", "neutral")


class TinyClassifier:
    """Softmax attention from a query for each class over word vectors, then a linear score."""

    version = "sha256:tiny"
    hidden_size = 16
    ranks_nothing = False
    causal = False

    def __init__(self, leaning: dict[str, tuple[float, float, float]], seed: int = 0) -> None:
        self._leaning = leaning
        rng = np.random.default_rng(seed)
        self._vectors = {word: rng.normal(size=self.hidden_size) for word in (*leaning, *CLASSES)}

    @staticmethod
    def supports(intervention: Intervention) -> bool:
        return intervention in {Intervention.MASK_OUT, Intervention.DELETE}

    def top(
        self, history: History, k: int, removal: Removal = (), intervention: Intervention = Intervention.MASK_OUT
    ) -> tuple[ScoredItem, ...]:
        del intervention  # a bag of words: leaving out and hiding are the same
        scores = self._scores(history, removal)
        ranked = sorted(range(len(CLASSES)), key=lambda one: -scores[one])
        return tuple(ScoredItem(CLASSES[one], float(scores[one])) for one in ranked[:k])

    def places(self, history: History, items: Sequence[str]) -> tuple[tuple[int, float], ...]:
        ranked = [scored.item for scored in self.top(history, len(CLASSES))]
        scores = self._scores(history, ())
        return tuple((ranked.index(item) + 1, float(scores[CLASSES.index(item)])) for item in items)

    def attention(self, history: History, target: str) -> NDArray[np.float64]:
        vectors = np.stack([self._vectors[word] for word in (*history.items, target)])
        logits = vectors @ vectors.T / np.sqrt(self.hidden_size)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (weights / weights.sum(axis=1, keepdims=True))[None]

    def without(
        self,
        history: History,
        target: str,
        removals: Sequence[Removal],
        *,
        top_k: int = 1,
        intervention: Intervention = Intervention.MASK_OUT,
    ) -> Outcomes:
        del intervention
        scores = np.stack([self._scores(history, removal) for removal in removals])
        one = CLASSES.index(target)
        own, others = scores[:, one], np.sort(np.delete(scores, one, axis=1), axis=1)[:, ::-1]
        odds = np.exp(scores)
        return Outcomes(
            target_score=own,
            target_rank=1 + (others > own[:, None] + NEAR_TIE).sum(axis=1),
            target_probability=odds[:, one] / odds.sum(axis=1),
            margin=own - others[:, top_k - 1] if top_k < len(CLASSES) else np.full(len(own), np.inf),
        )

    def shifted(self, history: History, target: str, *, top_k: int = 1) -> Outcomes:
        return self.without(history, target, [()], top_k=top_k)

    def _scores(self, history: History, removal: Removal) -> NDArray[np.float64]:
        kept = [word for position, word in enumerate(history.items) if position not in removal]
        return np.sum([self._leaning.get(word, (0.0, 0.0, 0.0)) for word in kept], axis=0)
