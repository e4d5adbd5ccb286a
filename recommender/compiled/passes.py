"""What Python calls: the passes over histories as they are, and over versions of one history with items hidden.

Versions share the first layer's queries, keys and values. Where a version hides few keys, what its queries see is what they see
with nothing hidden, less the share of those keys: a sum over one or two keys in place of fifty. The difference of two nearly
equal sums would have no digits left, so a query that loses more than three quarters of its weight adds up what remains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from explainer.compiling import allocating, entry_point, inner
from recommender.compiled import SOURCES
from recommender.compiled.functions import add_scaled, copy, scale, weigh
from recommender.compiled.layers import (
    GROUP,
    Scratch,
    attend,
    embed,
    feed_forward,
    new_group,
    new_scratch,
    project,
    read,
    values_at,
)
from recommender.compiled.products import add_product, product

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from recommender.compiled.weights import Floats, Weights

_ZERO, _ONE, _TINY = np.float32(0), np.float32(1), np.finfo(np.float32).tiny
_LEAST_REST = np.float32(0.25)
"""Share of a query's weight that must remain for a difference of sums to be taken."""

_FEW = 4
"""A version that hides no more than one key in so many is made by taking away."""


class Shared(NamedTuple):
    """The first layer of a history with nothing hidden."""

    x: Floats
    """(T, H') its input."""

    weights: Floats
    """(h, T, T') exponentials of the scores, each row's largest 1."""

    totals: Floats
    """(h, T) their sums."""

    mixed: Floats
    """(h, T, H') values, through the dense map."""

    sums: Floats
    """(h, T, H') weights @ mixed."""


@inner
def _first_layer(weights: Weights, keep: Floats, scratch: Scratch, shared: Shared) -> None:
    project(weights, 0, shared.x, scratch)
    for head in range(weights.heads):
        value, start = values_at(weights, head), head * weights.width
        dense = weights.dense[0][:, start : start + weights.width]
        product(scratch.joint[:, value : value + weights.width], dense, scratch.zeros, shared.mixed[head])
        weigh(scratch.scores[head], keep, shared.weights[head], shared.totals[head])
        product(shared.weights[head], shared.mixed[head], scratch.zeros, shared.sums[head])


@inner
def _take_away(
    weights: Weights, keep: Floats, gone: NDArray[np.int64], first: Scratch, shared: Shared, x: Floats
) -> None:
    """Add to x what attention of the first layer adds without the keys ``gone``, which are few."""
    length, mixed = len(x), first.mixed
    for t in range(length):
        for head in range(weights.heads):
            shares, values = shared.weights[head, t], shared.mixed[head]
            total = shared.totals[head, t]
            rest = total
            for key in gone:
                rest -= shares[key]
            if rest < _LEAST_REST * total:
                weighted = first.weighted[:1]
                weigh(first.scores[head, t : t + 1], keep, weighted, first.totals)
                rest = first.totals[0]
                mixed[:] = _ZERO
                for key in range(length):
                    add_scaled(values[key], weighted[0, key], mixed)
            else:
                copy(mixed, shared.sums[head, t])
                for key in gone:
                    add_scaled(values[key], -shares[key], mixed)
            # A causal query that sees nothing but hidden keys adds nothing; nobody reads it.
            add_scaled(mixed, _ONE / max(rest, _TINY), x[t])


@inner
def _add_up(weights: Weights, keep: Floats, first: Scratch, shared: Shared, x: Floats) -> None:
    """Add to x what attention of the first layer adds, whatever is hidden."""
    for head in range(weights.heads):
        weigh(first.scores[head], keep, first.weighted, first.totals)
        scale(first.weighted, first.totals)
        add_product(first.weighted, shared.mixed[head], x)


