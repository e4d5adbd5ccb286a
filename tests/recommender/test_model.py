"""The recommender's contract, inherited by every model and layout, against a plain model that computes all of it."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explainer.model import NEAR_TIE, ExplainableModel, History
from explainer.settings import Intervention
from plain_models import PlainModel
from recbole_files import TOKENS, architecture, random_weights
from recommender.bundle import Content
from recommender.engine import Engine
from recommender.errors import HistoryError, InterventionError, RecommenderError, UnknownItemError
from recommender.joining import Question, Ranking
from recommender.model import HistoryPolicy, Recommender

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


CLOSE = 1e-5
SEQUENCE_INTERVENTIONS = (Intervention.DELETE, Intervention.DELETE_BACKFILL, Intervention.MASK_TOKEN)


class ModelContract:
    """What every served model does. A subclass names the model."""

    shape: ClassVar[dict[str, Any]]

    def setup_method(self) -> None:
        self.architecture = architecture(**self.shape)
        self.weights = random_weights(self.architecture)
        self.plain = PlainModel(self.architecture, self.weights)
        self.model = self.recommender()

    def recommender(self, **named: Any) -> Recommender:
        content = Content(self.architecture, self.weights, TOKENS, {}, "")
        return Recommender(content.draft(), **named)

    def scores(self, tokens: Sequence[str], **named: Any) -> np.ndarray:
        return self.plain.scores([TOKENS.index(token) for token in tokens], **named)

    def plain_without(self, history: History, removal: tuple[int, ...], intervention: Intervention) -> np.ndarray:
        """Scores after the plain construction of the intervention."""
        kept = [position for position in range(len(history.items)) if position not in removal]
        if intervention is Intervention.MASK_OUT:
            return self.scores(history.items, hidden=removal)
        if intervention is Intervention.MASK_TOKEN:
            numbers = [TOKENS.index(token) for token in history.items]
            for position in removal:
                numbers[position] = self.architecture.items
            return self.plain.scores(numbers)
        tokens = [history.items[position] for position in kept]
        if intervention is Intervention.DELETE_BACKFILL and removal:
            tokens = [*history.older[-len(removal) :], *tokens]
        return self.scores(tokens)

    def history(self, length: int = 7, older: int = 3) -> History:
        return History(TOKENS[4 + older : 4 + older + length], TOKENS[4 : 4 + older])

    def test_satisfies_the_explainers_protocol(self) -> None:
        """A type checker and the explainer see the same model."""
        model: ExplainableModel = self.model

        assert model.hidden_size == 16
        assert model.version == "draft"

    def test_scores_are_those_of_the_plain_model(self) -> None:
        """Histories of every length at once, each as if alone."""
        histories = [self.history(length, 0) for length in range(1, self.model.max_history + 1)]

        found = self.model.scores(histories)

        expected = np.array([self.scores(history.items) for history in histories])
        np.testing.assert_allclose(found, expected, atol=CLOSE)

    def test_top_is_the_sorted_list_without_what_the_user_has_had(self) -> None:
        """Neither the window's items nor older ones nor the padding item are candidates."""
        history = self.history()
        scores = self.scores(history.items)
        had = {*history.items, *history.older, "[PAD]"}
        expected = sorted((token for token in TOKENS if token not in had), key=lambda t: -scores[TOKENS.index(t)])

        found = self.model.top(history, 100)

        assert [item.item for item in found] == expected
        assert self.model.top(history, 3) == found[:3]
        assert [place for place, _ in self.model.places(history, expected)] == list(range(1, len(expected) + 1))
        assert [score for _, score in self.model.places(history, expected)] == [item.score for item in found]

    def test_equal_scores_come_in_catalogue_order(self) -> None:
        """Items with the same embedding tie exactly."""
        table = self.weights["item_embedding.weight"]
        table[20:25] = table[26]
        if "output_bias" in self.weights:
            self.weights["output_bias"][20:25] = self.weights["output_bias"][26]
        model = self.recommender()
        history = self.history(3, 0)

        listed = [item.item for item in model.top(history, 100)]

        tied = [TOKENS[number] for number in (20, 21, 22, 23, 24, 26)]
        start = listed.index(tied[0])
        assert listed[start : start + 6] == tied
        cut = model.top(history, start + 2)
        assert [item.item for item in cut] == listed[: start + 2]
        assert [place for place, _ in model.places(history, tied)] == list(range(start + 1, start + 7))

    @pytest.mark.parametrize("intervention", Intervention)
    def test_interventions_are_their_plain_construction(self, intervention: Intervention) -> None:
        """All singles, some pairs, and the empty removal, in one batch."""
        if intervention is Intervention.MASK_TOKEN and self.architecture.causal:
            pytest.skip("no mask token")
        history = self.history()
        removals = [(), *((position,) for position in range(7)), (0, 6), (2, 3), (), (1, 4, 5)]
        target = self.model.top(history, 1)[0].item

        found = self.model.without(history, target, removals, top_k=2, intervention=intervention)

        candidates = [n for n in range(1, len(TOKENS)) if TOKENS[n] not in {*history.items, *history.older}]
        number = TOKENS.index(target)
        for row, removal in enumerate(removals):
            scores = self.plain_without(history, removal, intervention)
            others = np.array([scores[n] for n in candidates if n != number])
            total = np.exp(np.append(others, scores[number]) - scores[number]).sum()
            assert found.target_score[row] == pytest.approx(scores[number], abs=CLOSE)
            assert found.target_rank[row] == 1 + (others - scores[number] > NEAR_TIE).sum()
            assert found.target_probability[row] == pytest.approx(1 / total, abs=CLOSE)
            assert found.margin[row] == pytest.approx(scores[number] - np.sort(others)[-2], abs=CLOSE)

    def test_what_was_removed_stays_out_of_the_list(self) -> None:
        """Removing an item does not make it a candidate."""
        history = self.history()

        for removal in [(0,), (6,), (2, 4)]:
            listed = {item.item for item in self.model.top(history, 100, removal)}

            assert not listed & {*history.items, *history.older}

    def test_a_full_catalogue_leaves_no_rival(self) -> None:
        """With fewer than k other candidates the margin is infinite and the target certain."""
        history = History(TOKENS[1:6], TOKENS[6:-1])

        found = self.model.without(history, TOKENS[-1], [(), (1,)])

        assert found.margin.tolist() == [np.inf, np.inf]
        assert found.target_probability.tolist() == [1, 1]
        assert len(self.model.top(history, 5)) == 1

    def test_attention_is_that_of_the_abductive_pass(self) -> None:
        """The history and the target, no mask; rows sum to 1."""
        history = self.history()
        fed = [TOKENS.index(token) for token in (*history.items, "item-29")]

        found = self.model.attention(history, "item-29")

        _, expected = self.plain.encode(fed, range(len(fed)))
        np.testing.assert_allclose(found, expected.numpy(), atol=CLOSE)
        np.testing.assert_allclose(found.sum(-1), 1, atol=1e-12)
        if self.architecture.causal:
            assert (np.triu(found, 1) == 0).all()

    def test_shift_moves_every_position_by_one(self) -> None:
        """Nothing is removed; a full window shifts the other way, without its oldest item."""
        history = self.history()
        target = self.model.top(history, 1)[0].item

        found = self.model.shifted(history, target)

        expected = self.scores(history.items, positions=range(1, 8))
        assert found.target_score[0] == pytest.approx(expected[TOKENS.index(target)], abs=CLOSE)
        fed = self.architecture.positions - (not self.architecture.causal)
        full = History(TOKENS[1 : fed + 1])
        target = self.model.top(full, 1)[0].item
        expected = self.scores(full.items[1:])
        found = self.model.shifted(full, target)
        assert found.target_score[0] == pytest.approx(expected[TOKENS.index(target)], abs=CLOSE)

    # Each subclass runs it on a model of its own, which is the point of a contract.
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(data=st.data())
    def test_a_history_has_the_same_bits_in_any_company(self, data: st.DataObject) -> None:
        """Alone, in any batch, at any place in it, under any intervention, and in every method."""
        length = data.draw(st.integers(2, self.model.max_history))
        numbers = data.draw(st.lists(st.integers(1, 25), min_size=length, max_size=length))
        history = History(tuple(TOKENS[number] for number in numbers), TOKENS[26:28])
        allowed = [i for i in Intervention if i is not Intervention.MASK_TOKEN or not self.architecture.causal]
        intervention = data.draw(st.sampled_from(allowed))
        subsets = st.sets(st.integers(0, length - 1), max_size=length - 1).map(lambda s: tuple(sorted(s)))
        removals = data.draw(st.lists(subsets, min_size=1, max_size=40))
        target = "item-29"

        together = self.model.without(history, target, removals, intervention=intervention)

        row = data.draw(st.integers(0, len(removals) - 1))
        alone = self.model.without(history, target, [removals[row]], intervention=intervention)
        assert alone.target_score[0] == together.target_score[row]
        assert alone.margin[0] == together.margin[row]
        assert alone.target_probability[0] == together.target_probability[row]
        listed = {item.item: item.score for item in self.model.top(history, 99, removals[row], intervention)}
        assert listed[target] == together.target_score[row]
        if not removals[row]:
            assert dict(self.model.places(history, [target])).popitem()[1] == together.target_score[row]
            others = [self.history(3, 0), history, self.history(5, 0)]
            assert (self.model.scores(others)[1] == self.model.scores([history])[0]).all()

    # As above.
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(data=st.data())
    def test_questions_answered_together_have_the_bits_of_each_alone(self, data: st.DataObject) -> None:
        """Histories of equal and of other lengths, under every intervention, with and without removals."""
        asked: list[Question | Ranking] = []

        def ask(question: Question | Ranking) -> Any:
            asked.append(question)
            return self.model.answers([question])[0]

        model = self.model.through(ask)
        allowed = [i for i in Intervention if i is not Intervention.MASK_TOKEN or not self.architecture.causal]
        for _ in range(data.draw(st.integers(2, 6))):
            length = data.draw(st.sampled_from([2, 5, self.model.max_history]))
            numbers = data.draw(st.lists(st.integers(1, 25), min_size=length, max_size=length))
            history = History(tuple(TOKENS[number] for number in numbers), TOKENS[26:28])
            subsets = st.sets(st.integers(0, length - 1), max_size=length - 1).map(lambda s: tuple(sorted(s)))
            removals = data.draw(st.lists(subsets, min_size=1, max_size=9))
            intervention = data.draw(st.sampled_from(allowed))
            model.without(history, "item-29", removals, intervention=intervention)
            model.top(history, data.draw(st.integers(1, 40)), removals[0], intervention)

        together = self.model.answers(asked)

        for question, answer in zip(asked, together, strict=True):
            sample = self.model._engine.scorer.sample
            (alone,) = self.model.answers([question])
            if isinstance(question, Ranking):
                assert answer == alone
                assert alone
            else:
                assert torch.equal(sample(answer), sample(alone))

    def test_the_deleted_history_is_the_shorter_history(self) -> None:
        """DELETE of an item and a history that never had it: the same bits."""
        history = self.history(7, 0)
        shorter = History(history.items[:3] + history.items[4:])

        deleted = self.model.without(history, "item-29", [(3,)], intervention=Intervention.DELETE)

        assert deleted.target_score[0] == self.model.without(shorter, "item-29", [()]).target_score[0]

    def test_the_margins_slope_is_that_of_its_gates(self) -> None:
        """Finite differences of the plain model with soft gates."""
        history = self.history(5, 0)
        best = self.model.top(history, 3)
        target, rival = (TOKENS.index(item.item) for item in best[:2])

        found = self.model.margin_gradient(history, best[0].item)

        for position in range(5):
            up, down = (self.gated(history, position, step) for step in (1e-3, -1e-3))
            slope = ((up[target] - up[rival]) - (down[target] - down[rival])) / 2e-3
            assert found[position] == pytest.approx(slope, abs=1e-4)

    def gated(self, history: History, position: int, step: float) -> np.ndarray:
        """Plain scores with one item's weight in every softmax multiplied by exp(step)."""
        plain = PlainModel(self.architecture, self.weights)
        heads = plain._heads
        calls = itertools.count()

        def lifted(x: Any) -> Any:
            # Keys are every second of three projections; a constant added to a key's score needs a direction that all
            # queries share, so the gate is put in through a widened head.
            split = heads(x)
            part = next(calls) % 3
            extra = split.new_zeros(*split.shape[:2], 1)
            if part == 0:
                extra += (self.architecture.hidden_size / self.architecture.heads) ** 0.5
            elif part == 1:
                extra[:, position] = step
            return split if part == 2 else torch.cat([split, extra], -1)

        plain._heads = lifted  # type: ignore[method-assign]
        return plain.scores([TOKENS.index(token) for token in history.items])

    def test_bad_input_is_refused_by_name(self) -> None:
        """Unknown items, impossible removals, targets that the user has, histories that do not fit."""
        history = self.history()

        with pytest.raises(UnknownItemError, match="no-such-item"):
            self.model.top(History(("no-such-item",)), 1)
        with pytest.raises(UnknownItemError):
            self.model.without(history, "[PAD]", [()])
        with pytest.raises(HistoryError, match="has not had"):
            self.model.without(history, history.items[0], [()])
        for removal in [(7,), (-1,), (2, 1), (1, 1)]:
            with pytest.raises(HistoryError, match="ascending positions"):
                self.model.without(history, "item-29", [removal])
        with pytest.raises(HistoryError, match="window"):
            self.model.top(History(TOKENS[1:25]), 1)

    def test_window_keeps_the_latest(self) -> None:
        """What does not fit becomes older; nothing is lost."""
        history = self.model.window(TOKENS[1:25])

        assert history.items == TOKENS[25 - self.model.max_history : 25]
        assert history.older + history.items == TOKENS[1:25]
        assert self.model.window(TOKENS[1:4]) == History(TOKENS[1:4])
        with pytest.raises(UnknownItemError):
            self.model.window(["item-1", "nothing"])

    def test_double_arithmetic_gives_the_same_scores(self) -> None:
        """The way out for machines whose 32-bit arithmetic depends on the batch."""
        histories = [self.history(length, 0) for length in (1, 4, 9)]

        found = self.recommender(double=True).scores(histories)

        assert found.dtype == np.float32
        np.testing.assert_allclose(found, self.model.scores(histories), atol=CLOSE)

    def test_nothing_asked_nothing_answered(self) -> None:
        """Empty batches and lists are legal."""
        history = self.history()

        assert self.model.scores([]).shape == (0, len(TOKENS))
        assert self.model.without(history, "item-29", []).margin.shape == (0,)
        assert self.model.places(history, []) == ()
        assert self.model.top(history, 0) == ()

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_a_gpu_gives_the_same_scores(self) -> None:
        """The same code by a setting."""
        history = self.history()
        model = self.recommender(device="cuda")

        np.testing.assert_allclose(model.scores([history]), self.model.scores([history]), atol=CLOSE)
        found = model.without(history, "item-29", [(), (1,), (2, 3)])
        np.testing.assert_allclose(
            found.margin, self.model.without(history, "item-29", [(), (1,), (2, 3)]).margin, atol=CLOSE
        )

    def test_several_threads_may_ask_at_once(self) -> None:
        """Each has its own working memory."""
        histories = [self.history(length, 0) for length in range(1, 10)] * 8
        expected = [self.model.scores([history]) for history in histories]

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda history: self.model.scores([history]), histories))

        assert all((one == other).all() for one, other in zip(found, expected, strict=True))

    def test_an_unknown_device_is_refused(self) -> None:
        """The message names the ones that exist."""
        with pytest.raises(RecommenderError, match="choose cpu"):
            self.recommender(device="abacus")

    def test_shared_scores_give_way_where_32_bits_are_not_enough(self) -> None:
        """Attention that is all on one item: hiding that item leaves weights too small to share."""
        for part in ("query", "key"):
            self.weights[f"trm_encoder.layer.0.multi_head_attention.{part}.weight"] *= 30
        self.plain = PlainModel(self.architecture, self.weights)
        self.model = self.recommender()

        self.test_interventions_are_their_plain_construction(Intervention.MASK_OUT)
        self.test_questions_answered_together_have_the_bits_of_each_alone()


