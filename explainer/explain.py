"""From a history to a verified explanation: the method of Rohekar et al., NeurIPS 2023 (arXiv 2310.20307), step by step.

1. Recommend. 2. Abductive pass: the deepest attention of [history, target]. 3. One PAG per head. 4. Candidates by their
distance from the target in the possible-influence trees. 5. The smallest set without which the target leaves its
place, verified on the model. 6. The same set under deletion, and the shift that moves positions alone.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from explainer.attention import attention_correlation
from explainer.budget import Budget
from explainer.errors import EmptyHistoryError, TargetInHistoryError, TargetOutsideTopKError
from explainer.explanation import (
    Cause,
    Cost,
    Counterfactual,
    Effect,
    Explanation,
    GraphEdge,
    HeadGraph,
    Intervention,
    RankedItem,
    Settings,
)
from explainer.icd import learn_pag
from explainer.pag import Mark, Pag
from explainer.reason import reason
from explainer.relation import relation_to_target, strongest
from explainer.search import Finding, Question, leaves, search
from explainer.tree import possible_influence_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from explainer.model import ExplainableModel, History, Outcomes


@dataclass(frozen=True, slots=True)
class Wording:
    """How an explanation speaks of items."""

    title: Callable[[str], str]
    """Title of an item token, empty when there is none."""

    verb: str = "watched"

    def name(self, item: str) -> str:
        """The title, or the token of an item without one."""
        return self.title(item) or item


@dataclass(frozen=True, slots=True)
class _HeadReading:
    """What one head's graph says about each position of the history."""

    head: int
    pag: Pag
    distance: NDArray[np.int64]


def explain(
    model: ExplainableModel,
    history: History,
    target: str | None = None,
    *,
    settings: Settings | None = None,
    wording: Wording,
    budget: Budget | None = None,
) -> Explanation:
    """Explain why the model recommends an item after a history.

    Args:
        model: The model to explain.
        history: What it has seen.
        target: The item to explain; None stands for the top recommendation.
        settings: How to explain.
        wording: How to speak of items.
        budget: Deadline and cancel flag; its row limit counts, not that of the settings. None: the settings' rows.

    Raises:
        EmptyHistoryError: the history holds no item.
        TargetInHistoryError: the user already has the target.
        TargetOutsideTopKError: the target does not stand in the place to be explained.
        CancelledError: the caller has gone.
    """
    settings = settings or Settings()
    budget = budget or Budget(settings.max_rows)
    started = time.perf_counter()
    place = _target(model, history, target, settings, wording)
    settings = replace(settings, top_k=settings.top_k or place.rank, n_samples=settings.n_samples or model.hidden_size)
    recommended = time.perf_counter()
    attention = model.attention(history, place.item)
    readings = [_read(head, matrix, settings) for head, matrix in enumerate(attention)]
    graphed = time.perf_counter()
    question = Question(model, history, place.item, settings.top_k or 1, settings.intervention)
    finding = search(question, _nearest(readings), settings.max_size, budget)
    effects = _effects(question, finding, budget)
    causes = tuple(_cause(history, position, effects, readings, wording) for position in finding.removed)
    counterfactual = _counterfactual(question, finding, wording, budget) if finding.removed else None
    holds, shifts = _controls(question, finding, budget)
    return Explanation(
        status=finding.status,
        model_version=model.version,
        history=history.items,
        target=place,
        causes=causes,
        effects=effects,
        counterfactual=counterfactual,
        holds_when_deleted=holds,
        position_sensitive=shifts,
        certificate=finding.certificate,
        graphs=tuple(_graph(reading) for reading in readings),
        settings=settings,
        cost=Cost(
            rows_scored=budget.rows,
            recommend_ms=_milliseconds(started, recommended),
            graph_ms=_milliseconds(recommended, graphed),
            search_ms=_milliseconds(graphed, time.perf_counter()),
        ),
        reason=reason([wording.name(cause.item) for cause in causes], wording.verb),
        digests=_digests(model, history, place.item, settings, attention),
    )


def _target(
    model: ExplainableModel, history: History, target: str | None, settings: Settings, wording: Wording
) -> RankedItem:
    if not history.items:
        raise EmptyHistoryError("The history is empty; give at least one item that the model knows.")
    if target is None:
        first = model.top(history, 1)[0]
        return RankedItem(first.item, wording.title(first.item), 1, first.score)
    if target in history.items or target in history.older:
        raise TargetInHistoryError(
            f"Item {target} is in the history, so it is never recommended; name an item that the user does not have."
        )
    ((rank, score),) = model.places(history, [target])
    if settings.top_k is not None and rank > settings.top_k:
        raise TargetOutsideTopKError(
            f"Item {target} stands at rank {rank}, outside the top {settings.top_k}; set top_k to {rank} or more, "
            "or leave it out to explain the item's own place."
        )
    return RankedItem(target, wording.title(target), rank, score)


