"""The catalogue's scores as `recommender.scoring` calls them: torch tensors in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from recommender.compiled import catalogue

if TYPE_CHECKING:
    from torch import Tensor

    from recommender.scoring import Standing


class CompiledScores:
    """Scores of a catalogue's items for hidden states, on the CPU in 32 bits."""

    def __init__(self, items: Tensor, bias: Tensor | None) -> None:
        """Take the embeddings (items, H) and biases (items,) by item number; they are not copied."""
        self._items = items.numpy()
        self._bias = np.zeros(len(items), np.float32) if bias is None else bias.numpy()

    def __len__(self) -> int:
        """Items, the padding item among them."""
        return len(self._items)

    def block(self, hidden: Tensor, start: int, stop: int) -> Tensor:
        """(B, stop - start) scores of some items for (B, H) hidden states."""
        items, bias = self._items[start:stop], self._bias[start:stop]
        out = np.empty((len(hidden), len(items)), np.float32)
        catalogue.score(items, bias, np.ascontiguousarray(hidden.numpy()), out)
        return torch.from_numpy(out)

    def tally(self, scores: Tensor, standing: Standing) -> None:
        """Add a block's (B, N) scores, minus infinity for what is no candidate, to what is known of an item."""
        catalogue.tally(
            scores.numpy(),
            standing.own.numpy(),
            standing.higher.numpy(),
            standing.best.numpy(),
            standing.odds.numpy(),
        )
