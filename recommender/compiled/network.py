"""The compiled passes as `recommender.engine` calls them: torch tensors in and out, as `recommender.network` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from recommender.compiled import passes
from recommender.compiled.weights import weights_of
from recommender.network import attention_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from recommender.compiled.weights import Floats
    from recommender.network import Hiding
    from recommender.parameters import Parameters


class CompiledNetwork:
    """A model's forward passes on the CPU in 32 bits, without a catalogue: item numbers in, hidden states out.

    Safe in threads; a pass holds no lock of the interpreter, and its memory is its own.
    """

    side_by_side: Final = True
    """Whether passes are better run side by side, by several threads, than joined: starting one costs next to nothing."""

    def __init__(self, parameters: Parameters) -> None:
        """Pack the parameters, which are 32 bits and on the CPU."""
        self._weights = weights_of(parameters)
        self._hidden = parameters.architecture.hidden_size
        self._padded = len(self._weights.pointer_context_bias)

    def predict(self, items: Tensor, *, first_position: int = 0) -> Tensor:
        """(B, H) hidden states after (B, T) item numbers, as `recommender.network.Network.predict`."""
        out = np.empty((len(items), self._padded), np.float32)
        passes.predict(self._weights, np.ascontiguousarray(items.numpy()), first_position, out)
        return self._states(out)

    def predict_hiding(self, parts: Sequence[Hiding]) -> list[Tensor]:
        """(B, H) hidden states for each part, one for each version, as `recommender.network.Network.predict_hiding`."""
        found = []
        for part in parts:
            out = np.empty((len(part.keep), self._padded), np.float32)
            passes.hide(self._weights, part.items.numpy(), part.keep.numpy(), out)
            found.append(self._states(out))
        return found

    def attention(self, items: Tensor) -> Tensor:
        """Attention of the deepest layer over (T,) item numbers: (h, T, T), rows sum to 1, 64 bits."""
        scores = np.empty((self._weights.heads, len(items), len(items)), np.float32)
        passes.look(self._weights, items.numpy(), scores)
        return attention_of(torch.from_numpy(scores), causal=self._weights.causal)

    def _states(self, padded: Floats) -> Tensor:
        return torch.from_numpy(padded[:, : self._hidden])
