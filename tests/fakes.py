"""A model small enough to see through: scores are sums of what each history item gives to each candidate."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from explainer.model import NEAR_TIE, History, Outcomes, ScoredItem
from explainer.settings import Intervention

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class AdditiveModel:
    """gives[history item][candidate] adds to the candidate's score; an item that gives nothing adds 0."""

    gives: dict[str, dict[str, float]]
    bias: dict[str, float]
    version: str = "sha256:fake"
    hidden_size: int = 64
    rows: list[tuple[int, ...]] = field(default_factory=list)

    def scores(self, history: History, removal: tuple[int, ...] = ()) -> dict[str, float]:
        kept = [item for position, item in enumerate(history.items) if position not in removal]
        candidates = {item: score for item, score in self.bias.items() if item not in (*history.items, *history.older)}
        return {
            item: score + sum(self.gives.get(one, {}).get(item, 0.0) for one in kept)
            for item, score in candidates.items()
        }

    ranks_nothing = True
    causal = False

    @staticmethod
    def supports(intervention: Intervention) -> bool:
        return intervention in Intervention

    def top(self, history, k, removal=(), intervention=Intervention.MASK_OUT):  # noqa: ANN001, ANN201, ARG002
        ranked = sorted(self.scores(history, removal).items(), key=lambda pair: -pair[1])
        return tuple(ScoredItem(item, score) for item, score in ranked[:k])

    def places(self, history, items):  # noqa: ANN001, ANN201
        ranked = [scored.item for scored in self.top(history, len(self.bias))]
        return tuple((ranked.index(item) + 1, self.scores(history)[item]) for item in items)

    def attention(self, history, target):  # noqa: ANN001, ANN201
        n = len(history.items) + 1
        logits = np.full((n, n), 0.0)
        for position, item in enumerate(history.items):
            logits[-1, position] = logits[position, -1] = self.gives.get(item, {}).get(target, 0.0)
        weights = np.exp(logits + 2 * np.eye(n))
        return np.stack([weights / weights.sum(axis=1, keepdims=True)] * 2)

    def without(self, history, target, removals, *, top_k=1, intervention=Intervention.MASK_OUT):  # noqa: ANN001, ANN201, ARG002
        self.rows.extend(removals)
        columns = [self._outcome(self.scores(history, removal), target, top_k) for removal in removals]
        score, rank, probability, margin = map(np.array, zip(*columns, strict=True))
        return Outcomes(score, rank, probability, margin)

    def shifted(self, history, target, *, top_k=1):  # noqa: ANN001, ANN201
        return self.without(history, target, [()], top_k=top_k)

    @staticmethod
    def _outcome(scores: dict[str, float], target: str, top_k: int) -> tuple[float, int, float, float]:
        rivals = sorted((score for item, score in scores.items() if item != target), reverse=True)
        own = scores[target]
        margin = own - rivals[top_k - 1] if len(rivals) >= top_k else np.inf
        total = sum(np.exp(score) for score in scores.values())
        return own, 1 + sum(rival > own + NEAR_TIE for rival in rivals), np.exp(own) / total, margin


def history(*items: str, older: tuple[str, ...] = ()) -> History:
    return History(items, older)


class FakeCatalogue:
    """Titles by token; knows the tokens it has titles for."""

    def __init__(self, titles: dict[str, str]) -> None:
        self._titles = titles

    def __len__(self) -> int:
        return len(self._titles)

    def knows(self, token: str) -> bool:
        return token in self._titles

    def title(self, token: str) -> str:
        return self._titles.get(token, "")

    def search(self, text: str, most: int) -> list[tuple[str, str]]:
        return [(token, title) for token, title in self._titles.items() if text.lower() in title.lower()][:most]

    def tokens(self, most: int) -> list[str]:
        return list(self._titles)[:most]


@dataclass
class FakeBundle:
    catalogue: FakeCatalogue
    version: str
    path: Path = Path("not on any disk")
    max_history: int = 3
    manifest: dict[str, object] = field(default_factory=lambda: {"created_at": "2026-01-31T12:00:00+00:00"})
    architecture: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(model=SimpleNamespace(value="Additive"))
    )


@dataclass(frozen=True)
class FakeRanking:
    """As `recommender.joining.Ranking`."""

    history: History
    k: int
    rows = 1


class FakeRecommender(AdditiveModel):
    """The additive model with a catalogue and a window of three items: t leads r by what a gives, q comes third."""

    side_by_side = True

    def __init__(self) -> None:
        super().__init__(
            gives={"a": {"t": 2.0}, "b": {"t": 0.5}},
            bias={"t": 0.0, "r": 1.5, "q": 1.0, "a": -9.0, "b": -9.0, "c": -9.0, "d": -9.0},
        )
        titles = {"a": "Alien", "b": "Brazil", "c": "Cube", "d": "", "t": "Them!", "r": "Ran", "q": "Quiz Show"}
        self.bundle = FakeBundle(FakeCatalogue(titles), self.version)

    @staticmethod
    def ranking(history: History, k: int) -> FakeRanking:
        return FakeRanking(history, k)

    def answers(self, asked: Sequence[FakeRanking]) -> list[tuple[ScoredItem, ...]]:
        """Of rankings alone: other questions are not asked of a fake's thread."""
        return [self.top(one.history, one.k) for one in asked]

    @staticmethod
    def listed(found: tuple[ScoredItem, ...]) -> tuple[ScoredItem, ...]:
        return found

    def through(self, _ask: object) -> FakeRecommender:
        """It has no network to share."""
        return self

    @staticmethod
    def window(tokens: Sequence[str]) -> History:
        return History(tuple(tokens[-3:]), tuple(tokens[:-3]))


class SlowRecommender(FakeRecommender):
    """Takes its time over each batch, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    def without(self, *args: object, **kwargs: object) -> Outcomes:
        self.batches += 1
        time.sleep(0.2)
        return super().without(*args, **kwargs)


class HeldRecommender(FakeRecommender):
    """Begins its first batch, and goes on when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Event()
        self.go_on = threading.Event()

    def without(self, *args: object, **kwargs: object) -> Outcomes:
        self.started.set()
        assert self.go_on.wait(60)
        return super().without(*args, **kwargs)
