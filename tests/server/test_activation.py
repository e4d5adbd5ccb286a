"""Activation with real models: what is refused changes nothing, and what is decided is followed and survives a restart."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import storage
from explainer.errors import CancelledError
from recommender.errors import BundleError
from server.activation import Activations, starting_model
from server.bundles import Bundles
from server.config import Config, ConfigError
from server.errors import (
    ActivationUnderWayError,
    InvalidPageTokenError,
    ModelDamagedError,
    ModelNotFoundError,
    RequestError,
)
from server.model_list import Figure, State
from server.models import Models
from server.scheduling import Scheduler
from small_models import HISTORY, bundle, damage, kept, loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Instance = Callable[..., Activations]


class Held(storage.ActivationRepository):
    """Stores a decision when it is let."""

    def __init__(self, database: storage.Database) -> None:
        super().__init__(database)
        self.asked, self.let = threading.Event(), threading.Event()

    def add(self, model_version: str, *, actor: str) -> None:
        self.asked.set()
        assert self.let.wait(60)
        super().add(model_version, actor=actor)


@pytest.fixture(name="versions")
def _versions(tmp_path: Path) -> list[str]:
    return [kept(tmp_path, seed) for seed in range(2)]


@pytest.fixture(name="decisions")
def _decisions(sqlite_url: str) -> Iterator[storage.ActivationRepository]:
    storage.upgrade(sqlite_url)
    with storage.Database(sqlite_url) as database:
        yield storage.ActivationRepository(database)


@pytest.fixture(name="instance")
def _instance(tmp_path: Path, versions: list[str], decisions: storage.ActivationRepository) -> Iterator[Instance]:
    """Makes instances of the service that serve the first model."""
    opened: list[Models] = []

    def make(decided: storage.ActivationRepository | None = None, folder: Path | None = None) -> Activations:
        config = Config(bundles=folder or tmp_path / "bundles", follow_seconds=0.02)
        models = Models(loaded(tmp_path, versions[0]), config, Scheduler(config.batching))
        opened.append(models)
        models.all = [models.active]
        made = models.made
        models.made = lambda recommender: models.all.append(made(recommender)) or models.all[-1]
        return Activations(models, decided or decisions, config)

    yield make
    for models in opened:
        models.close()


@pytest.fixture(name="activations")
def _activations(instance: Instance) -> Activations:
    return instance()


def until(activations: Activations, come: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not come():
        assert activations._follower.is_alive()
        assert time.monotonic() < end
        time.sleep(0.01)


def top(activations: Activations) -> list[Any]:
    with activations._models.lease() as served:
        return [*served.recommender.top(served.recommender.window(HISTORY), 5)]


def states(activations: Activations) -> list[State]:
    return [info.state for info in activations.list(0, "").models]


def test_a_model_is_activated(
    activations: Activations, versions: list[str], decisions: storage.ActivationRepository, tmp_path: Path
) -> None:
    before = activations._models.active
    info = activations.activate(versions[1], actor="ann")

    assert (info.version, info.state) == (versions[1], State.ACTIVE)
    assert activations._models.version == versions[1]
    recommender = loaded(tmp_path, versions[1])
    assert top(activations) == [*recommender.top(recommender.window(HISTORY), 5)]
    assert not before.batcher.alive
    found = decisions.latest()
    assert (found.model_version, found.actor) == (versions[1], "ann")


def test_models_are_described(activations: Activations, versions: list[str]) -> None:
    newest, oldest = activations.list(0, "").models
    assert (newest.version, newest.state) == (versions[1], State.AVAILABLE)
    assert (oldest.version, oldest.state) == (versions[0], State.ACTIVE)
    assert (newest.architecture, newest.dataset, newest.items, newest.max_history) == ("BERT4Rec", "tiny", 29, 11)
    assert newest.figures == (Figure("NDCG@10", 0.08, 0.08),)
    assert oldest.figures == (Figure("NDCG@10", 0.08, None),)
    assert newest.size_bytes > 10_000
    assert newest.create_time.isoformat() == "2026-01-02T12:00:00+00:00"
    assert activations.get(versions[1]) == newest


def test_an_active_model_that_was_not_kept_is_listed_all_the_same(
    activations: Activations, versions: list[str], tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "bundles")
    (info,) = activations.list(0, "").models
    assert (info.version, info.state, info.items) == (versions[0], State.ACTIVE, 29)


def test_pages(activations: Activations, versions: list[str]) -> None:
    first = activations.list(1, "")
    second = activations.list(1, first.next_page_token)
    assert [one.version for one in (*first.models, *second.models)] == versions[::-1]
    assert second.next_page_token == ""
    with pytest.raises(InvalidPageTokenError):
        activations.list(1, "nonsense")
    with pytest.raises(RequestError, match="page_size"):
        activations.list(-1, "")


def unchanged(activations: Activations, versions: list[str], decisions: storage.ActivationRepository) -> None:
    assert activations._models.version == versions[0]
    assert activations._models.batcher.alive
    assert len(top(activations)) == 5
    assert decisions.latest() is None
    assert [one.version for one in activations._models.all if one.batcher.alive] == [versions[0]]


def test_a_damaged_model_is_refused(
    activations: Activations, versions: list[str], decisions: storage.ActivationRepository, tmp_path: Path
) -> None:
    damage(tmp_path, versions[1])
    with pytest.raises(ModelDamagedError, match="not what its digest says; add its bundle again"):
        activations.activate(versions[1], actor="ann")
    unchanged(activations, versions, decisions)


def test_another_model_under_the_name_is_refused(
    activations: Activations, versions: list[str], decisions: storage.ActivationRepository, tmp_path: Path
) -> None:
    bundles = Bundles(tmp_path / "bundles")
    shutil.rmtree(bundles.path(versions[1]))
    shutil.copytree(bundles.path(versions[0]), bundles.path(versions[1]))
    assert states(activations) == [State.ACTIVE, State.DAMAGED]
    with pytest.raises(ModelDamagedError):
        activations.activate(versions[1], actor="ann")
    unchanged(activations, versions, decisions)


def test_a_model_that_computes_no_numbers_is_refused(
    activations: Activations, versions: list[str], decisions: storage.ActivationRepository, tmp_path: Path
) -> None:
    version = kept(tmp_path, 2, broken=True)
    with pytest.raises(ModelDamagedError, match="gives no scores; train it again"):
        activations.activate(version, actor="ann")
    unchanged(activations, versions, decisions)


def test_an_unknown_model_is_not_found(
    activations: Activations, versions: list[str], decisions: storage.ActivationRepository
) -> None:
    for ask in (activations.get, lambda version: activations.activate(version, actor="ann")):
        with pytest.raises(ModelNotFoundError, match="becausal models add"):
            ask("sha256:" + 64 * "0")
    unchanged(activations, versions, decisions)


def test_validation_alone_changes_nothing(
    activations: Activations, versions: list[str], decisions: storage.ActivationRepository
) -> None:
    assert activations.activate(versions[1], actor="ann", validate_only=True).state is State.AVAILABLE
    unchanged(activations, versions, decisions)


def test_a_caller_that_goes_in_time_changes_nothing(
    activations: Activations, versions: list[str], decisions: storage.ActivationRepository
) -> None:
    with pytest.raises(CancelledError, match="nothing changed"):
        activations.activate(versions[1], actor="ann", cancelled=lambda: True)
    unchanged(activations, versions, decisions)


def test_a_decision_that_cannot_be_stored_changes_nothing(
    instance: Instance, versions: list[str], decisions: storage.ActivationRepository, tmp_path: Path
) -> None:
    with storage.Database(f"sqlite:///{tmp_path / 'not there.db'}") as gone:
        activations = instance(storage.ActivationRepository(gone))
        with pytest.raises(storage.DatabaseUnavailableError):
            activations.activate(versions[1], actor="ann")
    unchanged(activations, versions, decisions)


def test_one_activation_at_a_time(instance: Instance, versions: list[str], sqlite_url: str) -> None:
    with storage.Database(sqlite_url) as database, ThreadPoolExecutor(1) as other:
        decisions = Held(database)
        activations = instance(decisions)
        first = other.submit(activations.activate, versions[1], actor="ann")
        assert decisions.asked.wait(60)
        with pytest.raises(ActivationUnderWayError, match="being activated already"):
            activations.activate(versions[1], actor="bob")
        assert activations.follow() is False
        decisions.let.set()
        assert first.result(60).state is State.ACTIVE
        assert decisions.latest().actor == "ann"


def test_the_model_before_has_to_be_gone_first(activations: Activations, versions: list[str]) -> None:
    with activations._models.lease():
        activations.activate(versions[1], actor="ann")
        assert states(activations) == [State.ACTIVE, State.DRAINING]
        with pytest.raises(ActivationUnderWayError, match="Calls still finish"):
            activations.activate(versions[0], actor="ann")
    assert activations.activate(versions[0], actor="ann").state is State.ACTIVE


def test_activating_the_active_model_decides_once(
    activations: Activations, versions: list[str], decisions: storage.ActivationRepository
) -> None:
    assert activations.activate(versions[0], actor="ann", validate_only=True).state is State.ACTIVE
    assert decisions.latest() is None
    for actor in ("ann", "bob"):
        assert activations.activate(versions[0], actor=actor).state is State.ACTIVE
    assert decisions.latest().actor == "ann"


def test_another_instance_follows(instance: Instance, versions: list[str]) -> None:
    here, there = instance(), instance()
    there.start()
    for version in (versions[1], versions[0]):
        here.activate(version, actor="ann")
        until(there, lambda: there._models.version == version)  # noqa: B023 - at once
    there.close()
    assert top(here) == top(there)


def test_an_instance_that_cannot_follow_says_so_once_and_goes_on(
    instance: Instance, versions: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = tmp_path / "elsewhere"
    here, there = instance(), instance(folder=elsewhere)
    here.activate(versions[1], actor="ann")
    with caplog.at_level(logging.ERROR):
        assert [there.follow() for _ in range(3)] == [False] * 3
    assert caplog.text.count("was to answer") == 1
    assert (there._models.version, there._models.behind) == (versions[0], True)

    Bundles(elsewhere).keep(Bundles(tmp_path / "bundles").path(versions[1]), versions[1])
    assert there.follow() is True
    assert (there._models.version, there._models.behind) == (versions[1], False)


def test_following_goes_on_after_the_database_was_away(
    instance: Instance, versions: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = tmp_path / "away.db"
    here, there = instance(), instance()
    here.activate(versions[1], actor="ann")
    with storage.Database(f"sqlite:///{away}") as gone:
        there._decisions = storage.ActivationRepository(gone)
        there.start()
        until(there, lambda: "cannot be read" in caplog.text)
        there._decisions = here._decisions
        until(there, lambda: there._models.version == versions[1])
    there.close()
    assert caplog.text.count("cannot be read") == 1


def started(config: Config, decisions: storage.ActivationRepository) -> str:
    return starting_model(config, Bundles.of(config), decisions).version


def test_the_setting_counts_until_there_is_a_decision(
    tmp_path: Path, versions: list[str], decisions: storage.ActivationRepository, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(bundle=tmp_path / "bundle-0", bundles=tmp_path / "bundles")
    assert started(config, decisions) == versions[0]
    decisions.add(versions[0], actor="ann")
    assert started(config, decisions) == versions[0]
    assert caplog.text == ""
    decisions.add(versions[1], actor="ann")
    assert started(config, decisions) == versions[1]
    assert "becausal models activate" in caplog.text


def test_a_decision_needs_no_setting(
    tmp_path: Path, versions: list[str], decisions: storage.ActivationRepository
) -> None:
    config = Config(bundle=tmp_path / "nothing", bundles=tmp_path / "bundles")
    with pytest.raises(BundleError):
        started(config, decisions)
    decisions.add(versions[1], actor="ann")
    assert started(config, decisions) == versions[1]


@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_a_decision_that_cannot_be_met_stops_the_start(
    tmp_path: Path, versions: list[str], decisions: storage.ActivationRepository, fault: str
) -> None:
    config = Config(bundle=tmp_path / "bundle-0", bundles=tmp_path / "bundles")
    decisions.add(versions[1], actor="ann")
    if fault == "missing":
        shutil.rmtree(Bundles(tmp_path / "bundles").path(versions[1]))
    else:
        damage(tmp_path, versions[1])
    with pytest.raises(ConfigError, match=r"ann decided .* `becausal models add`, or decide otherwise"):
        started(config, decisions)


def test_a_replayed_model_that_is_activated_is_in_memory_once(activations: Activations, versions: list[str]) -> None:
    bundles = activations._models.bundles
    assert bundles.model(versions[1]).version == versions[1]
    activations.activate(versions[1], actor="ann")
    assert bundles._loaded is None
    assert bundles.model(versions[1]) is activations._models.active.recommender


def test_a_bundle_of_the_same_content_is_the_same_model(tmp_path: Path, versions: list[str]) -> None:
    assert bundle(tmp_path / "again", 1).version == versions[1]
