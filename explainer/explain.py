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

from explainer.budget import Budget
from explainer.errors import EmptyHistoryError, NothingLeftError, TargetInHistoryError, TargetOutsideTopKError
from explainer.explanation import (
    Cause,
    Cost,
    Counterfactual,
    Effect,
    Explanation,
    RankedItem,
    Robustness,
    Standing,
    Status,
)
from explainer.graphs import HeadReading, nearest, read_heads
from explainer.relation import strongest
from explainer.search import Finding, Question, search
from explainer.settings import Intervention, Settings
from explainer.support import edge_support
from explainer.verification import counterfactual, position_sensitive, robustness, single_effects, standing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from explainer.model import ExplainableModel, History
    from explainer.reason import Wording


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the model said after the search."""

    effects: tuple[Effect, ...]
    counterfactual: Counterfactual | None
    robustness: Robustness | None
    standing: Standing | None
    holds_when_deleted: bool | None
    position_sensitive: bool


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
        NothingLeftError: the user has had every item of the catalogue.
        TargetInHistoryError: the user already has the target.
        TargetOutsideTopKError: the target does not stand in the place to be explained.
        InvalidParameterError: there is no such language or verb.
        CancelledError: the caller has gone.
    """
    settings = settings or Settings()
    wording.reason((), None, settings)  # a language that is not there is refused before any work is done
    budget = budget or Budget(settings.max_rows)
    started = time.perf_counter()
    place = _target(model, history, target, settings, wording)
    settings = replace(
        settings,
        top_k=settings.top_k or place.rank,
        n_samples=settings.n_samples or model.hidden_size,
        temporal=model.causal if settings.temporal is None else settings.temporal,
    )
    recommended = time.perf_counter()
    attention = model.attention(history, place.item)
    readings = read_heads(attention, settings)
    support = edge_support(
        attention,
        max_radius=settings.max_radius,
        max_tests=settings.max_tests,
        temporal=bool(settings.temporal),
        known={(reading.head, settings.n_samples or 1, settings.alpha): reading.pag for reading in readings},
    )
    graphed = time.perf_counter()
    question = Question(model, history, place.item, settings.top_k or 1, settings.intervention)
    finding = search(question, nearest(readings), settings.max_size, budget, exhaust=settings.exhaust)
    facts = _facts(question, finding, wording, budget)
    causes = tuple(
        _cause(
            history.items[position],
            position,
            facts.effects[position],
            readings=readings,
            wording=wording,
            settings=settings,
        )
        for position in finding.removed
    )
    said = wording.reason([cause.item for cause in causes], facts.robustness, settings)
    return Explanation(
        status=finding.status,
        model_version=model.version,
        history=history.items,
        titles=tuple(map(wording.title, history.items)),
        target=place,
        causes=causes,
        effects=facts.effects,
        counterfactual=facts.counterfactual,
        alternatives=finding.alternatives,
        common=finding.common,
        robustness=facts.robustness,
        standing=facts.standing,
        holds_when_deleted=facts.holds_when_deleted,
        position_sensitive=facts.position_sensitive,
        certificate=finding.certificate,
        graphs=tuple(reading.graph(support) for reading in readings),
        settings=settings,
        cost=Cost(
            rows_scored=budget.rows,
            recommend_ms=_milliseconds(started, recommended),
            graph_ms=_milliseconds(recommended, graphed),
            search_ms=_milliseconds(graphed, time.perf_counter()),
        ),
        reason=said.text,
        reason_withheld=said.withheld,
        digests=_digests(model, history, place.item, settings, attention),
    )


def _facts(question: Question, finding: Finding, wording: Wording, budget: Budget) -> _Facts:
    """Ask the model what else belongs to the answer."""
    shifts = position_sensitive(question, budget)
    removed, outcomes = finding.removed, finding.outcomes
    if outcomes is None:
        return _Facts((), None, None, None, None, shifts)
    effects = single_effects(outcomes)
    if removed:
        robust = robustness(question, removed, float(outcomes.margin[0]), budget)
        holds = Intervention.DELETE_BACKFILL in robust.moves_under
        return _Facts(effects, counterfactual(question, removed, wording.title, budget), robust, None, holds, shifts)
    exhausted = finding.status is Status.NO_COUNTERFACTUAL
    held = standing(question, outcomes, finding.certificate.max_size, budget) if exhausted else None
    return _Facts(effects, None, None, held, None, shifts)


def _target(
    model: ExplainableModel, history: History, target: str | None, settings: Settings, wording: Wording
) -> RankedItem:
    if not history.items:
        raise EmptyHistoryError("The history is empty; give at least one item that the model knows.")
    if target is None:
        best = model.top(history, 1)
        if not best:
            raise NothingLeftError(
                "The history has every item of the catalogue, so nothing is recommended and there is nothing to explain; "
                "send another history."
            )
        first = best[0]
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


def _cause(
    item: str, position: int, effect: Effect, *, readings: list[HeadReading], wording: Wording, settings: Settings
) -> Cause:
    relations = tuple(reading.relation(position) for reading in readings)
    relation = strongest(relations)
    return Cause(
        item=item,
        title=wording.title(item),
        position=position,
        effect=effect,
        relation=relation,
        relation_text=wording.relation(relation, settings),
        relation_by_head=relations,
    )


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
