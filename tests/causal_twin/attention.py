"""Attention matrices to learn from: real ones of the demo model, and random ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def real_attention() -> list[NDArray[np.float32]]:
    """Deepest attention of the demo model for ml-100k users: both heads at 10, 20, 30 and 50 tokens."""
    with np.load(Path(__file__).with_name("attention.npz")) as stored:
        return [head for name in stored.files for head in stored[name]]


def random_attention(rng: np.random.Generator, n: int, sharpness: float = 1.5) -> NDArray[np.float64]:
    """Softmax of normal logits: each token has its own taste, and some tokens are liked by all."""
    logits = sharpness * (rng.normal(size=(n, n)) + 0.7 * rng.normal(size=n))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)