class TestBert4Rec(ModelContract):
    """RecBole 1.2.x."""

    shape: ClassVar = {"model": "BERT4Rec", "layout": "1.2.1"}

    def test_recbole_exact_drops_the_oldest_always(self) -> None:
        """Even of a list that is far shorter than the window."""
        model = self.recommender(history_policy=HistoryPolicy.RECBOLE_EXACT)

        assert model.window(TOKENS[1:5]) == History(TOKENS[2:5], TOKENS[1:2])
        assert model.window(TOKENS[1:25]) == History(TOKENS[14:25], TOKENS[1:14])
        assert model.window(TOKENS[1:2]) == History((), TOKENS[1:2])

    def test_an_empty_history_still_has_a_mask(self) -> None:
        """RecBole's inference of a single item comes to this."""
        np.testing.assert_allclose(self.model.scores([History(())])[0], self.scores(()), atol=CLOSE)


class TestBert4RecOfRecBole11(ModelContract):
    """RecBole 1.0.1 to 1.1.1: one more position, no output head."""

    shape: ClassVar = {"model": "BERT4Rec", "layout": "1.1.1", "layers": 3, "activation": "swish"}

    def test_recbole_exact_keeps_the_oldest(self) -> None:
        """The old input has room for a whole list and the mask."""
        model = self.recommender(history_policy=HistoryPolicy.RECBOLE_EXACT)

        assert model.window(TOKENS[1:25]) == History(TOKENS[13:25], TOKENS[1:13])
        assert model.window(TOKENS[1:3]) == History(TOKENS[1:3])


