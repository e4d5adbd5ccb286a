"""From hidden states to answers about the catalogue, a block of items at a time.

A million items for a thousand histories would be four gigabytes of scores; only those of `BLOCK_ITEMS` items exist at
any time. The blocks are those of the catalogue and not of the question, so an item's score has the same bits always.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np
import torch

from explainer.model import NEAR_TIE, Outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    _Listed: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32]]

BLOCK_ITEMS: Final = 32_768
"""Items that are scored at once."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an item stands in B worlds among those that were looked at."""

    own: Tensor
    """(B,) its scores."""

    higher: Tensor
    """(B,) how many are ahead of it by more than NEAR_TIE, 64-bit integers."""

    best: Tensor
    """(B,) the largest distance by which one is ahead, negative where none is."""

    odds: Tensor
    """(B,) 1 and the exponentials of all distances, 64 bits."""


class ItemScores(Protocol):
    """Scores of items, by number, for hidden states; an item's are the same in any company."""

    def __len__(self) -> int:
        """Items, the padding item among them."""

    def block(self, hidden: Tensor, start: int, stop: int) -> Tensor:
        """(B, stop - start) scores in 32 bits of some items for (B, H) hidden states."""

    def tally(self, scores: Tensor, standing: Standing) -> None:
        """Add a block's (B, n) scores, minus infinity for what is no candidate, to an item's standing; they are used up."""


class TorchScores:
    """Scores on any device and in any precision."""

    def __init__(self, items: Tensor, bias: Tensor | None, min_rows: int) -> None:
        """Take the embeddings (items, H) and biases (items,) by item number, and the fewest rows of a product."""
        self._items = items
        self._bias = bias
        self.min_rows = min_rows

    def __len__(self) -> int:
        """Items, the padding item among them."""
        return len(self._items)

    def block(self, hidden: Tensor, start: int, stop: int) -> Tensor:
        """(B, stop - start) scores in 32 bits of some items for (B, H) hidden states."""
        items = self._items[start:stop].T
        count = len(hidden)
        lacking = self.min_rows - count
        rows = torch.constant_pad_nd(hidden, (0, 0, 0, lacking)) if lacking > 0 else hidden
        if self._bias is None:
            return torch.mm(rows, items)[:count].float()
        return torch.addmm(self._bias[start:stop], rows, items)[:count].float()

    def tally(self, scores: Tensor, standing: Standing) -> None:
        """Add a block's (B, n) scores, minus infinity for what is no candidate, to an item's standing; they are used up."""
        ahead = scores.sub_(standing.own[:, None])
        # How many are ahead by more than that; counting signs takes half the time of counting booleans.
        standing.higher.add_((ahead - NEAR_TIE).sign_().clamp_min_(0).sum(1).long())
        torch.maximum(standing.best, ahead.amax(1), out=standing.best)
        standing.odds.add_(ahead.exp_().sum(1))


