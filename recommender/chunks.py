"""Batches cut so that the intermediate values of a pass stay in the processor's cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

CHUNK_TOKENS: Final = 2_560
"""Positions that are computed at once."""


def chunks(batches: Sequence[Tensor]) -> Iterator[list[tuple[int, slice]]]:
    """Some (B, T) batches of one T, in parts of no more than CHUNK_TOKENS positions, or of one row: each piece's batch and rows."""
    most = max(CHUNK_TOKENS // batches[0].shape[1], 1)
    chunk: list[tuple[int, slice]] = []
    room = most
    for place, batch in enumerate(batches):
        start = 0
        while start < len(batch):
            taken = min(room, len(batch) - start)
            chunk.append((place, slice(start, start + taken)))
            start, room = start + taken, room - taken
            if not room:
                yield chunk
                chunk, room = [], most
    if chunk:
        yield chunk


def joined(parts: Sequence[Tensor]) -> Tensor:
    """The rows of all parts."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