class TestSasRec(ModelContract):
    """Causal."""

    shape: ClassVar = {"model": "SASRec", "activation": "relu"}

    def test_there_is_no_mask_token(self) -> None:
        """The remedy is another intervention."""
        with pytest.raises(InterventionError, match="MASK_OUT"):
            self.model.without(self.history(), "item-29", [(1,)], intervention=Intervention.MASK_TOKEN)

    def test_nothing_predicts_from_nothing(self) -> None:
        """A SASRec reads its prediction at an item."""
        with pytest.raises(HistoryError, match="empty history"):
            self.model.scores([History(())])
        with pytest.raises(HistoryError, match="Nothing of the history"):
            self.model.without(self.history(2), "item-29", [(0, 1)])

    def test_a_full_list_has_an_oldest_item_out_of_the_targets_sight(self) -> None:
        """RecBole feeds one item more than leaves room for the target."""
        model = self.recommender(history_policy=HistoryPolicy.RECBOLE_EXACT)
        history = model.window(TOKENS[1:25])
        assert len(history.items) == 12

        found = model.attention(history, "item-29")

        assert found.shape == (2, 13, 13)
        assert found[:, 0, 0].tolist() == [1, 1]
        assert (found[:, 1:, 0] == 0).all()
        np.testing.assert_allclose(found.sum(-1), 1, atol=1e-12)


