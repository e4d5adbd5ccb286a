"""The steps of a pass over one history of T items, in 32 bits; notation as in `recommender.compiled.weights`.

T' is T padded to a multiple of a tile's width. x is (T, H'), zero beyond H. keep is (T',): 1 for the keys that are seen, 0 for
those that are hidden and beyond T.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from explainer.compiling import allocating, inner
from recommender.compiled.functions import GELU, activate, add_scaled, copy, dot, normalise, scale, weigh
from recommender.compiled.products import add_product, product
from recommender.compiled.tiles import ROWS, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.compiled.weights import Floats, Weights

FORWARD_ROWS = 64
"""Rows that go through a feed-forward block at once: its wide inner values then stay near the processor."""

GROUP = ROWS
"""Histories whose predictions are read together: a row alone takes as long to fetch the weights as a tile of them."""

_whole = inner(whole)
_ZERO, _ONE, _NO_KEY = np.float32(0), np.float32(1), np.float32("-inf")


class Scratch(NamedTuple):
    """Memory of one pass over histories of up to T items."""

    joint: Floats
    """(T, 3 h d') queries, keys and values."""

    keys: Floats
    """(d', T') keys of a head, turned."""

    scores: Floats
    """(h, T, T')."""

    context: Floats
    """(T, h d')."""

    inner: Floats
    """(FORWARD_ROWS, I')."""

    queries: Floats
    """(GROUP, h H') of the pointer."""

    means: Floats
    """(GROUP, h H') means of x, head by head."""

    at: Floats
    """(GROUP, H') the positions where the predictions are read."""

    mixed: Floats
    """(H',)."""

    weighted: Floats
    """(T, T') weights of a head's keys."""

    totals: Floats
    """(max(T, GROUP),) one for each row, as have the two that follow."""

    norm_means: Floats
    norm_factors: Floats

    zeros: Floats
    """As many as the widest product without a bias has columns."""


class Group(NamedTuple):
    """Histories of T items at the end of their whole layers, to be read together."""

    x: Floats
    """(GROUP, T, H')."""

    keep: Floats
    """(GROUP, T')."""

    position: NDArray[np.int64]
    """(GROUP,) where each is read."""


@allocating
def new_group(weights: Weights, count: int, length: int) -> Group:
    """No more than GROUP histories with nothing hidden, to be read at the newest position."""
    histories = min(count, GROUP)
    group = Group(
        np.zeros((histories, length, len(weights.pointer_context_bias)), np.float32),
        np.zeros((histories, _whole(length)), np.float32),
        np.full(histories, length - 1),
    )
    group.keep[:, :length] = _ONE
    return group


@allocating
def new_scratch(weights: Weights, length: int) -> Scratch:
    """Memory for histories of some length."""
    heads, padded = weights.heads, len(weights.pointer_context_bias)
    keys, across = _whole(length), heads * weights.width
    return Scratch(
        np.empty((length, 3 * across), np.float32),
        np.zeros((weights.width, keys), np.float32),
        np.empty((heads, length, keys), np.float32),
        np.empty((length, across), np.float32),
        np.empty((FORWARD_ROWS, weights.inner_bias.shape[1]), np.float32),
        np.empty((GROUP, heads * padded), np.float32),
        np.empty((GROUP, heads * padded), np.float32),
        np.empty((GROUP, padded), np.float32),
        np.empty(padded, np.float32),
        np.empty((length, keys), np.float32),
        np.empty(max(length, GROUP), np.float32),
        np.empty(max(length, GROUP), np.float32),
        np.empty(max(length, GROUP), np.float32),
        np.zeros(max(keys, padded, weights.width), np.float32),
    )


@inner
def embed(weights: Weights, numbers: NDArray[np.int64], first_position: int, x: Floats, scratch: Scratch) -> None:
    """Embeddings of items and positions, normalised, into x."""
    for t in range(len(numbers)):
        item, position = weights.items[numbers[t]], weights.positions[first_position + t]
        for c in range(len(item)):
            x[t, c] = item[c] + position[c]
    _normalise(x, weights.embedding_norm, weights, scratch)


@inner
def _normalise(x: Floats, norm: Floats, weights: Weights, scratch: Scratch) -> None:
    normalise(x, norm, weights.eps, scratch.norm_means, scratch.norm_factors)


@inner
def project(weights: Weights, layer: int, x: Floats, scratch: Scratch) -> None:
    """Queries, keys and values, and the scores of all keys for all queries, head by head."""
    length, width = len(x), weights.width
    product(x, weights.project[layer], weights.project_bias[layer], scratch.joint)
    for head in range(weights.heads):
        query, key = head * width, (weights.heads + head) * width
        for t in range(length):
            for c in range(width):
                scratch.keys[c, t] = scratch.joint[t, key + c]
        product(scratch.joint[:, query : query + width], scratch.keys, scratch.zeros, scratch.scores[head])
        if weights.causal:
            for t in range(length):
                for later in range(t + 1, length):
                    scratch.scores[head, t, later] = _NO_KEY


@inner
def values_at(weights: Weights, head: int) -> int:
    """First column of a head's values among queries, keys and values."""
    return (2 * weights.heads + head) * weights.width


@inner
def attend(weights: Weights, layer: int, x: Floats, keep: Floats, scratch: Scratch) -> None:
    """A whole layer, in place."""
    project(weights, layer, x, scratch)
    for head in range(weights.heads):
        weigh(scratch.scores[head], keep, scratch.weighted, scratch.totals)
        scale(scratch.weighted, scratch.totals)
        value, start = values_at(weights, head), head * weights.width
        values = scratch.joint[:, value : value + weights.width]
        product(scratch.weighted, values, scratch.zeros, scratch.context[:, start : start + weights.width])
    add_product(scratch.context, weights.dense[layer], x)
    feed_forward(weights, layer, x, scratch)


@inner
def feed_forward(weights: Weights, layer: int, x: Floats, scratch: Scratch) -> None:
    """What follows attention in a layer, for any number of rows, in place: norm, the inner values, norm."""
    _normalise(x, weights.attention_norm[layer], weights, scratch)
    for start in range(0, len(x), len(scratch.inner)):
        rows = x[start : start + len(scratch.inner)]
        wide = scratch.inner[: len(rows)]
        product(rows, weights.inner[layer], weights.inner_bias[layer], wide)
        for t in range(len(rows)):
            activate(weights.activation, wide[t])
        add_product(wide, weights.outer[layer], rows)
    _normalise(x, weights.forward_norm[layer], weights, scratch)


@inner
def _look_back(query: Floats, x: Floats, keep: Floats, scratch: Scratch, mean: Floats) -> None:
    """The mean of x as a query weighs its rows. query, mean: (H',)."""
    scores, weighted = scratch.scores[0], scratch.weighted[:1]
    for t in range(len(x)):
        scores[0, t] = dot(query, x[t])
    weigh(scores[:1], keep, weighted, scratch.totals)
    scale(weighted, scratch.totals)
    mean[:] = _ZERO
    for t in range(len(x)):
        add_scaled(x[t], weighted[0, t], mean)


@inner
def read(weights: Weights, group: Group, count: int, scratch: Scratch, out: Floats) -> None:
    """The deepest layer and the output head, for the first histories of a group, each at one position. out: (count, H')."""
    padded = out.shape[1]
    at, queries, means = scratch.at[:count], scratch.queries[:count], scratch.means[:count]
    for place in range(count):
        copy(at[place], group.x[place, group.position[place]])
    product(at, weights.pointer_query, weights.pointer_query_bias, queries)
    for place in range(count):
        for head in range(weights.heads):
            columns = slice(head * padded, (head + 1) * padded)
            _look_back(queries[place, columns], group.x[place], group.keep[place], scratch, means[place, columns])
        for c in range(padded):
            at[place, c] += weights.pointer_context_bias[c]
    add_product(means, weights.pointer_context, at)
    feed_forward(weights, len(weights.inner) - 1, at, scratch)
    if len(weights.head) == 0:
        for place in range(count):
            copy(out[place], at[place])
        return
    product(at, weights.head, weights.head_bias, out)
    for place in range(count):
        activate(GELU, out[place])
    _normalise(out, weights.head_norm, weights, scratch)