def _read(head: int, attention: NDArray[np.float64], settings: Settings) -> _HeadReading:
    pag = learn_pag(
        attention_correlation(attention),
        n_samples=settings.n_samples or 1,
        alpha=settings.alpha,
        max_radius=settings.max_radius,
        temporal=settings.temporal,
    )
    tree = possible_influence_tree(pag, root=len(pag.marks) - 1)
    return _HeadReading(head, pag, tree.distance[:-1])


def _nearest(readings: list[_HeadReading]) -> list[int]:
    """Each position's least distance from the target over the heads, -1 where no head reaches it."""
    distances = np.stack([reading.distance for reading in readings]).astype(np.int64)
    far = np.iinfo(np.int64).max
    nearest = np.where(distances < 0, far, distances).min(axis=0)
    return [-1 if distance == far else distance for distance in nearest.tolist()]


def _effects(question: Question, finding: Finding, budget: Budget) -> tuple[Effect, ...]:
    if finding.singles is None:
        return ()
    budget.rows += 1
    untouched = question.ask([()])
    singles = finding.singles
    return tuple(
        Effect(score=score, rank=rank, probability=probability)
        for score, rank, probability in zip(
            (singles.target_score - untouched.target_score).tolist(),
            singles.target_rank.tolist(),
            (singles.target_probability - untouched.target_probability).tolist(),
            strict=True,
        )
    )


def _cause(
    history: History, position: int, effects: tuple[Effect, ...], readings: list[_HeadReading], wording: Wording
) -> Cause:
    item = history.items[position]
    relations = tuple(relation_to_target(reading.pag, position, reading.distance.tolist()) for reading in readings)
    return Cause(item, wording.title(item), position, effects[position], strongest(relations), relations)


def _counterfactual(question: Question, finding: Finding, wording: Wording, budget: Budget) -> Counterfactual:
    model, history, removed = question.model, question.history, finding.removed
    before = {scored.item for scored in model.top(history, question.top_k)}
    after = model.top(history, question.top_k, removed, question.intervention)
    newcomer = next(scored for scored in after if scored.item not in before)
    outcome = question.ask([removed])
    budget.rows += 3
    ((rank, score),) = model.places(history, [newcomer.item])
    return Counterfactual(
        removed=removed,
        replacement=RankedItem(newcomer.item, wording.title(newcomer.item), rank, score),
        replacement_score=newcomer.score,
        target_score=float(outcome.target_score[0]),
        target_rank=int(outcome.target_rank[0]),
    )


def _controls(question: Question, finding: Finding, budget: Budget) -> tuple[bool | None, bool]:
    """Whether the set holds under DELETE_BACKFILL, and whether the pure shift already moves the target."""

    def moved(outcome: Outcomes) -> bool:
        return bool(leaves(outcome)[0])

    budget.rows += 1
    shifts = moved(question.model.shifted(question.history, question.target, top_k=question.top_k))
    if not finding.removed:
        return None, shifts
    budget.rows += 1
    return moved(replace(question, intervention=Intervention.DELETE_BACKFILL).ask([finding.removed])), shifts


def _graph(reading: _HeadReading) -> HeadGraph:
    marks = reading.pag.marks
    pairs = zip(*(ends.tolist() for ends in np.nonzero(np.triu(marks))), strict=True)
    edges = tuple(
        GraphEdge(source, target, Mark(int(marks[target, source])), Mark(int(marks[source, target])))
        for source, target in pairs
    )
    return HeadGraph(reading.head, reading.pag.radius, reading.pag.complete, edges)


def _digests(
    model: ExplainableModel, history: History, target: str, settings: Settings, attention: NDArray[np.float64]
) -> tuple[tuple[str, str], ...]:
    inputs = {
        "history": history.items,
        "model_version": model.version,
        "older": history.older,
        "settings": asdict(settings) | {"intervention": settings.intervention.value},
        "target": target,
    }
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    little_endian = np.ascontiguousarray(attention, dtype="<f8").tobytes()
    return (
        ("attention", hashlib.sha256(little_endian).hexdigest()),
        ("inputs", hashlib.sha256(canonical.encode()).hexdigest()),
    )


def _milliseconds(since: float, until: float) -> float:
    return round(1000 * (until - since), 3)