class Scorer:
    """Ranks and lists of a catalogue, given what the network predicts."""

    def __init__(self, scores: ItemScores, block: int = BLOCK_ITEMS) -> None:
        """Take the catalogue's scores, by item number; number 0 is never a candidate."""
        self._scores = scores
        self._block_items = block
        self._starts = range(0, len(scores), block)

    def all(self, hidden: Tensor) -> Tensor:
        """(B, items) scores of (B, H) hidden states, padding item included."""
        blocks = [self._block(hidden, start) for start in self._starts]
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1)

    def sample(self, hidden: Tensor) -> Tensor:
        """(B, block) scores of the first block of items."""
        return self._block(hidden, 0)

    def outcomes(self, hidden: Tensor, target: int, excluded: Tensor, top_k: int) -> Outcomes:
        """What becomes of the target in B worlds.

        Args:
            hidden: (B, H) predictions.
            target: item number.
            excluded: item numbers that are no candidates, the padding item among them.
            top_k: the place that the margin is measured against.
        """
        start = target - target % self._block_items
        block = self._block(hidden, start)
        own = block[:, target - start].clone()
        others = torch.cat([excluded, excluded.new_tensor([target])])
        standing = Standing(
            own=own,
            higher=torch.zeros(len(own), dtype=torch.long, device=own.device),
            best=torch.full_like(own, -math.inf),
            odds=torch.ones(len(own), dtype=torch.float64, device=own.device),
        )
        leading = own.new_full((len(own), top_k), -math.inf)
        for scores in self._blocks_without(hidden, others, {start: block}):
            if top_k > 1:
                top = scores.topk(min(top_k, scores.shape[1]), 1)[0] - own[:, None]
                leading = torch.cat([leading, top], 1).topk(top_k, 1)[0]
            self._scores.tally(scores, standing)
        margin = -leading[:, -1] if top_k > 1 else -standing.best
        return Outcomes(
            target_score=_numpy(own.double()),
            target_rank=_numpy(standing.higher + 1),
            target_probability=_numpy(standing.odds.reciprocal_()),
            margin=_numpy(margin.double()),
        )

    def top(
        self, hidden: Tensor, excluded: Sequence[NDArray[np.int64]], k: Sequence[int]
    ) -> list[list[tuple[int, float]]]:
        """Number and score of the best candidates of (B, H) predictions, each so many, equal scores by number.

        Args:
            hidden: (B, H) predictions.
            excluded: for each, the item numbers that are no candidates, the padding item among them.
            k: for each, how many.
        """
        best: list[list[_Listed]] = [[] for _ in k]
        for start in self._starts:
            for row, scores in enumerate(_numpy(self._block(hidden, start))):
                out = excluded[row]
                if len(self._starts) > 1:
                    out = out[(out >= start) & (out < start + len(scores))] - start
                scores[out] = -np.inf
                best[row].append(_best(scores, start, k[row]))
        return [_merged(blocks, most) for blocks, most in zip(best, k, strict=True)]

    def places(self, hidden: Tensor, excluded: Tensor, items: Sequence[int]) -> list[tuple[int, float]]:
        """Rank in the order of `top`, from 1, and score of each item number, for one prediction (1, H)."""
        own = torch.stack([self._score_of(hidden, item)[0] for item in items])[:, None]
        wanted = torch.tensor(items, device=hidden.device)[:, None]
        before = torch.zeros(len(items), dtype=torch.long, device=hidden.device)
        for start, scores in zip(self._starts, self._blocks_without(hidden, excluded), strict=True):
            number = torch.arange(start, start + scores.shape[1], device=hidden.device)
            before += ((scores > own) | ((scores == own) & (number < wanted))).sum(1)
        return list(zip((before + 1).tolist(), own[:, 0].tolist(), strict=True))

    def _blocks_without(
        self, hidden: Tensor, excluded: Tensor, ready: Mapping[int, Tensor] = MappingProxyType({})
    ) -> Iterator[Tensor]:
        """(B, block) scores, -inf at the excluded numbers; blocks that are ready already by their first number."""
        for start in self._starts:
            scores = ready[start] if start in ready else self._block(hidden, start)
            if len(self._starts) == 1:
                within = excluded
            else:
                within = excluded[(excluded >= start) & (excluded < start + scores.shape[1])] - start
            scores.index_fill_(1, within, -math.inf)
            yield scores

    def _score_of(self, hidden: Tensor, item: int) -> Tensor:
        """(B,) the item's scores, with the bits that they have among all others."""
        start = item - item % self._block_items
        return self._block(hidden, start)[:, item - start]

    def _block(self, hidden: Tensor, start: int) -> Tensor:
        return self._scores.block(hidden, start, min(start + self._block_items, len(self._scores)))


def _best(scores: NDArray[np.float32], start: int, k: int) -> _Listed:
    """Numbers and scores of a block's k best, and of all that equal the last of them, in no order."""
    least = np.partition(scores, -k)[-k] if k < len(scores) else -np.inf
    found = np.flatnonzero((scores >= least) & (scores > -np.inf))
    return found + start, scores[found]


def _merged(blocks: Sequence[_Listed], k: int) -> list[tuple[int, float]]:
    number, value = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    order = np.lexsort((number, -value))[:k]
    return list(zip(number[order].tolist(), value[order].tolist(), strict=True))


def _numpy(tensor: Tensor) -> NDArray[Any]:
    values: NDArray[Any] = tensor.cpu().numpy()
    return values
