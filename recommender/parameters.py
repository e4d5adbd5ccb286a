"""A model's weights, rearranged once so that scoring has less to do.

Notation: x is a row vector of the hidden size H; a head of width d has query, key and value maps Wq, Wk, Wv (H, d) and
its rows Wo (d, H) of the dense map. Four identities are used:

- the 1/sqrt(d) of attention goes into the query map;
- the deepest layer is needed at one position only. There, scores q k^T = x_q (Wq Wk^T) x_j^T need no keys at all, and
  sum_j p_j (x_j Wv) Wo = (sum_j p_j x_j) (Wv Wo) needs no values;
- a key bias adds the same number to all scores of a query, which softmax takes away again;
- a bias that is added to a residual, (x + b) + y W, is added by the norm that makes x, and whatever else reads x has it
  taken off its own bias; the sum is then formed in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from recommender.architecture import Head

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from recommender.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Norm:
    """A LayerNorm's affine map."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise the rows of x (..., H)."""
        return torch.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer layer. Matrices are stored (in, out), row by row: x @ matrix."""

    query_key_value: Tensor
    """(H, 3 H), queries scaled by 1/sqrt(d)."""

    query_key_value_bias: Tensor
    dense: Tensor
    attention_norm: Norm
    inner: Tensor
    inner_bias: Tensor
    outer: Tensor
    forward_norm: Norm
    activation: Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Pointer:
    """The deepest layer's attention as one position sees it; see the module's identities."""

    query: Tensor
    """(H, heads * H): x_q to the vector of each head whose product with x_j is the score of j."""

    query_bias: Tensor
    context: Tensor
    """(heads * H, H): each head's mean of x to its share of the dense output."""

    context_bias: Tensor


@dataclass(frozen=True, slots=True)
class Parameters:
    """All of a model, on its device."""

    architecture: Architecture
    items: Tensor
    """(embedding rows, H)."""

    positions: Tensor
    """(positions, H)."""

    embedding_norm: Norm
    layers: tuple[Layer, ...]
    pointer: Pointer
    head: tuple[Tensor, Tensor, Norm] | None
    """Weight (H, H), bias and norm of the output transformation, where the model has one."""

    item_bias: Tensor | None
    """(items,)."""


# All in place.
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": torch.ops.aten.gelu_.default,
    "relu": torch.relu_,
    "swish": torch.ops.aten.silu_.default,
    "tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
}


def prepare(architecture: Architecture, weights: Mapping[str, Tensor], device: str, dtype: torch.dtype) -> Parameters:
    """Rearrange a bundle's weights. Products of matrices are formed in 64 bits."""

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device=device, dtype=dtype).contiguous()

    def norm(name: str, extra: Tensor | None = None) -> Norm:
        bias = weights[f"{name}.bias"].double()
        bias = bias if extra is None else bias + extra
        return Norm(move(weights[f"{name}.weight"]), move(bias), architecture.layer_norm_eps)

    names = [f"trm_encoder.layer.{index}" for index in range(architecture.layers)]
    # What each layer's dense bias adds is added by the norm before it; the deepest layer is not computed that way.
    shifts = [weights[f"{name}.multi_head_attention.dense.bias"].double() for name in names[:-1]] + [None]
    layers = tuple(
        _layer(architecture, weights, name, shift=shift, following=following, move=move, norm=norm)
        for name, shift, following in zip(names, shifts, [*shifts[1:], None], strict=True)
    )
    head = None
    if architecture.head is Head.TRANSFORMED:
        head = (move(weights["output_ffn.weight"].T), move(weights["output_ffn.bias"]), norm("output_ln"))
    return Parameters(
        architecture=architecture,
        items=move(weights["item_embedding.weight"]),
        positions=move(weights["position_embedding.weight"]),
        embedding_norm=norm("LayerNorm", shifts[0]),
        layers=layers,
        pointer=Pointer(*(move(tensor) for tensor in _pointer(architecture, weights))),
        head=head,
        item_bias=None if head is None else move(weights["output_bias"]),
    )


def _layer(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    name: str,
    *,
    shift: Tensor | None,
    following: Tensor | None,
    move: Callable[[Tensor], Tensor],
    norm: Callable[[str, Tensor | None], Norm],
) -> Layer:
    """One layer, whose input comes with ``shift`` added and whose output is to have ``following`` added."""
    attention, forward = f"{name}.multi_head_attention", f"{name}.feed_forward"
    scale = (architecture.hidden_size / architecture.heads) ** -0.5
    maps = [weights[f"{attention}.{part}.weight"].double().T for part in ("query", "key", "value")]
    biases = [weights[f"{attention}.{part}.bias"].double() for part in ("query", "key", "value")]
    project, project_bias = torch.cat([maps[0] * scale, *maps[1:]], 1), torch.cat([biases[0] * scale, *biases[1:]])
    inner, inner_bias = weights[f"{forward}.dense_1.weight"].double().T, weights[f"{forward}.dense_1.bias"].double()
    outer_bias = weights[f"{forward}.dense_2.bias"].double()
    return Layer(
        query_key_value=move(project),
        query_key_value_bias=move(project_bias if shift is None else project_bias - _product(shift, project)),
        dense=move(weights[f"{attention}.dense.weight"].T),
        attention_norm=norm(f"{attention}.LayerNorm", outer_bias),
        inner=move(inner),
        inner_bias=move(inner_bias - _product(outer_bias, inner)),
        outer=move(weights[f"{forward}.dense_2.weight"].T),
        forward_norm=norm(f"{forward}.LayerNorm", following),
        activation=_ACTIVATIONS[architecture.activation],
    )


def _pointer(architecture: Architecture, weights: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The deepest layer's pointer in 64 bits: query, query bias, context, context bias."""
    name = f"trm_encoder.layer.{architecture.layers - 1}.multi_head_attention"
    hidden, heads = architecture.hidden_size, architecture.heads
    width = hidden // heads
    q, k, v, o = (weights[f"{name}.{part}.weight"].double().T for part in ("query", "key", "value", "dense"))
    q_bias, v_bias, o_bias = (weights[f"{name}.{part}.bias"].double() for part in ("query", "value", "dense"))
    cuts = [slice(head * width, (head + 1) * width) for head in range(heads)]
    scale = width**-0.5
    return (
        torch.cat([_product(q[:, cut], k[:, cut].T) * scale for cut in cuts], 1),
        torch.cat([_product(q_bias[cut], k[:, cut].T) * scale for cut in cuts]),
        torch.cat([_product(v[:, cut], o[cut]) for cut in cuts]),
        _product(v_bias, o) + o_bias,
    )


def _product(left: Tensor, right: Tensor) -> Tensor:
    """(..., K) @ (K, N), added up along K: BLAS adds up as it pleases, and other bits may be rounded to another number."""
    total = torch.zeros(1, dtype=right.dtype)
    for step, row in enumerate(right):
        total = total + left[..., step, None] * row
    return total
