"""The gradient of the margin with respect to one gate per item: what an item is worth to the target, for one backward.

A gate multiplies an item's weight before every softmax of every layer: 1 is the model as it is, 0 hides the item, which
is the intervention MASK_OUT. The slope at 1 therefore predicts the effect of hiding an item, sign included, where
attention predicts only the size. A gate g is the term log g on the scores of a key, and at g = 1 the slopes of both are
the same, so the term is what is differentiated here.

The forward pass is written out once more, without the shared and overwritten memory of `recommender.network`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from recommender.network import HIDDEN

if TYPE_CHECKING:
    from torch import Tensor

    from recommender.parameters import Layer, Parameters


def gated_prediction(parameters: Parameters, items: Tensor, terms: Tensor) -> Tensor:
    """What the model predicts after a history whose items have gates.

    Args:
        parameters: the model.
        items: (T,) item numbers, the mask last where the model has one.
        terms: (T,) logarithms of the gates.

    Returns:
        (1, H) as from `Network.predict`, differentiable in the terms.
    """
    architecture = parameters.architecture
    x = parameters.embedding_norm(parameters.items[items] + parameters.positions[: len(items)])
    bias = terms.expand(len(items), -1)
    if architecture.causal:
        bias = bias + torch.ones_like(bias).triu(1) * HIDDEN
    for layer in parameters.layers[:-1]:
        parts = torch.addmm(layer.query_key_value_bias, x, layer.query_key_value)
        query, key, value = parts.view(len(items), 3, architecture.heads, -1).permute(1, 2, 0, 3)
        mixed = (query @ key.transpose(1, 2) + bias).softmax(-1) @ value
        x = layer.attention_norm(x + mixed.transpose(0, 1).flatten(1) @ layer.dense)
        x = _feed_forward(layer, x)
    pointer, last = parameters.pointer, parameters.layers[-1]
    at = x[-1:]
    query = (at @ pointer.query + pointer.query_bias).view(architecture.heads, -1)
    context = (query @ x.T + terms).softmax(-1) @ x
    at = last.attention_norm(at + pointer.context_bias + context.reshape(1, -1) @ pointer.context)
    at = _feed_forward(last, at)
    if parameters.head is not None:
        weight, bias, norm = parameters.head
        at = norm(torch.nn.functional.gelu(at @ weight + bias))
    return at


def _feed_forward(layer: Layer, x: Tensor) -> Tensor:
    inner = layer.activation(x @ layer.inner + layer.inner_bias)  # in place, on a value that nothing else needs
    return layer.forward_norm(x + inner @ layer.outer)
