"""Whether an explanation is about this user: would the same items, taken from another user, move that user's list too?"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from explainer.evaluation.study import UserResult
    from explainer.model import ExplainableModel
    from explainer.settings import Intervention

OTHERS = 3
"""Other users that are asked for each set."""


def moved_others(
    model: ExplainableModel,
    results: Sequence[UserResult],
    intervention: Intervention,
    *,
    method: str,
    top_k: int,
    seed: int,
) -> list[float]:
    """For each user, the share of other users with the same items whose own target falls without them.

    NaN without a set, or when no other user has all of its items beside some more.
    """
    having: defaultdict[str, set[int]] = defaultdict(set)
    for place, result in enumerate(results):
        for item in result.case.history.items:
            having[item].add(place)
    shares = []
    for place, result in enumerate(results):
        history = result.case.history
        items = {history.items[position] for position in result.trials[intervention][method].answer.removed}
        others = sorted(set.intersection(*(having[item] for item in items)) - {place}) if items else []
        random = np.random.default_rng([seed, place])
        drawn = random.permutation(others)[:OTHERS].tolist()
        falls = [_falls(model, results[int(other)], items, intervention, top_k) for other in drawn]
        known = [fall for fall in falls if fall is not None]
        shares.append(float(np.mean(known)) if known else float("nan"))
    return shares


def _falls(
    model: ExplainableModel, other: UserResult, items: set[str], intervention: Intervention, top_k: int
) -> bool | None:
    case = other.case
    removal = tuple(position for position, item in enumerate(case.history.items) if item in items)
    if len(removal) >= case.n:
        return None
    outcome = model.without(case.history, case.target, [removal], top_k=top_k, intervention=intervention)
    return bool(outcome.left[0])
