"""What Python calls about the catalogue: scores of its items, and what they say of one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from explainer.compiling import entry_point, inner
from explainer.model import NEAR_TIE
from recommender.compiled import SOURCES
from recommender.compiled.functions import LEAST, copy, exponential
from recommender.compiled.lanes import SUMS, fma, lanes_highest, lanes_total
from recommender.compiled.tiles import ITEMS, item_products, item_products_of_two

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from recommender.compiled.weights import Floats

_STRETCH = 16 * SUMS
"""Scores that are tallied at once."""

_TIE, _ZERO, _ONE = np.float32(NEAR_TIE), np.float32(0), np.float32(1)
_NOTHING = np.float32("-inf")


@inner
def _score(items: Floats, bias: Floats, states: Floats, start: Floats, found: Floats, out: Floats) -> None:
    """As `score`. start: (ITEMS,) zeros, found: (B, ITEMS), both for own use."""
    hidden = items.shape[1]
    blocks, whole = hidden // ITEMS, hidden - hidden % ITEMS
    paired = len(states) - len(states) % 2
    for first in range(0, len(items), ITEMS):
        last = min(first + ITEMS, len(items))
        copy(start[: last - first], bias[first:last])
        # Beyond the last item there is no room for a whole block.
        block = out[:, first:last] if last - first == ITEMS else found
        for row in range(0, paired, 2):
            for half in range(0, ITEMS, ITEMS // 2):
                item_products_of_two(items, first + half, states, row, blocks, start[half:], block[:, half:])
        for row in range(paired, len(states)):
            item_products(items, first, states, row, blocks, start, block)
        if whole < hidden or last - first < ITEMS:
            for row in range(len(states)):
                for place in range(last - first):
                    total = block[row, place]
                    for c in range(whole, hidden):
                        total = fma(items[first + place, c], states[row, c], total)
                    out[row, first + place] = total


@inner
def _tally(
    row: Floats, own: np.float32, ahead: Floats, more: Floats, weights: Floats
) -> tuple[np.int64, np.float32, np.float64]:
    """Of a row of scores: how many are ahead by more than a tie, the largest distance, and the sum of exponentials.

    ahead, more, weights: (_STRETCH,) for own use.
    """
    higher, best, odds = np.int64(0), _NOTHING, np.float64(0)
    for start in range(0, len(row), _STRETCH):
        _compare(row[start : start + _STRETCH], own, ahead, more, weights)
        higher += np.int64(lanes_total(more, _ZERO, _STRETCH // SUMS))
        best = max(best, lanes_highest(ahead, _ZERO, _STRETCH // SUMS))
        odds += lanes_total(weights, _ZERO, _STRETCH // SUMS)
    return higher, best, odds


@inner
def _compare(row: Floats, own: np.float32, ahead: Floats, more: Floats, weights: Floats) -> None:
    """For each score of a stretch: how far ahead, whether by more than a tie, and the exponential; nothing beyond its end."""
    for c in range(len(row)):
        distance = row[c] - own
        weight = exponential(distance)
        ahead[c] = distance
        more[c] = _ONE if distance > _TIE else _ZERO
        weights[c] = weight if distance > LEAST else _ZERO
    for c in range(len(row), _STRETCH):
        ahead[c], more[c], weights[c] = _NOTHING, _ZERO, _ZERO


def _build_score() -> Callable[..., Any]:
    version = SOURCES

    @entry_point
    def score(items: Floats, bias: Floats, states: Floats, out: Floats) -> None:
        """Bias plus inner products of items and states. items: (N, H). bias: (N,). states: (B, H). out: (B, N)."""
        len(version)  # keeps the digest of the sources in the key of the disk cache
        start, found = np.zeros(ITEMS, np.float32), np.empty((len(states), ITEMS), np.float32)
        _score(items, bias, states, start, found, out)

    return score


def _build_tally() -> Callable[..., Any]:
    version = SOURCES

    @entry_point
    def tally(scores: Floats, own: Floats, higher: NDArray[np.int64], best: Floats, odds: NDArray[np.float64]) -> None:
        """What a block of items adds to the standing of one item in B worlds.

        Args:
            scores: (B, N), minus infinity for what is no candidate.
            own: (B,) the item's.
            higher: (B,) how many are ahead by more than NEAR_TIE, to be added to.
            best: (B,) the largest distance by which one is ahead, to be raised.
            odds: (B,) sum of the exponentials of the distances, to be added to.
        """
        len(version)
        ahead, more, weights = (
            np.empty(_STRETCH, np.float32),
            np.empty(_STRETCH, np.float32),
            np.empty(_STRETCH, np.float32),
        )
        for world in range(len(scores)):
            found = _tally(scores[world], own[world], ahead, more, weights)
            higher[world] += found[0]
            best[world] = max(best[world], found[1])
            odds[world] += found[2]

    return tally


score, tally = _build_score(), _build_tally()
