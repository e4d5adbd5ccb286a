"""The forward passes in torch, for any device and precision: BERT4Rec and SASRec as RecBole computes them (to 1e-5).

`recommender.compiled` has the same passes for 32 bits on the CPU.

- Every history of a pass has the same length, so there is no padding and, but for hidden items, no mask.
- The deepest layer is computed at the one position where the prediction is read (`parameters.Pointer`).
- Histories that differ only in which items are hidden share the first layer's queries, keys, values and scores: the
  exponentials of the scores are taken once, and each history multiplies them with its own zeros and ones.

Sources: Sun et al., CIKM 2019 (BERT4Rec); Kang & McAuley, ICDM 2018 (SASRec); Vaswani et al., 2017, in the post-norm
form of BERT. Shapes: B histories, T positions, H hidden size, h heads of width d.

Bits. A row of a product must not depend on how many other rows there are. With (in, out) matrices stored row by row and
enough rows that holds for the BLAS libraries that torch ships; how many are enough `Recommender` finds when it starts.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from recommender.chunks import chunks, joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from recommender.parameters import Layer, Parameters

MIN_ROWS: Final = (4, 8, 16, 32)
"""Fewest rows of a matrix product, to be tried in turn: with fewer, BLAS takes kernels that add up in another order."""

SMALL: Final = 65_536
"""Values that the allocator hands out without asking the system for memory."""

FORWARD_ROWS: Final = 1_024
"""Rows that go through a feed-forward block at once: its wide inner values then stay in the processor's cache."""

HIDDEN: Final = -10_000.0
"""What RecBole adds to the score of a key that is not to be seen; its exponential is 0 in 32 bits."""

MAX_SPREAD: Final = 60.0
"""Largest difference within a row of scores for which the exponentials can be shared: exp(-60) is still an ordinary
32-bit number, so that no hidden item can leave a row without weight."""


@dataclass(frozen=True, slots=True)
class Hiding:
    """A history and which of its positions each version of it sees."""

    items: Tensor
    """(T,) item numbers, the mask last where the model has one."""

    keep: Tensor
    """(B, T) 1 where a version sees the position and 0 where it does not, at least one 1 in each row."""


def attention_of(scores: Tensor, *, causal: bool) -> Tensor:
    """(h, T, T) weights in 64 bits of a layer's scores: rows sum to 1."""
    scores = scores.double()
    if causal:
        scores = scores.masked_fill(later(scores.shape[-1], scores.device), float("-inf"))
    return scores.softmax(-1)


def later(length: int, device: torch.device) -> Tensor:
    """(T, T) True where the key comes after the query."""
    return torch.ones(length, length, dtype=torch.bool, device=device).triu(1)


