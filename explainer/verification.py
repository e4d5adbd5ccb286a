"""What else the model says once the search has ended: about a set that was found, and about why none was."""

from __future__ import annotations

from dataclasses import replace
from math import isinf
from typing import TYPE_CHECKING

import numpy as np

from explainer.explanation import Counterfactual, Effect, Obstacle, RankedItem, Robustness, Standing
from explainer.settings import Intervention

if TYPE_CHECKING:
    from collections.abc import Callable

    from explainer.budget import Budget
    from explainer.model import Outcomes, Removal
    from explainer.search import Question


def single_effects(outcomes: Outcomes | None) -> tuple[Effect, ...]:
    """What each position alone does, from the outcomes of (untouched, without 0, without 1, ...)."""
    if outcomes is None:
        return ()
    score, probability = outcomes.target_score, outcomes.target_probability
    return tuple(
        Effect(score=change, rank=rank, probability=shift)
        for change, rank, shift in zip(
            (score[1:] - score[0]).tolist(),
            outcomes.target_rank[1:].tolist(),
            (probability[1:] - probability[0]).tolist(),
            strict=True,
        )
    )


def counterfactual(question: Question, removed: Removal, title: Callable[[str], str], budget: Budget) -> Counterfactual:
    """What the model does without the set, and which item takes the target's place."""
    model, history = question.model, question.history
    budget.rows += 3
    before = {scored.item for scored in model.top(history, question.top_k)}
    after = model.top(history, question.top_k, removed, question.intervention)
    newcomer = next(scored for scored in after if scored.item not in before)
    ((rank, score),) = model.places(history, [newcomer.item])
    outcome = question.ask([removed])
    return Counterfactual(
        removed=removed,
        replacement=RankedItem(newcomer.item, title(newcomer.item), rank, score),
        replacement_score=newcomer.score,
        target_score=float(outcome.target_score[0]),
        target_rank=int(outcome.target_rank[0]),
    )


def robustness(question: Question, removed: Removal, untouched_margin: float, budget: Budget) -> Robustness:
    """Under which interventions the set works, and whether the causes alone carry the target."""
    others = tuple(sorted(set(range(len(question.history.items))) - set(removed)))
    alone = question.ask([removed, others])
    budget.rows += 2
    tried = [intervention for intervention in Intervention if question.model.supports(intervention)]
    moves = tuple(
        intervention for intervention in tried if replace(question, intervention=intervention).ask([removed]).left[0]
    )
    budget.rows += len(tried)
    return Robustness(
        moves_under=moves,
        stability=len(moves) / len(tried),
        effect=untouched_margin - float(alone.margin[0]),
        sufficient=not alone.left[1],
        rank_from_causes_alone=int(alone.target_rank[1]),
    )


def standing(question: Question, outcomes: Outcomes, max_size: int, budget: Budget) -> Standing:
    """What holds the target in its place when no set was found."""
    lead = float(outcomes.margin[0])
    if isinf(lead):
        return Standing(Obstacle.NO_RIVALS, None, None)
    falls = np.sort(np.maximum(lead - outcomes.margin[1:], 0.0))[::-1]
    enough = np.flatnonzero(np.cumsum(falls) > lead)
    needed = int(enough[0]) + 1 if len(enough) else None
    rank = None
    if question.model.ranks_nothing:
        budget.rows += 1
        bare = question.ask([tuple(range(len(question.history.items)))])
        rank = int(bare.target_rank[0])
        if not bare.left[0]:
            return Standing(Obstacle.STANDS_WITHOUT_HISTORY, rank, needed)
    substitutes = needed is not None and needed <= max_size
    return Standing(Obstacle.SUBSTITUTES if substitutes else Obstacle.MANY_SMALL_EFFECTS, rank, needed)


def position_sensitive(question: Question, budget: Budget) -> bool:
    """Whether the pure shift of all positions already takes the target from its place."""
    budget.rows += 1
    return bool(question.model.shifted(question.history, question.target, top_k=question.top_k).left[0])
