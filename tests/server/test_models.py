"""Leases: a call keeps its model to its end, and a model that was replaced goes when its last call does."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from fakes import FakeRecommender
from server.config import Batching, Config
from server.models import Models
from server.scheduling import Scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator


def fake(version: str) -> FakeRecommender:
    model = FakeRecommender()
    model.version = model.bundle.version = version
    return model


def until_gone(models: Models) -> None:
    end = time.monotonic() + 30
    while models.draining is not None:
        assert time.monotonic() < end
        time.sleep(0.0005)


@pytest.fixture(name="models")
def _models() -> Iterator[Models]:
    models = Models(fake("sha256:a"), Config(), Scheduler(Batching(calls=4)))
    yield models
    models.close()


def test_a_call_ends_on_the_model_that_it_began_on(models: Models) -> None:
    with models.lease() as before:
        fresh = models.made(fake("sha256:b"))
        models.switch(fresh)
        with models.lease() as after:
            assert (before.version, after.version, models.version) == ("sha256:a", "sha256:b", "sha256:b")
        assert models.draining is before
        assert before.batcher.alive
    assert models.draining is None
    assert not before.batcher.alive
    assert models.batcher is fresh.batcher
    assert fresh.batcher.alive


def test_a_model_without_calls_goes_at_once(models: Models) -> None:
    before = models.active
    models.switch(models.made(fake("sha256:b")))
    assert (models.draining, before.batcher.alive) == (None, False)


def test_there_are_never_more_than_two(models: Models) -> None:
    third = models.made(fake("sha256:c"))
    with models.lease():
        models.switch(models.made(fake("sha256:b")))
        with pytest.raises(RuntimeError, match="still drained"):
            models.switch(third)
    models.switch(third)
    assert models.version == "sha256:c"


def test_a_call_that_fails_gives_its_lease_back(models: Models) -> None:
    before = models.active
    lease = models.lease()
    lease.__enter__()
    models.switch(models.made(fake("sha256:b")))
    assert lease.__exit__(ValueError, ValueError(), None) is False
    assert not before.batcher.alive


def test_passes_of_every_model_are_told(models: Models) -> None:
    told: list[int] = []
    models.passed = lambda one: told.append(one.questions)
    for version in ("sha256:b", "sha256:c"):
        model = fake(version)
        model.answers = lambda questions: questions
        served = models.made(model)
        served.batcher._rows = lambda _: 1
        models.switch(served)
        assert served.batcher.ask("question") == "question"
    models.close()
    assert told == [1, 1]


def test_a_model_answers_whoever_has_a_lease_on_it_however_models_change(models: Models) -> None:
    stop = threading.Event()

    def call() -> int:
        leases = 0
        while not stop.is_set():
            with models.lease() as served:
                time.sleep(0.0005)
                assert served.batcher.alive
                assert served.leases > 0
                leases += 1
        return leases

    with ThreadPoolExecutor(4) as callers:
        calls = [callers.submit(call) for _ in range(4)]
        for number in range(60):
            until_gone(models)
            models.switch(models.made(fake(f"sha256:{number}")))
        stop.set()
        assert min(one.result(30) for one in calls) > 0
    until_gone(models)
    assert (models.active.leases, models.version) == (0, "sha256:59")


def test_without_a_scheduler_there_are_no_threads() -> None:
    models = Models(fake("sha256:a"), Config())
    with models.lease() as served:
        assert served.model(lambda: False) is served.recommender
    for name in ("scheduler", "batcher"):
        with pytest.raises(RuntimeError, match="without a scheduler"):
            getattr(models, name)
    models.close()
