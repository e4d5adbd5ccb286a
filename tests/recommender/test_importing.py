"""From a checkpoint and its data set to a bundle: the vocabulary is exact, proved, or refused."""

from __future__ import annotations

import json
import pickle
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from plain_models import PlainModel
from recbole_files import TOKENS, architecture, random_weights, recbole_names, settings, write_checkpoint, write_dataset
from recommender import HistoryPolicy, Recommender, import_checkpoint, load_bundle, read_dataset
from recommender.errors import SelfCheckError, TrainingError, VocabularyError
from recommender.evaluation import metric, quality, ranks
from recommender.training import train
from recommender.vocabulary import read_vocabulary

if TYPE_CHECKING:
    from pathlib import Path

    from recommender.architecture import Architecture


def plain_metric(shape: Architecture, data: Path, cut: int = 10) -> float:
    """NDCG of the validation items as RecBole computes it: its input, every item a candidate but padding."""
    model, gains = PlainModel(shape, random_weights(shape)), []
    for case in read_dataset(data).held_out("valid"):
        numbers = [TOKENS.index(token) for token in case.history][-shape.max_list :]
        scores = model.scores(numbers[1:] if shape.drops_oldest else numbers)
        rank = 1 + (scores[1:] > scores[TOKENS.index(case.target)]).sum()
        gains.append(1 / np.log2(rank + 1) if rank <= cut else 0)
    return float(np.mean(gains))


@pytest.fixture(name="data")
def _data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "tiny")


def checkpoint(folder: Path, data: Path, model: str = "BERT4Rec", layout: str = "1.2.1", **config: Any) -> Path:
    """A checkpoint with the score that RecBole would have stored."""
    shape = architecture(model, layout)
    score = np.float64(round(plain_metric(shape, data), 4))
    changes = {"best_valid_score": config.pop("score", score)}
    return write_checkpoint(folder / "c.pth", settings(shape, layout, **config), random_weights(shape), **changes)


@pytest.mark.parametrize(
    ("model", "layout"), [("BERT4Rec", "1.2.1"), ("BERT4Rec", "1.1.1"), ("SASRec", "1.2.1"), ("SASRec", "1.0.1")]
)
def test_the_stored_metric_is_reproduced(tmp_path: Path, data: Path, model: str, layout: str) -> None:
    """Both figures are in the result and in the manifest."""
    imported = import_checkpoint(checkpoint(tmp_path, data, model, layout), data=data, out=tmp_path / "bundle")

    check = imported.self_check
    assert check.agrees
    assert check.metric == "NDCG@10"
    assert check.recomputed == pytest.approx(plain_metric(architecture(model, layout), data), abs=1e-6)
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.manifest["self_check"]["recomputed"] == check.recomputed
    assert bundle.manifest["source"]["dataset"] == "tiny"
    assert bundle.version == imported.bundle.version
    assert bundle.catalogue.title("item-3") == "Title of item-3"
    assert bundle.catalogue.field("item-3", "year") == "1992"
    assert bundle.data_settings is not None


def test_a_wrong_numbering_fails_the_import(tmp_path: Path, data: Path) -> None:
    """The right number of items in another order; the error has both figures and a way out."""
    path = checkpoint(tmp_path, data)
    vocabulary = tmp_path / "vocabulary.json"
    vocabulary.write_text(json.dumps({"tokens": ["[PAD]", *reversed(TOKENS[1:])]}))

    with pytest.raises(SelfCheckError, match=r"skip the self-check by name") as error:
        import_checkpoint(path, data=data, vocabulary=vocabulary, out=tmp_path / "bundle")

    assert error.value.stored != pytest.approx(error.value.recomputed, abs=1e-3)
    assert not (tmp_path / "bundle").exists()
    forced = import_checkpoint(path, data=data, vocabulary=vocabulary, out=tmp_path / "bundle", skip_self_check=True)
    assert not forced.self_check.agrees
    assert forced.self_check.recomputed == error.value.recomputed


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"score": float("-inf")}, "never validated"),
        ({"valid_metric": "AUC"}, "AUC is not one of"),
        ({"valid_metric": "NDCG@0"}, "not one of"),
        ({"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "mode": "full"}}, "leave-one-out"),
        ({"eval_args": {"split": {"LS": "valid_and_test"}, "mode": "uni100"}}, "whole catalogue"),
        ({"eval_args": None}, "leave-one-out"),
    ],
)
def test_what_cannot_be_checked_says_why(tmp_path: Path, data: Path, config: dict[str, Any], reason: str) -> None:
    """The import goes on: nothing contradicts the vocabulary."""
    check = import_checkpoint(checkpoint(tmp_path, data, **config), data=data, out=tmp_path / "bundle").self_check

    assert reason in check.reason
    assert check.recomputed is None
    assert not check.agrees


def test_a_vocabulary_is_needed(tmp_path: Path, data: Path) -> None:
    """The message holds the line that exports one."""
    path = checkpoint(tmp_path, data)

    with pytest.raises(VocabularyError, match=r"json\.dump"):
        import_checkpoint(path, out=tmp_path / "bundle")
    exported = tmp_path / "vocabulary.json"
    exported.write_text(json.dumps({"item_field": "item_id", "tokens": list(TOKENS)}))

    imported = import_checkpoint(path, vocabulary=exported, out=tmp_path / "bundle")

    assert imported.self_check.reason == "no data set was given"
    assert imported.bundle.catalogue.tokens() == list(TOKENS[1:])
    assert imported.bundle.catalogue.title("item-1") == ""


