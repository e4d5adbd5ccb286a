"""BERT4Rec and SASRec written out plainly, the twins of the fast ones: every position, every layer, one history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recommender.architecture import Architecture, Head, Model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ACTIVATIONS = {
    "gelu": lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
    "relu": torch.relu,
    "swish": lambda x: x * torch.sigmoid(x),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


class PlainModel:
    """Scores and attention in 64 bits."""

    def __init__(self, shape: Architecture, weights: Mapping[str, Any]) -> None:
        self.shape = shape
        self.weights = {name: torch.as_tensor(np.asarray(value)).double() for name, value in weights.items()}

    def scores(
        self, items: Sequence[int], positions: Sequence[int] | None = None, hidden: Sequence[int] = ()
    ) -> np.ndarray:
        """Scores of all items after a history of item numbers, some of them hidden from attention by position."""
        fed = [*items, self.shape.items] if self.shape.model is Model.BERT4REC else list(items)
        places = [*(positions if positions is not None else range(len(items)))]
        if len(fed) > len(places):
            places.append(places[-1] + 1 if places else 0)
        x, _ = self.encode(fed, places, hidden)
        visible = [place for place in range(len(fed)) if place not in hidden]
        state = x[visible[-1]]
        if self.shape.head is Head.TRANSFORMED:
            state = self._norm("output_ln", torch.nn.functional.gelu(self._linear("output_ffn", state)))
        table = self.weights["item_embedding.weight"][: self.shape.items]
        bias = self.weights["output_bias"] if self.shape.head is Head.TRANSFORMED else 0
        return (table @ state + bias).numpy()

    def encode(
        self, fed: Sequence[int], positions: Sequence[int], hidden: Sequence[int] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The deepest layer's output (T, H) and attention (heads, T, T)."""
        items = self.weights["item_embedding.weight"][list(fed)]
        x = self._norm("LayerNorm", items + self.weights["position_embedding.weight"][list(positions)])
        attention = torch.empty(0)
        for index in range(self.shape.layers):
            name = f"trm_encoder.layer.{index}.multi_head_attention"
            query, key, value = (self._heads(self._linear(f"{name}.{part}", x)) for part in ("query", "key", "value"))
            scores = query @ key.transpose(1, 2) / (self.shape.hidden_size / self.shape.heads) ** 0.5
            scores[:, :, list(hidden)] = -1e4
            if self.shape.causal:
                scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -1e4)
            attention = scores.softmax(-1)
            mixed = (attention @ value).transpose(0, 1).reshape(len(fed), -1)
            x = self._norm(f"{name}.LayerNorm", x + self._linear(f"{name}.dense", mixed))
            name = f"trm_encoder.layer.{index}.feed_forward"
            inner = ACTIVATIONS[self.shape.activation](self._linear(f"{name}.dense_1", x))
            x = self._norm(f"{name}.LayerNorm", x + self._linear(f"{name}.dense_2", inner))
        return x, attention

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(len(x), self.shape.heads, -1).transpose(0, 1)

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return torch.layer_norm(x, weight.shape, weight, bias, self.shape.layer_norm_eps)
