"""A model's parameters as the compiled passes read them: in panels of a tile's width, padded with zeros to whole panels.

H hidden size, I inner size, h heads of width d; H', I' and d' the same, padded. P(N, K) is a matrix (K, N) in panels,
(N' / COLUMNS, K, COLUMNS).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recommender.architecture import ACTIVATIONS
from recommender.compiled.tiles import COLUMNS, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from recommender.parameters import Layer, Norm, Parameters

Floats: TypeAlias = NDArray[np.float32]


class Weights(NamedTuple):
    """Arrays of 32-bit floats. Those of layers have one entry per layer."""

    items: Floats
    """(embedding rows, H), the bundle's own memory."""

    positions: Floats
    """(positions, H)."""

    embedding_norm: Floats
    """(2, H), as every norm: weight and bias."""

    project: Floats
    """P(3 h d', H): queries, keys and values, each head by head."""

    project_bias: Floats
    dense: Floats
    """P(H, h d')."""

    attention_norm: Floats
    inner: Floats
    """P(I, H)."""

    inner_bias: Floats
    outer: Floats
    """P(H, I)."""

    forward_norm: Floats
    pointer_query: Floats
    """P(h H', H)."""

    pointer_query_bias: Floats
    pointer_context: Floats
    """P(H, h H')."""

    pointer_context_bias: Floats
    """(H',)."""

    head: Floats
    """P(H, H), or without rows where the model has no head."""

    head_bias: Floats
    head_norm: Floats
    eps: np.float32
    heads: int
    width: int
    """d'."""

    activation: int
    """Place in `ACTIVATIONS`."""

    causal: bool


def weights_of(parameters: Parameters) -> Weights:
    """Pack 32-bit parameters on the CPU. The table of items is not copied."""
    architecture = parameters.architecture
    hidden, heads = architecture.hidden_size, architecture.heads
    width, padded = hidden // heads, whole(hidden)
    pointer = parameters.pointer
    head = parameters.head
    by_head = (heads, width, whole(width))
    by_hidden = (heads, hidden, padded)

    def projected(matrix: Tensor) -> Floats:
        return _split(matrix.numpy(), -1, (3 * heads, *by_head[1:]))

    return Weights(
        items=parameters.items.numpy(),
        positions=parameters.positions.numpy(),
        embedding_norm=_norm(parameters.embedding_norm),
        project=np.stack([_panels(projected(layer.query_key_value)) for layer in parameters.layers]),
        project_bias=np.stack([projected(layer.query_key_value_bias) for layer in parameters.layers]),
        dense=np.stack([_panels(_split(layer.dense.numpy(), 0, by_head)) for layer in parameters.layers]),
        **_forward(parameters.layers),
        pointer_query=_panels(_split(pointer.query.numpy(), -1, by_hidden)),
        pointer_query_bias=_split(pointer.query_bias.numpy(), -1, by_hidden),
        pointer_context=_panels(_split(pointer.context.numpy(), 0, by_hidden)),
        pointer_context_bias=_padded(pointer.context_bias.numpy(), 0),
        head=np.empty((0, hidden, COLUMNS), np.float32) if head is None else _panels(head[0].numpy()),
        head_bias=np.empty(0, np.float32) if head is None else _padded(head[1].numpy(), 0),
        head_norm=np.empty((0, hidden), np.float32) if head is None else _norm(head[2]),
        eps=np.float32(architecture.layer_norm_eps),
        heads=heads,
        width=whole(width),
        activation=ACTIVATIONS.index(architecture.activation),
        causal=architecture.causal,
    )


def _forward(layers: Sequence[Layer]) -> dict[str, Floats]:
    return {
        "attention_norm": np.stack([_norm(layer.attention_norm) for layer in layers]),
        "inner": np.stack([_panels(layer.inner.numpy()) for layer in layers]),
        "inner_bias": np.stack([_padded(layer.inner_bias.numpy(), 0) for layer in layers]),
        "outer": np.stack([_panels(layer.outer.numpy()) for layer in layers]),
        "forward_norm": np.stack([_norm(layer.forward_norm) for layer in layers]),
    }


def _norm(norm: Norm) -> Floats:
    return np.stack([norm.weight.numpy(), norm.bias.numpy()])


def _panels(matrix: Floats) -> Floats:
    """(K, N) -> (N' / COLUMNS, K, COLUMNS)."""
    padded = _padded(matrix, 1)
    return np.ascontiguousarray(padded.reshape(len(padded), -1, COLUMNS).transpose(1, 0, 2))


def _split(array: Floats, axis: int, parts: tuple[int, int, int]) -> Floats:
    """An axis of (count, width), every part of it padded with zeros to another width."""
    count, width, padded = parts
    axis %= array.ndim
    shape = array.shape
    apart = array.reshape(*shape[:axis], count, width, *shape[axis + 1 :])
    filled = np.zeros((*shape[:axis], count, padded, *shape[axis + 1 :]), np.float32)
    filled[(slice(None),) * (axis + 1) + (slice(width),)] = apart
    return filled.reshape(*shape[:axis], count * padded, *shape[axis + 1 :])


def _padded(array: Floats, axis: int) -> Floats:
    return _split(array, axis, (1, array.shape[axis], whole(array.shape[axis])))
