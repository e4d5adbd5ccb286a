"""The models of one process: the one that answers, and how another takes its place while calls go on.

A call takes a lease on the active model when it begins, and computes on that model to its end. A model that was replaced goes
on until its last lease is given back; then its thread ends and nothing refers to it any more.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from operator import attrgetter
from threading import Lock
from typing import TYPE_CHECKING, Any

from explainer.language import Languages
from explainer.reason import Wording
from server.bundles import Bundles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from explainer.model import History, ScoredItem
    from recommender import Recommender
    from recommender.catalogue import Catalogue
    from server.batching import Batcher, Pass
    from server.config import Config
    from server.scheduling import Scheduler

logger = logging.getLogger(__name__)


class Served:
    """A model at work. Close it when nobody asks it any more.

    Args:
        recommender: the model.
        languages: how it speaks.
        scheduler: whose threads it is asked from; None where calls are computed one at a time.
    """

    def __init__(self, recommender: Recommender, languages: Languages, scheduler: Scheduler | None) -> None:
        self.recommender = recommender
        self.wording = Wording(recommender.bundle.catalogue.title, languages)
        self.leases = 0
        """Calls that compute on it; `Models` counts them."""

        self._scheduler = scheduler
        self.batcher: Batcher[Any, Any] | None = (
            None
            if scheduler is None
            else scheduler.batcher(recommender.answers, attrgetter("rows"), side_by_side=recommender.side_by_side)
        )
        """Joins the questions of its calls; no other model's are among them."""

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.recommender.version

    @property
    def catalogue(self) -> Catalogue:
        """Its items."""
        return self.recommender.bundle.catalogue

    def model(self, cancelled: Callable[[], bool]) -> Recommender:
        """The model, whose passes are shared with the calls beside this one."""
        scheduler, batcher = self._scheduler, self.batcher
        if scheduler is None or batcher is None:
            return self.recommender
        return self.recommender.through(lambda question: scheduler.ask(batcher, question, cancelled))

    async def top(self, history: History, k: int) -> tuple[ScoredItem, ...]:
        """As the recommender's, from an event loop: the question goes straight to the model's thread.

        Raises:
            RuntimeError: there is no such thread.
            CancelledError: the model was put away.
        """
        if self.batcher is None:
            raise RuntimeError("This model was made without a scheduler.")
        asked = self.batcher.submit(self.recommender.ranking(history, k))
        return self.recommender.listed(await asyncio.wrap_future(asked))

    def close(self) -> None:
        """End its thread."""
        if self.batcher is not None:
            self.batcher.close()


class Models:
    """The active model and the one that it replaced. Safe in threads.

    Args:
        recommender: the model that is active at first.
        config: folders and languages.
        scheduler: the threads that compute, which are closed with the models; None for calls one at a time.
    """

    def __init__(self, recommender: Recommender, config: Config, scheduler: Scheduler | None = None) -> None:
        self._scheduler = scheduler
        self._languages = Languages(config.languages)
        self._lock = Lock()
        self._draining: Served | None = None
        self.passed: Callable[[Pass], None] = lambda _: None
        """Is told of each pass of a model, on the thread that ran it."""

        self.behind = False
        """Whether another model was to answer, and this instance cannot load it (server/activation.py)."""

        self._active = self.made(recommender)
        self.bundles = Bundles.of(config, lambda: self.active.recommender)
        """Where models are kept."""

    @property
    def active(self) -> Served:
        """The model that answers calls that begin now. To compute on it, take a lease."""
        return self._active

    @property
    def draining(self) -> Served | None:
        """The model that was replaced, while calls go on that began on it."""
        return self._draining

    @property
    def version(self) -> str:
        """The active model's version."""
        return self.active.version

    @property
    def batcher(self) -> Batcher[Any, Any]:
        """The active model's.

        Raises:
            RuntimeError: there is none, since calls are computed one at a time.
        """
        if self.active.batcher is None:
            raise RuntimeError("These models were made without a scheduler.")
        return self.active.batcher

    @property
    def scheduler(self) -> Scheduler:
        """The threads that compute.

        Raises:
            RuntimeError: there are none, since calls are computed one at a time.
        """
        if self._scheduler is None:
            raise RuntimeError("These models were made without a scheduler.")
        return self._scheduler

    def made(self, recommender: Recommender) -> Served:
        """A model at work, which answers nobody yet."""
        served = Served(recommender, self._languages, self._scheduler)
        if served.batcher is not None:
            served.batcher.passed = self._pass_on
        return served

    @contextmanager
    def lease(self) -> Iterator[Served]:
        """The active model, which stays whole until the lease is given back."""
        with self._lock:
            served = self._active
            served.leases += 1
        try:
            yield served
        finally:
            with self._lock:
                served.leases -= 1
                last = served is self._draining and not served.leases
            if last:
                self._unload(served)

    def switch(self, fresh: Served) -> None:
        """Have another model answer from now on; the one before is put away when its last call ends.

        Raises:
            RuntimeError: the model before that has not been put away yet.
        """
        with self._lock:
            if self._draining is not None:
                raise RuntimeError("A model is still drained; wait until it is put away.")
            before, self._active = self._active, fresh
            self._draining = before
            calls = before.leases
        logger.info("%s answers from now on; %d calls finish on %s", fresh.version, calls, before.version)
        if not calls:
            self._unload(before)

    def close(self) -> None:
        """Let what is computed finish, then put everything away."""
        if self._scheduler is not None:
            self._scheduler.close()
        self.active.close()

    def _pass_on(self, one: Pass) -> None:
        self.passed(one)

    def _unload(self, served: Served) -> None:
        served.close()
        with self._lock:
            self._draining = None
        logger.info("%s was put away", served.version)
