"""Replay on the small model: what holds, and each way in which it does not, told apart by name."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

import storage
from explainer.language import Languages
from fakes import FakeCatalogue, FakeRecommender
from server.application import Application, Patience
from server.bundles import Bundles, SwappedBundleError
from server.config import Config
from server.errors import ExplanationNotFoundError
from server.models import Models
from server.progress import Progress, Step
from server.replay import TOLERANCE, Agreement, Replay, Verdict, replay
from server.replaying import Replayer
from storage.models import ExplanationRow
from storage.records import encode

if TYPE_CHECKING:
    from pathlib import Path

LANGUAGES = Languages(None)


def made(
    model: FakeRecommender | None = None, history: tuple[str, ...] = ("d", "a", "b", "c")
) -> storage.ExplanationRecord:
    config = Config()
    application = Application(Models(model or FakeRecommender(), config), config, None)
    return application.explain(history, None, config.explain.settings(), "42", Patience())


def replayed(record: storage.ExplanationRecord, model: FakeRecommender) -> Replay:
    return replay(record, model, model.bundle.catalogue.title, LANGUAGES)


def changed(record: storage.ExplanationRecord, **changes: Any) -> storage.ExplanationRecord:
    return replace(record, explanation=replace(record.explanation, **changes))


def test_an_honest_record_holds_to_the_last_bit() -> None:
    for history in (("d", "a", "b", "c"), ("c",), ("b", "c")):
        found = replayed(made(history=history), FakeRecommender())
        assert (found.verdict, found.bit_equal) == (Verdict.HOLDS, True)
        assert {fact.agreement for fact in found.facts} == {Agreement.EQUAL}


def test_every_field_is_compared_or_an_input() -> None:
    record = made()
    compared = {fact.name for fact in replayed(record, FakeRecommender()).facts}
    inputs = {"model_version", "history", "settings", "cost", "digests"}
    assert compared == {field.name for field in dataclasses.fields(record.explanation)} - inputs


def test_a_difference_within_the_tolerance_holds_and_is_shown() -> None:
    record = made()
    target = replace(record.explanation.target, score=record.explanation.target.score + TOLERANCE / 2)
    found = replayed(changed(record, target=target), FakeRecommender())
    assert (found.verdict, found.bit_equal) == (Verdict.HOLDS, False)
    (fact,) = [fact for fact in found.facts if fact.name == "target"]
    assert fact.agreement is Agreement.WITHIN_TOLERANCE
    assert "target.score" in fact.difference


def test_a_number_beyond_the_tolerance_is_named() -> None:
    record = made()
    effects = (replace(record.explanation.effects[0], score=9.0), *record.explanation.effects[1:])
    found = replayed(changed(record, effects=effects), FakeRecommender())
    assert found.verdict is Verdict.NUMBERS_DIFFER
    assert "effects[0].score: 9.0 stored" in found.summary


@pytest.mark.parametrize("field", ["graphs", "causes", "effects"])
def test_a_fact_that_is_gone_is_named(field: str) -> None:
    found = replayed(changed(made(), **{field: ()}), FakeRecommender())
    assert found.verdict is Verdict.FACTS_DIFFER
    assert found.summary.startswith(f"Facts differ: {field}")


def test_a_changed_replacement_is_named() -> None:
    record = made()
    counterfactual = record.explanation.counterfactual
    assert counterfactual is not None
    other = replace(counterfactual, replacement=replace(counterfactual.replacement, item="q"))
    found = replayed(changed(record, counterfactual=other), FakeRecommender())
    assert found.verdict is Verdict.FACTS_DIFFER
    assert "counterfactual.replacement.item: 'q' stored, 'r' recomputed" in found.summary


class Retitled(FakeRecommender):
    def __init__(self, version: str = "sha256:fake") -> None:
        super().__init__()
        titles = {"a": "Aliens", "b": "Brazil", "c": "Cube", "d": "", "t": "Them!", "r": "Ran", "q": "Quiz Show"}
        self.bundle.catalogue = FakeCatalogue(titles)
        self.version = version


class Shifted(FakeRecommender):
    def __init__(self, version: str = "sha256:fake") -> None:
        super().__init__()
        self.gives["a"]["t"] = 2.001
        self.version = version


@pytest.mark.parametrize("version", ["sha256:fake", "sha256:other"])
def test_a_changed_title_is_told_from_a_swapped_model(version: str) -> None:
    found = replayed(made(), Retitled(version))
    assert found.verdict is Verdict.WORDS_CHANGED
    assert "'Alien' stored, 'Aliens' recomputed" in found.summary


def test_a_swapped_model_is_told_from_numbers_that_differ() -> None:
    assert replayed(made(), Shifted("sha256:other")).verdict is Verdict.MODEL_SWAPPED
    assert replayed(made(), Shifted()).verdict is Verdict.NUMBERS_DIFFER


def test_inputs_that_are_not_those_of_the_digest_are_tampered() -> None:
    assert replayed(replace(made(), older_history=()), FakeRecommender()).verdict is Verdict.RECORD_TAMPERED


def test_a_model_that_no_longer_recommends_the_item_says_so() -> None:
    record = made()
    settings = replace(record.explanation.settings, top_k=1)
    weak = FakeRecommender()
    weak.bias["t"] = -5.0
    found = replayed(changed(record, settings=settings), weak)
    assert found.verdict is Verdict.FACTS_DIFFER
    assert "outside the top 1" in found.summary


@pytest.fixture
def stored(database: storage.Database) -> storage.ExplanationRecord:
    record = made()
    storage.ExplanationRepository(database).add([record])
    return record


def replayer(database: storage.Database, tmp_path: Path, active: Any = None) -> Replayer:
    explanations, trail = storage.ExplanationRepository(database), storage.AuditTrail(database)
    return Replayer(explanations, trail, Bundles(tmp_path, active and (lambda: active)), LANGUAGES)


def test_an_edited_record_is_tampered_whatever_it_says(
    database: storage.Database, stored: storage.ExplanationRecord, tmp_path: Path
) -> None:
    told = replayer(database, tmp_path, FakeRecommender())
    assert told.replay(stored.id).verdict is Verdict.HOLDS
    for payload in (encode(changed(stored, reason="Because we say so")), "{}", ""):
        with database.writing() as connection:
            connection.execute(update(ExplanationRow).values(payload=payload))
        assert told.replay(stored.id).verdict is Verdict.RECORD_TAMPERED


def test_a_replay_tells_how_far_it_is(
    database: storage.Database, stored: storage.ExplanationRecord, tmp_path: Path
) -> None:
    progress = Progress()
    seen = []

    class Watched(FakeRecommender):
        def without(self, *args: Any, **kwargs: Any) -> Any:
            seen.append((progress.step, progress.scored))
            return super().without(*args, **kwargs)

    assert (progress.step, progress.scored) == (Step.WAITING, 0)
    assert replayer(database, tmp_path, Watched()).replay(stored.id, progress).verdict is Verdict.HOLDS

    assert {step for step, _ in seen} == {Step.COMPUTE}
    assert [scored for _, scored in seen] == sorted(scored for _, scored in seen)
    assert progress.step is Step.COMPARE
    assert progress.scored == progress.rows == stored.explanation.cost.rows_scored > 0


def test_a_model_that_is_not_at_hand_is_named(
    database: storage.Database, stored: storage.ExplanationRecord, tmp_path: Path
) -> None:
    found = replayer(database, tmp_path).replay(stored.id)
    assert found.verdict is Verdict.MODEL_MISSING
    assert "sha256:fake" in found.summary
    with pytest.raises(ExplanationNotFoundError):
        replayer(database, tmp_path).replay(storage.new_id())


def test_a_damaged_bundle_under_the_version_is_a_swapped_model(
    database: storage.Database, stored: storage.ExplanationRecord, tmp_path: Path
) -> None:
    (tmp_path / "fake").mkdir()
    with pytest.raises(SwappedBundleError):
        Bundles(tmp_path).model("sha256:fake")
    assert replayer(database, tmp_path).replay(stored.id).verdict is Verdict.MODEL_SWAPPED


def test_bundles_are_kept_once(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "file").write_text("one")
    bundles = Bundles(tmp_path / "kept")
    kept = bundles.keep(tmp_path / "bundle", "sha256:1")
    (tmp_path / "bundle" / "file").write_text("two")
    assert bundles.keep(tmp_path / "bundle", "sha256:1") == kept
    assert (kept / "file").read_text() == "one"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["1"]