class Network:
    """A model's forward passes, without a catalogue: item numbers in, hidden states out."""

    side_by_side: Final = False
    """As of the compiled passes: here most of a small pass is the cost of starting operations, which joined passes share."""

    def __init__(self, parameters: Parameters, min_rows: int) -> None:
        self.parameters = parameters
        self.min_rows = min_rows
        architecture = parameters.architecture
        self.heads = architecture.heads
        self.width = architecture.hidden_size // architecture.heads
        self.causal = architecture.causal
        self._rooms: list[dict[str, Tensor]] = []
        self._room = threading.local()

    @contextmanager
    def _roomy(self) -> Iterator[None]:
        """A pass, in memory that no other pass has meanwhile and the next ones use again.

        The widest intermediate values come and go with every layer. Fresh memory for each would cost as much in page
        faults as the arithmetic; memory for each thread would stay with threads that ask no more.
        """
        try:
            room = self._rooms.pop()
        except IndexError:
            room = {}
        self._room.now = room
        try:
            yield
        finally:
            self._rooms.append(room)

    def predict(self, items: Tensor, *, first_position: int = 0) -> Tensor:
        """What the model predicts after each history.

        Args:
            items: (B, T) item numbers, oldest first, the mask last where the model has one.
            first_position: position of the oldest.

        Returns:
            (B, H): the hidden states to score items with.
        """
        with self._roomy():
            return joined([self._predict(items[rows], first_position) for ((_, rows),) in chunks([items])])

    def _predict(self, items: Tensor, first_position: int) -> Tensor:
        x = self.embed(self._enough(items), first_position)
        for layer in self.parameters.layers[:-1]:
            x = self._layer(layer, x, None)
        return self._read(x, None, None)[: len(items)]

    def predict_hiding(self, parts: Sequence[Hiding]) -> list[Tensor]:
        """What the model predicts after some histories of one length, each in versions with other items hidden from attention.

        Returns:
            (B, H) for each part: the hidden states to score items with, one for each version.
        """
        found: list[list[Tensor]] = [[] for _ in parts]
        with self._roomy():
            for chunk in chunks([part.keep for part in parts]):
                hiding = [Hiding(parts[part].items, parts[part].keep[rows]) for part, rows in chunk]
                for (part, _), hidden in zip(chunk, self._predict_hiding(hiding), strict=True):
                    found[part].append(hidden)
        return [joined(part) for part in found]

    def _predict_hiding(self, parts: Sequence[Hiding]) -> list[Tensor]:
        keeps = [self._enough(part.keep) for part in parts]
        keep = keeps[0] if len(keeps) == 1 else torch.cat(keeps)
        counts = [len(one) for one in keeps]
        length = keep.shape[1]
        x = self.embed(torch.stack([part.items for part in parts]), 0)
        bias = (1 - keep) * HIDDEN
        last = (keep * torch.arange(1, length + 1, device=keep.device)).argmax(1)
        layers = self.parameters.layers
        if len(layers) == 1:
            x = x.repeat_interleave(torch.tensor(counts, device=keep.device), 0)
        else:
            x = self._first_layer(layers[0], x, keeps)
            for layer in layers[1:-1]:
                x = self._layer(layer, x, bias)
        read = torch.split(self._read(x, bias, last)[: len(keep)], counts)
        return [hidden[: len(part.keep)] for hidden, part in zip(read, parts, strict=True)]

    def embed(self, items: Tensor, first_position: int) -> Tensor:
        """(B, T) item numbers -> (B, T, H)."""
        positions = self.parameters.positions[first_position : first_position + items.shape[1]]
        return self.parameters.embedding_norm(torch.embedding(self.parameters.items, items).add_(positions))

    def attention(self, items: Tensor) -> Tensor:
        """Attention of the deepest layer over (T,) item numbers: (h, T, T), rows sum to 1, 64 bits."""
        with self._roomy():
            x = self.embed(items[None], 0)
            for layer in self.parameters.layers[:-1]:
                x = self._layer(layer, x, None)
            query, key, _ = self._project(self.parameters.layers[-1], x)
            return attention_of((query @ key.transpose(-1, -2))[0], causal=self.causal)

    def _layer(self, layer: Layer, x: Tensor, bias: Tensor | None) -> Tensor:
        """A whole layer. ``bias``: (B, T) what to add to the scores of each key, or None."""
        return self._feed_forward(layer, layer.attention_norm(self._attended(layer, x, bias))).view(x.shape)

    def _attended(self, layer: Layer, x: Tensor, bias: Tensor | None) -> Tensor:
        """(B * T, H) a layer's input with what its attention adds, before the norm; the input is overwritten."""
        count, length, hidden = x.shape
        query, key, value = self._project(layer, x)
        mask = None if bias is None else bias[:, None, None]
        if mask is not None and self.causal:
            mask = mask + later(length, x.device) * HIDDEN
        mixed = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=self.causal and mask is None, scale=1.0
        )
        mixed = mixed.transpose(1, 2).reshape(count * length, hidden)
        return x.reshape(count * length, hidden).addmm_(mixed, layer.dense)

    def _first_layer(self, layer: Layer, x: Tensor, keeps: Sequence[Tensor]) -> Tensor:
        """The first layer for all versions of some histories (G, T, H), B in all: (B, T, H).

        The versions of one history share all but the weights; where 32 bits are not enough for that, they share nothing.
        """
        (groups, length, hidden), count = x.shape, sum(map(len, keeps))
        query, key, value = self._project(layer, x)
        dense = layer.dense.view(self.heads, self.width, hidden)
        flat = x.new_empty(count * length, hidden)
        apart: list[tuple[slice, int]] = []
        start = 0
        for group, keep in zip(range(groups), keeps, strict=True):
            rows = slice(start * length, (start + len(keep)) * length)
            start += len(keep)
            shared = self._shared_weights(query[group], key[group])
            if shared is None:
                apart.append((rows, group))
                continue
            mixed = (value[group] @ dense).reshape(self.heads * length, hidden)
            weights = shared * keep[:, None, None]  # (B of this history, T, h, T)
            # A causal position that sees nothing but hidden items has no weight at all; nobody reads it.
            weights *= weights.sum(-1, keepdim=True).clamp_min_(torch.finfo(weights.dtype).tiny).reciprocal_()
            flat[rows].view(len(keep), length, hidden).copy_(x[group])
            flat[rows].addmm_(weights.view(len(keep) * length, -1), mixed)
        # Last, since it takes the memory that queries, keys and values are in.
        for rows, group in apart:
            keep = keeps[group]
            flat[rows] = self._attended(layer, x[group].repeat(len(keep), 1, 1), (1 - keep) * HIDDEN)
        return self._feed_forward(layer, layer.attention_norm(flat)).view(count, length, hidden)

    def _shared_weights(self, query: Tensor, key: Tensor) -> Tensor | None:
        """(T, h, T) exponentials of the scores, each row's largest 1; None where one is too small for 32 bits."""
        scores = (query @ key.transpose(1, 2)).transpose(0, 1).contiguous()
        highest, lowest = scores, scores
        if self.causal:
            beyond = later(scores.shape[0], scores.device)[:, None]
            highest, lowest = (scores.masked_fill(beyond, sign * float("inf")) for sign in (-1, 1))
            scores = highest
        top = highest.amax(-1, keepdim=True)
        spread = float((top - lowest.amin(-1, keepdim=True)).max())
        return None if spread > MAX_SPREAD else (scores - top).exp_()

    def _read(self, x: Tensor, bias: Tensor | None, last: Tensor | None) -> Tensor:
        """The deepest layer and the output head at the position where the prediction is read, the last by default."""
        pointer, layer = self.parameters.pointer, self.parameters.layers[-1]
        count, _, hidden = x.shape
        newest = last is None or not self.causal
        at = self._padded(x[:, -1] if newest else x[torch.arange(count, device=x.device), last])
        query = torch.addmm(pointer.query_bias, at, pointer.query)[:count].view(count, self.heads, hidden)
        scores = torch.bmm(query, x.transpose(1, 2))  # (B, h, T)
        if bias is not None:
            scores = scores + bias[:, None]
        context = self._padded(torch.bmm(scores.softmax(-1), x).view(count, -1))
        at = layer.attention_norm((at + pointer.context_bias).addmm_(context, pointer.context))
        at = self._feed_forward(layer, at)
        if self.parameters.head is not None:
            weight, head_bias, norm = self.parameters.head
            at = norm(torch.nn.functional.gelu(torch.addmm(head_bias, at, weight)))
        return at

    def _feed_forward(self, layer: Layer, flat: Tensor) -> Tensor:
        """(rows, H) -> (rows, H), residual and norm with it; the rows given are overwritten."""
        for rows in (flat,) if len(flat) <= FORWARD_ROWS else flat.chunk(-(-len(flat) // FORWARD_ROWS)):
            inner = layer.activation(self._product("inner", layer.inner_bias, rows, layer.inner))
            rows.addmm_(inner, layer.outer)
        return layer.forward_norm(flat)

    def _product(self, name: str, bias: Tensor, rows: Tensor, matrix: Tensor) -> Tensor:
        """Bias + rows @ matrix, for many rows in memory that the pass has under one name."""
        size = len(rows) * matrix.shape[1]
        if size < SMALL:
            return torch.addmm(bias, rows, matrix)
        room: dict[str, Tensor] = self._room.now
        memory = room.get(name)
        if memory is None or memory.numel() < size:
            memory = room[name] = rows.new_empty(size)
        return torch.addmm(bias, rows, matrix, out=memory[:size].view(len(rows), -1))

    def _project(self, layer: Layer, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, h, T, d)."""
        count, length, hidden = x.shape
        flat = self._padded(x.reshape(count * length, hidden))
        joint = self._product("joint", layer.query_key_value_bias, flat, layer.query_key_value)[: count * length]
        parts = joint.view(count, length, 3, self.heads, self.width).permute(2, 0, 3, 1, 4).unbind()
        return parts[0], parts[1], parts[2]

    def _enough(self, batch: Tensor) -> Tensor:
        """(B, T) with the first row repeated below until there are enough positions for a matrix product."""
        lacking = -(-self.min_rows // batch.shape[1]) - len(batch)
        return batch if lacking <= 0 else torch.cat([batch, batch[:1].expand(lacking, -1)])

    def _padded(self, rows: Tensor) -> Tensor:
        """The rows, with zeros below them where there are too few for a matrix product."""
        lacking = self.min_rows - rows.shape[0]
        return rows if lacking <= 0 else torch.constant_pad_nd(rows, (0, 0, 0, lacking))