class TestOneLayer(ModelContract):
    """The deepest layer is the first one."""

    shape: ClassVar = {"model": "BERT4Rec", "layers": 1, "heads": 4}


class TestWidthsThatFillNoTile(ModelContract):
    """Every width is one that has to be padded, and there is a whole layer after the first."""

    shape: ClassVar = {"layers": 3, "heads": 3, "hidden_size": 21, "inner_size": 37, "activation": "tanh"}

    def test_satisfies_the_explainers_protocol(self) -> None:
        """As for the others, but for the width."""
        assert self.model.hidden_size == 21


class ByTorch(ModelContract):
    """The passes that other devices have, on this one."""

    def recommender(self, **named: Any) -> Recommender:
        """Without the compiled passes."""
        with mock.patch("recommender.engine._is_compiled_for", return_value=False):
            return super().recommender(**named)

    def test_machines_without_steady_arithmetic_get_64_bits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever number of rows is tried."""
        monkeypatch.setattr(Engine, "_is_steady", lambda _: False)

        model = self.recommender()

        assert model._engine.dtype is torch.float64
        assert model.scores([self.history()]).dtype == np.float32


class TestBert4RecByTorch(ByTorch):
    """Two layers, one of which is whole."""

    shape: ClassVar = {"model": "BERT4Rec", "layout": "1.2.1"}


class TestSasRecByTorch(ByTorch):
    """Three layers, causal."""

    shape: ClassVar = {"model": "SASRec", "layers": 3, "activation": "relu"}
