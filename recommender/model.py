"""The recommender as the explainer sees it: a bundle's model that ranks, ranks again without items, and shows attention."""

from __future__ import annotations

from copy import copy
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from explainer.model import History, Outcomes, Removal, ScoredItem
from explainer.settings import Intervention
from recommender.architecture import Model
from recommender.engine import Engine
from recommender.errors import HistoryError, InterventionError
from recommender.gradient import gated_prediction
from recommender.joining import Question, Ranking, answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from recommender.bundle import Bundle

    Ask: TypeAlias = Callable[[Question | Ranking], Any]
    """Answers what one can be asked, as `Recommender.answers` answers several."""


class HistoryPolicy(Enum):
    """Which part of a long history the model sees."""

    KEEP_ALL = "keep_all"
    """The latest items that fit beside the mask: nothing that fits is dropped, as in training."""

    RECBOLE_EXACT = "recbole_exact"
    """What RecBole's own inference feeds. Its BERT4Rec always loses the oldest item of the list, even of a short one."""


class Recommender:
    """A model bundle, ready to answer. Satisfies `explainer.model.ExplainableModel`.

    All methods are pure and may be called from several threads at once. Items go in and out as tokens.

    Args:
        bundle: the model.
        device: where to compute, as torch names it.
        history_policy: which part of a long history the model sees (`window`).
        threads: torch's threads within one operation, for the whole process; None leaves them as they are. More than one
            makes single histories slower and, on a busy machine, much slower. The compiled passes of the CPU use one.
        double: compute in 64 bits, by torch, and round the scores to 32. That is done in any case where another device's
            arithmetic is found to give a history other bits in other company.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "cpu",
        history_policy: HistoryPolicy = HistoryPolicy.KEEP_ALL,
        threads: int | None = 1,
        double: bool = False,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.bundle = bundle
        self.history_policy = history_policy
        self._catalogue = bundle.catalogue
        self._architecture = bundle.architecture
        self._engine = Engine(bundle, device, double=double)
        self._ask: Ask | None = None

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.bundle.version

    @property
    def hidden_size(self) -> int:
        """Width of the deepest layer."""
        return self._architecture.hidden_size

    @property
    def ranks_nothing(self) -> bool:
        """Whether a history without items can be ranked: by its mask token alone."""
        return self._architecture.model is Model.BERT4REC

    def supports(self, intervention: Intervention) -> bool:
        """Whether the model can carry out the intervention: only BERT4Rec has a mask token."""
        return intervention is not Intervention.MASK_TOKEN or self._architecture.model is Model.BERT4REC

    @property
    def causal(self) -> bool:
        """Whether attention goes to earlier items only, so that the order of a history is a causal order."""
        return self._architecture.causal

    @property
    def max_history(self) -> int:
        """Most items that `window` leaves in sight under the policy KEEP_ALL."""
        return self._architecture.max_history

    def window(self, tokens: Sequence[str]) -> History:
        """Cut a full list of item tokens, oldest first, to what the model sees and what came before.

        Raises:
            UnknownItemError: the catalogue lacks one of them.
        """
        self._numbers(tokens)
        start = max(len(tokens) - self.max_history, 0)
        if self.history_policy is HistoryPolicy.RECBOLE_EXACT:
            dropped = 1 if self._architecture.drops_oldest else 0
            start = min(max(len(tokens) - self._architecture.max_list, 0) + dropped, len(tokens))
        return History(tuple(tokens[start:]), tuple(tokens[:start]))

    @torch.inference_mode()
    def top(
        self,
        history: History,
        k: int,
        removal: Removal = (),
        intervention: Intervention = Intervention.MASK_OUT,
    ) -> tuple[ScoredItem, ...]:
        """The k candidates of highest score, best first; equal scores in catalogue order."""
        return self.listed(self._answer(self.ranking(history, k, removal, intervention))) if k > 0 else ()

    def ranking(
        self,
        history: History,
        k: int,
        removal: Removal = (),
        intervention: Intervention = Intervention.MASK_OUT,
    ) -> Ranking:
        """What `top` asks: to be answered beside others by `answers`, and read with `listed`."""
        return Ranking(self._question(history, (removal,), intervention), np.array(self._had(history)), k)

    def listed(self, found: Sequence[tuple[int, float]]) -> tuple[ScoredItem, ...]:
        """The answer to a ranking in the words of the catalogue."""
        return tuple(ScoredItem(self._catalogue.token(number), score) for number, score in found)

    @torch.inference_mode()
    def places(self, history: History, items: Sequence[str]) -> tuple[tuple[int, float], ...]:
        """Rank (by the order of `top`) and score of each of these candidates in the full list for the history."""
        if not items:
            return ()
        hidden = self._hidden(history, ((),), Intervention.MASK_OUT)
        return tuple(self._engine.scorer.places(hidden, self._excluded(history), self._numbers(items)))

    @torch.inference_mode()
    def attention(self, history: History, target: str) -> NDArray[np.float64]:
        """Deepest attention of the abductive pass [s1 ... sn, target]: (heads, n + 1, n + 1), rows sum to 1."""
        numbers = self._numbers([*history.items, target])
        beyond = max(len(numbers) - self._architecture.positions, 0)
        items = torch.tensor(numbers[beyond:], device=self._engine.device)
        seen: NDArray[np.float64] = self._engine.network.attention(items).cpu().numpy()
        if not beyond:
            return seen
        # A window that is full of items leaves no position for the target. The oldest items are then out of its sight:
        # each attends to itself alone.
        whole = np.tile(np.eye(len(numbers)), (len(seen), 1, 1))
        whole[:, beyond:, beyond:] = seen
        return whole

    @torch.inference_mode()
    def without(
        self,
        history: History,
        target: str,
        removals: Sequence[Removal],
        *,
        top_k: int = 1,
        intervention: Intervention = Intervention.MASK_OUT,
    ) -> Outcomes:
        """Score the history once per removal. An empty removal is the history as it stands."""
        hidden = self._hidden(history, removals, intervention)
        return self._engine.scorer.outcomes(hidden, self._candidate(history, target), self._excluded(history), top_k)

    @torch.inference_mode()
    def shifted(self, history: History, target: str, *, top_k: int = 1) -> Outcomes:
        """One outcome: every position one later with nothing removed, the control for position effects.

        A full window has no later position. Then every item but the oldest, which goes, stands one position *earlier*:
        the content of MASK_OUT of position 0, in the places of DELETE of position 0.
        """
        items = self._engine.fed([self._numbers(history.items)])
        full = items.shape[1] >= self._architecture.positions
        hidden = self._engine.network.predict(items[:, 1:] if full else items, first_position=0 if full else 1)[:1]
        return self._engine.scorer.outcomes(hidden, self._candidate(history, target), self._excluded(history), top_k)

    def margin_gradient(self, history: History, target: str, *, top_k: int = 1) -> NDArray[np.float64]:
        """Slope of the margin over each item's gate: (n,). Positive where the item speaks for the target.

        The margin is the target's score minus that of the top_k-th best other candidate of the whole history; a gate of
        1 is the model as it is and a gate of 0 is MASK_OUT (`recommender.gradient`).
        """
        number = self._candidate(history, target)
        rivals = self.top(history, top_k + 1)
        rival = [item.item for item in rivals if item.item != target][top_k - 1 : top_k]
        items = self._engine.fed([self._numbers(history.items)])[0]
        terms = torch.zeros(len(items), dtype=self._engine.dtype, device=self._engine.device, requires_grad=True)
        with torch.enable_grad():
            hidden = gated_prediction(self._engine.parameters, items, terms)[0]
            embeddings = self._engine.parameters.items[[number, *self._numbers(rival)]]
            scores = embeddings @ hidden
            margin = scores[0] - scores[1] if rival else scores[0]
        (slope,) = torch.autograd.grad(margin, terms)
        gradient: NDArray[np.float64] = slope[: len(history.items)].double().cpu().numpy()
        return gradient

    @torch.inference_mode()
    def scores(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Scores of the whole catalogue for each history.

        Returns:
            (B, items + 1) by item number. Column 0 is RecBole's padding item, whose score means nothing. Nothing is
            excluded.
        """
        by_length: dict[int, list[int]] = {}
        for place, history in enumerate(histories):
            by_length.setdefault(len(history.items), []).append(place)
        if not histories:
            return np.empty((0, self._architecture.items), np.float32)
        parts = [
            self._engine.predict([self._numbers(histories[place].items) for place in places])
            for places in by_length.values()
        ]
        hidden = parts[0] if len(parts) == 1 else torch.cat(parts)[_inverse(by_length.values())]
        scores: NDArray[np.float32] = self._engine.scorer.all(hidden).cpu().numpy()
        return scores

    @property
    def side_by_side(self) -> bool:
        """Whether `answers` is better called by several threads, each with its own question, than by one with all of them."""
        return self._engine.network.side_by_side

    def through(self, ask: Ask) -> Recommender:
        """The same model, whose questions to the network go through ``ask``: to be answered beside others by `answers`."""
        other = copy(self)
        other._ask = ask  # noqa: SLF001 - our own
        return other

    @torch.inference_mode()
    def answers(self, asked: Sequence[Question | Ranking]) -> list[Tensor | list[tuple[int, float]]]:
        """(rows, H) for each question, item numbers and scores for each ranking, computed together; each as it is alone.

        Raises:
            HistoryError: a question leaves nothing to predict from.
        """
        return answers(self._engine, asked)

    def _answer(self, asked: Question | Ranking) -> Any:
        return self.answers([asked])[0] if self._ask is None else self._ask(asked)

    def _hidden(self, history: History, removals: Sequence[Removal], intervention: Intervention) -> Tensor:
        """(m, H) predictions for the history without each removal."""
        question = self._question(history, removals, intervention)
        hidden: Tensor = self._answer(question) if removals else self._engine.empty(0)
        return hidden

    def _question(self, history: History, removals: Sequence[Removal], intervention: Intervention) -> Question:
        if any(removals) and not self.supports(intervention):
            raise InterventionError("A SASRec has no mask token; choose MASK_OUT, DELETE or DELETE_BACKFILL.")
        older = self._numbers(history.older) if intervention is Intervention.DELETE_BACKFILL else ()
        return Question(tuple(self._numbers(history.items)), tuple(older), removals, intervention)

    def _numbers(self, tokens: Sequence[str]) -> list[int]:
        return self._catalogue.numbers(tokens)

    def _candidate(self, history: History, target: str) -> int:
        if target in history.items or target in history.older:
            raise HistoryError(
                f"Item {target!r} is in the history already; ask about an item that the user has not had."
            )
        return self._catalogue.number(target)

    def _excluded(self, history: History) -> Tensor:
        return torch.tensor(self._had(history), device=self._engine.device)

    def _had(self, history: History) -> list[int]:
        """Item numbers that are no candidates: padding, and everything the user has had."""
        return [0, *sorted({*self._numbers(history.items), *self._numbers(history.older)})]


def _inverse(groups: Iterable[Sequence[int]]) -> list[int]:
    """Where each place of the joined groups is to be found, by place."""
    order = [place for group in groups for place in group]
    found = [0] * len(order)
    for at, place in enumerate(order):
        found[place] = at
    return found