def test_duplicates_that_recbole_removed_need_an_exported_vocabulary(tmp_path: Path, data: Path) -> None:
    """Its order is not reproducible from raw files; with a vocabulary the files still give titles."""
    path = checkpoint(tmp_path, data, rm_dup_inter="first")

    with pytest.raises(VocabularyError, match="rm_dup_inter"):
        import_checkpoint(path, data=data, out=tmp_path / "bundle")
    exported = tmp_path / "vocabulary.json"
    exported.write_text(json.dumps({"tokens": list(TOKENS)}))

    imported = import_checkpoint(path, data=data, vocabulary=exported, out=tmp_path / "bundle")

    assert imported.bundle.catalogue.title("item-2") == "Title of item-2"


def test_another_data_set_is_refused(tmp_path: Path, data: Path) -> None:
    """The number of items tells."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "other.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\nu\ti\t1\n")

    with pytest.raises(VocabularyError, match="has 1 items and the checkpoint 29"):
        import_checkpoint(checkpoint(tmp_path, data), data=other, out=tmp_path / "bundle")


def test_the_title_column_can_be_named(tmp_path: Path, data: Path) -> None:
    """One that is not there is refused with those that are."""
    path = checkpoint(tmp_path, data)

    named = import_checkpoint(path, data=data, out=tmp_path / "bundle", title_field="year")

    assert named.bundle.catalogue.title("item-1") == "1990"
    with pytest.raises(VocabularyError, match="movie_title, year"):
        import_checkpoint(path, data=data, out=tmp_path / "bundle", title_field="name")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"tokens": 3}',
        b'{"tokens": ["[PAD]", 3]}',
        b'{"tokens": []}',
        b'{"tokens": ["a", "b", "c"]}',
        b'{"tokens": ["[PAD]", "a", "a"]}',
        b'{"tokens": ["[PAD]", "a", ""]}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_vocabulary_is_refused(tmp_path: Path, content: bytes) -> None:
    """Each says what to do."""
    path = tmp_path / "v.json"
    path.write_bytes(content)

    with pytest.raises(VocabularyError, match=r"write one with|export RecBole|give the data set"):
        read_vocabulary(path, "item_id", 3)


def test_a_missing_vocabulary_is_refused(tmp_path: Path) -> None:
    """As the system says it."""
    with pytest.raises(VocabularyError, match="cannot be read"):
        read_vocabulary(tmp_path / "none.json", "item_id", 3)


@pytest.mark.parametrize("keys", [str, np.str_])
def test_recboles_saved_data_set_is_read_as_data(tmp_path: Path, keys: type[str]) -> None:
    """Its tokens are a numpy array of text, its keys text or numpy text."""

    class Saved:
        """Stands for RecBole's SequentialDataset."""

        def __init__(self) -> None:
            self.field2id_token = {keys("user_id"): np.array(["[PAD]", "u"]), keys("item_id"): np.array(TOKENS)}
            self.more = np.arange(3)

    Saved.__module__, Saved.__qualname__ = "recbole.data.dataset.sequential_dataset", "Saved"
    path = tmp_path / "saved.pth"
    with recbole_names():
        module = type(sys)(Saved.__module__)
        module.Saved = Saved  # type: ignore[attr-defined]
        parents = ("recbole.data", "recbole.data.dataset", Saved.__module__)
        sys.modules.update(dict.fromkeys(parents, module))
        path.write_bytes(pickle.dumps(Saved(), 4))
        for name in parents:
            del sys.modules[name]

    assert read_vocabulary(path, "item_id", len(TOKENS)) == TOKENS
    with pytest.raises(VocabularyError, match="save_dataset"):
        read_vocabulary(path, "other_id", len(TOKENS))


def test_the_two_conventions_are_never_mixed(tmp_path: Path, data: Path) -> None:
    """Excluding the history can only improve a held-out item's rank."""
    bundle = import_checkpoint(checkpoint(tmp_path, data), data=data, out=tmp_path / "bundle").bundle
    held_out = read_dataset(data, bundle.data_settings).held_out("test")
    model = Recommender(bundle, history_policy=HistoryPolicy.KEEP_ALL)

    with_history = ranks(model, held_out, exclude_history=False)
    without = ranks(model, held_out, exclude_history=True)

    assert (without <= with_history).all()
    assert (without < with_history).any()
    found = quality(model, held_out, exclude_history=True, k=5)
    assert found.users == len(held_out)
    assert found.hit == pytest.approx((without <= 5).mean())


@pytest.mark.parametrize(
    ("name", "expected"),
    [("hit@2", 0.5), ("Recall@2", 0.5), ("MRR@2", 0.375), ("MAP@2", 0.375), ("NDCG@2", 0.4077), ("Precision@2", 0.25)],
)
def test_metrics_of_one_held_out_item(name: str, expected: float) -> None:
    """For the ranks 1, 2, 3 and 9: by hand."""
    assert metric(name, np.array([1, 2, 3, 9])) == pytest.approx(expected, abs=1e-4)


def test_training_needs_recbole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And says how to get it; nothing else of the package does."""
    monkeypatch.setattr("recommender.training.find_spec", lambda _: None)

    with pytest.raises(TrainingError, match=r"make \.venv-recbole"):
        train("ml-100k", tmp_path)
    assert "recommender.recbole_run" not in sys.modules