@inner
def _hide(
    weights: Weights,
    kept: Floats,
    hidden: NDArray[np.int64],
    keep: Floats,
    first: Scratch,
    shared: Shared,
    x: Floats,
    scratch: Scratch,
) -> int:
    """The whole layers of one version, into x, and its keys into keep. Returns the newest position that it sees.

    kept: (T,). hidden: (T,) for own use.
    """
    length, count, newest = len(x), 0, len(x) - 1
    for t in range(length):
        keep[t] = kept[t]
        copy(x[t], shared.x[t])
        if keep[t] == _ZERO:
            hidden[count] = t
            count += 1
        elif weights.causal:
            newest = t
    if len(weights.project) > 1:
        if count * _FEW <= length:
            _take_away(weights, keep, hidden[:count], first, shared, x)
        else:
            _add_up(weights, keep, first, shared, x)
        feed_forward(weights, 0, x, scratch)
    for layer in range(1, len(weights.project) - 1):
        attend(weights, layer, x, keep, scratch)
    return newest


@allocating
def _new_shared(weights: Weights, length: int, padded: int, keys: int) -> Shared:
    heads = weights.heads
    return Shared(
        np.zeros((length, padded), np.float32),
        np.empty((heads, length, keys), np.float32),
        np.empty((heads, length), np.float32),
        np.empty((heads, length, padded), np.float32),
        np.empty((heads, length, padded), np.float32),
    )


def _build_predict() -> Callable[..., Any]:
    version = SOURCES

    @entry_point
    def predict(weights: Weights, numbers: NDArray[np.int64], first_position: int, out: Floats) -> None:
        """What is predicted after each history. numbers: (B, T), T >= 1. out: (B, H')."""
        len(version)  # keeps the digest of the sources in the key of the disk cache
        count, length = numbers.shape
        scratch, group = new_scratch(weights, length), new_group(weights, count, length)
        for start in range(0, count, GROUP):
            some = min(GROUP, count - start)
            for place in range(some):
                embed(weights, numbers[start + place], first_position, group.x[place], scratch)
                for layer in range(len(weights.project) - 1):
                    attend(weights, layer, group.x[place], group.keep[place], scratch)
            read(weights, group, some, scratch, out[start : start + some])

    return predict


def _build_hide() -> Callable[..., Any]:
    version = SOURCES

    @entry_point
    def hide(weights: Weights, numbers: NDArray[np.int64], kept: Floats, out: Floats) -> None:
        """What is predicted after versions of one history. numbers: (T,). kept: (B, T), 0 where hidden. out: (B, H')."""
        len(version)
        count, length = kept.shape
        first, scratch, group = (
            new_scratch(weights, length),
            new_scratch(weights, length),
            new_group(weights, count, length),
        )
        shared = _new_shared(weights, length, out.shape[1], group.keep.shape[1])
        embed(weights, numbers, 0, shared.x, first)
        if len(weights.project) > 1:
            _first_layer(weights, group.keep[0], first, shared)
        hidden = np.empty(length, np.int64)
        for start in range(0, count, GROUP):
            some = min(GROUP, count - start)
            for place in range(some):
                x, keep = group.x[place], group.keep[place]
                group.position[place] = _hide(weights, kept[start + place], hidden, keep, first, shared, x, scratch)
            read(weights, group, some, scratch, out[start : start + some])

    return hide


def _build_look() -> Callable[..., Any]:
    version = SOURCES

    @entry_point
    def look(weights: Weights, numbers: NDArray[np.int64], scores: Floats) -> None:
        """Scores of the deepest attention before its softmax. numbers: (T,). scores: (h, T, T)."""
        len(version)
        length, deepest = len(numbers), len(weights.project) - 1
        scratch, group = new_scratch(weights, length), new_group(weights, 1, length)
        x = group.x[0]
        embed(weights, numbers, 0, x, scratch)
        for layer in range(deepest):
            attend(weights, layer, x, group.keep[0], scratch)
        project(weights, deepest, x, scratch)
        scores[:] = scratch.scores[:, :, :length]

    return look


predict, hide, look = _build_predict(), _build_hide(), _build_look()
