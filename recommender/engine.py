"""A model at work on its device: item numbers in, predictions and scores out, the same bits in any company.

Between `recommender.model`, which knows tokens and histories, and the forward passes, which know neither batches nor
the mask at the end of a sequence.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

import numba
import numpy as np
import torch

from recommender.architecture import Model
from recommender.compiled.network import CompiledNetwork
from recommender.compiled.scores import CompiledScores
from recommender.counterfactuals import flat_positions
from recommender.errors import HistoryError, RecommenderError
from recommender.network import MIN_ROWS, Hiding, Network
from recommender.parameters import prepare
from recommender.scoring import Scorer, TorchScores
from recommender.warming import warm_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from explainer.model import Removal
    from recommender.bundle import Bundle

PROBE_ROWS: Final = 37
PROBE_LENGTHS: Final = (1, 7, 23, 49)
"""How many made-up histories, of how many items, the arithmetic is tried on at the start."""


class Engine:
    """A bundle's model on a device.

    Raises:
        RecommenderError: there is no such device.
    """

    def __init__(self, bundle: Bundle, device: str, *, double: bool) -> None:
        self.architecture = bundle.architecture
        self.device = _device(device)
        self._weights = bundle.weights
        self.network: Network | CompiledNetwork
        if double or not _is_compiled_for(self.device):
            self._set_up_torch(double=double)
        else:
            self._set_up_compiled()

    def _set_up_compiled(self) -> None:
        """Passes compiled for this processor, which give a history the same bits in any company by the way they add up."""
        warm_up()
        self._prepare(torch.float32)
        self.network = CompiledNetwork(self.parameters)
        self.scorer = Scorer(CompiledScores(self._items(), self.parameters.item_bias))

    def _prepare(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        with torch.no_grad():
            self.parameters = prepare(self.architecture, self._weights, self.device, dtype)

    def _items(self) -> Tensor:
        """Embeddings of those that are items; the mask is none."""
        return self.parameters.items[: self.architecture.items]

    def _set_up_torch(self, *, double: bool) -> None:
        """Passes by torch, with the smallest products that give a history the same bits in any company; failing that, 64 bits."""
        self._prepare(torch.float64 if double else torch.float32)
        for rows in MIN_ROWS[-1:] if double else MIN_ROWS:
            self.network = Network(self.parameters, rows)
            self.scorer = Scorer(TorchScores(self._items(), self.parameters.item_bias, rows))
            if double or self._is_steady():
                return
        self._set_up_torch(double=True)

    @torch.inference_mode()
    def _is_steady(self) -> bool:
        """Whether a history has the same bits alone and among others: asked of a few made-up ones."""
        last = self.architecture.items - 1
        for length in {min(self.architecture.max_history, length) for length in PROBE_LENGTHS}:
            rows = [[1 + (7 * row + 3 * place) % last for place in range(length)] for row in range(PROBE_ROWS)]
            singles = [(place % length,) if length > 1 else () for place in range(PROBE_ROWS)]
            together = self._sampled(rows, [(rows[0], singles), (rows[1], singles)])
            for size in (1, 2, 3, 5, 11):
                few = self._sampled(rows[-size:], [(rows[0], singles[:size])])
                same = torch.equal(few[:size], together[PROBE_ROWS - size : PROBE_ROWS])
                if not same or not torch.equal(few[size:], together[PROBE_ROWS : PROBE_ROWS + size]):
                    return False
                alone = self.scorer.sample(self.predict(rows[-size:])[:1])
                if not torch.equal(alone[0], together[PROBE_ROWS - size]):
                    return False
        return True

    def _sampled(
        self, sequences: Sequence[Sequence[int]], parts: Sequence[tuple[Sequence[int], Sequence[Removal]]]
    ) -> Tensor:
        """Scores of the first block of items, for sequences and for removals."""
        return self.scorer.sample(torch.cat([self.predict(sequences), *self.hide(parts)]))

    def empty(self, count: int) -> Tensor:
        """(count, H) predictions to be filled in."""
        return torch.empty(count, self.architecture.hidden_size, dtype=self.dtype, device=self.device)

    def predict(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """(B, H) predictions for sequences of item numbers of one length.

        Raises:
            HistoryError: there is nothing to predict from, or more than fits.
        """
        return self.network.predict(self.fed(sequences))

    def hide(self, parts: Sequence[tuple[Sequence[int], Sequence[Removal]]]) -> list[Tensor]:
        """(m, H) predictions for each sequence, all of one length, with each of its removals hidden from attention.

        Raises:
            HistoryError: there is nothing to predict from, or more than fits.
        """
        items = self.fed([numbers for numbers, _ in parts])
        keeps = [self._kept(removals, items.shape[1]) for _, removals in parts]
        return self.network.predict_hiding([Hiding(*part) for part in zip(items, keeps, strict=True)])

    def _kept(self, removals: Sequence[Removal], length: int) -> Tensor:
        """(m, T) 1 where a removal leaves the position."""
        keep = np.ones((len(removals), length), np.float32)
        keep[flat_positions(removals)] = 0
        if not keep.any(1).all():
            raise HistoryError("Nothing of the history would be left to predict from; remove fewer items.")
        return torch.from_numpy(keep).to(self.device, self.dtype)

    def fed(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """(B, T) what is fed for sequences of one length: with the mask at the end, where the model has one.

        Raises:
            HistoryError: there is nothing to predict from, or more than fits.
        """
        count, length = len(sequences), len(sequences[0])
        width = length + (self.architecture.model is Model.BERT4REC)
        if not width:
            raise HistoryError("A SASRec cannot predict from an empty history; give at least one item.")
        if width > self.architecture.positions:
            raise HistoryError(f"A history of {length} items does not fit the model's window; cut it with `window`.")
        fed = np.full((count, width), self.architecture.items)
        fed[:, :length] = np.fromiter(chain.from_iterable(sequences), np.int64, count * length).reshape(count, length)
        return torch.from_numpy(fed).to(self.device)


def _is_compiled_for(device: str) -> bool:
    """Whether there are compiled passes: on the CPU, unless numba is told to compile nothing."""
    return torch.device(device).type == "cpu" and not numba.config.DISABLE_JIT  # type: ignore[attr-defined]


def _device(name: str) -> str:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise RecommenderError(
            f"There is no device {name!r} here; choose cpu, or cuda on a machine that has one."
        ) from error
    return name
