"""Activation: a model is loaded, checked and warmed, the decision stored, and only then does it answer.

The database holds the decisions, so that every instance on it answers by the same model, now and after a restart.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from math import isfinite
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from explainer.budget import Budget
from explainer.errors import CancelledError, ExplainerError
from explainer.explain import explain
from recommender import Recommender, load_bundle
from recommender.errors import BundleError, RecommenderError
from server.bundles import SwappedBundleError
from server.config import ConfigError
from server.errors import ActivationUnderWayError, ModelDamagedError, ModelNotFoundError
from server.model_list import ModelInfo, ModelPage, at_work, models_at_hand, named, not_found, page
from storage import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from explainer.settings import Settings
    from server.bundles import Bundles
    from server.config import Config
    from server.models import Models, Served
    from storage import Activation, ActivationRepository

logger = logging.getLogger(__name__)

LOOKING_SECONDS = 1.0
"""How long an activation waits for its turn before it takes another one to be under way."""

WARM_ITEMS = 8
"""Items of the history that a new model explains something after."""

WARM_ROWS = 200
"""Most histories that it scores for that."""


class Activations:
    """Shows the models at hand and decides which one answers. Safe in threads. Close it.

    Args:
        models: the models of this process.
        decisions: those of all instances.
        config: how a new model is tried, and how often decisions made elsewhere are looked for.
    """

    def __init__(self, models: Models, decisions: ActivationRepository, config: Config) -> None:
        self._models = models
        self._decisions = decisions
        self._settings = config.explain.settings()
        self._seconds = config.follow_seconds
        self._turn = Lock()
        self._failed: tuple[object, ...] = ()
        self._unreachable = False
        self._stop = Event()
        self._follower: Thread | None = None

    def list(self, page_size: int, page_token: str) -> ModelPage:
        """A page of the models at hand, newest first (server/model_list.py)."""
        return page(self._infos(), page_size, page_token)

    def get(self, version: str) -> ModelInfo:
        """A model at hand.

        Raises:
            ModelNotFoundError: it is not.
        """
        return named(self._infos(), version)

    def activate(
        self,
        version: str,
        *,
        actor: str,
        cancelled: Callable[[], bool] = lambda: False,
        validate_only: bool = False,
    ) -> ModelInfo:
        """Have a model answer from now on, here and at all instances. Until the decision is stored nothing changes.

        Args:
            version: which.
            actor: who decides it, for the audit log.
            cancelled: whether the caller has gone; asked until the decision is stored.
            validate_only: do all but decide and switch.

        Raises:
            ModelNotFoundError: no bundle of this version is kept here.
            ModelDamagedError: its files are not what its digest says, or it cannot explain anything.
            ActivationUnderWayError: another one is being activated, or the one before is not put away yet.
            CancelledError: the caller went away in time.
            DatabaseUnavailableError: the decision cannot be stored.
        """
        with self._in_turn():
            if version == self._models.version:
                if not validate_only:
                    decide(self._decisions, version, actor)
            else:
                with self._tried(version) as fresh:
                    if cancelled():
                        raise CancelledError("The caller cancelled the activation; nothing changed.")
                    if not validate_only:
                        decide(self._decisions, version, actor)
                        self._switch(fresh)
        return self.get(version)

    def follow(self) -> bool:
        """Answer by the model that was last decided on, if that is another one.

        Returns:
            Whether the model changed. One that cannot be loaded is logged, and tried again when its files change.

        Raises:
            DatabaseUnavailableError: the decision cannot be read.
        """
        if self._due() is None or not self._turn.acquire(blocking=False):
            return False
        try:
            # Read again in the turn: a decision of before it may be older than what answers now.
            decided = self._due()
            return decided is not None and self._models.draining is None and self._followed(decided)
        finally:
            self._turn.release()

    def start(self) -> None:
        """Follow decisions on a thread of its own until `close`."""
        self._follower = Thread(target=self._keep_following, name="models", daemon=True)
        self._follower.start()

    def close(self) -> None:
        """Let what is being loaded finish, and follow no more."""
        self._stop.set()
        if self._follower is not None:
            self._follower.join()

    def _infos(self) -> Sequence[ModelInfo]:
        return models_at_hand(self._models.bundles, at_work(self._models))

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        # Whoever follows a decision may have the turn only to find that there is nothing left to follow.
        if not self._turn.acquire(timeout=LOOKING_SECONDS):
            raise ActivationUnderWayError("A model is being activated already; try again when that is done.")
        try:
            if self._models.draining is not None:
                # So that there are never more than two models in memory, however long calls take.
                raise ActivationUnderWayError("Calls still finish on the model before; try again in a moment.")
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _tried(self, version: str) -> Iterator[Served]:
        """A model that has been checked and has explained something; put away unless it answers then."""
        fresh = self._models.made(checked(self._models.bundles, version))
        try:
            warm(fresh, self._settings)
            yield fresh
        finally:
            if self._models.active is not fresh:
                fresh.close()

    def _switch(self, fresh: Served) -> None:
        self._models.switch(fresh)
        self._models.behind, self._failed = False, ()
        self._models.bundles.forget(fresh.version)

    def _due(self) -> Activation | None:
        """The decision to follow; None where it is followed, or could not be and nothing has changed since."""
        decided = self._decisions.latest()
        if decided is None or decided.model_version == self._models.version:
            self._models.behind, self._failed = False, ()
            return None
        return None if self._failed == self._files(decided.model_version) else decided

    def _followed(self, decided: Activation) -> bool:
        version = decided.model_version
        files = self._files(version)
        try:
            with self._tried(version) as fresh:
                self._switch(fresh)
        except (ModelNotFoundError, ModelDamagedError) as error:
            self._models.behind, self._failed = True, files
            logger.error(  # noqa: TRY400 - the sentence says it all
                "%s was to answer since %s and %s goes on: %s",
                version,
                decided.create_time.isoformat(timespec="seconds"),
                self._models.version,
                error,
            )
            return False
        return True

    def _files(self, version: str) -> tuple[object, ...]:
        """What can be seen of a model's files without reading them."""
        folder = self._models.bundles.path(version)
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        return (version, *((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in found))

    def _keep_following(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self.follow()
            except StorageError as error:
                if not self._unreachable:  # once, not every few seconds
                    logger.warning("Which model is to answer cannot be read: %s", error)
                self._unreachable = True
            except Exception:
                logger.exception("The decision on another model could not be followed")
            else:
                self._unreachable = False


def checked(bundles: Bundles, version: str) -> Recommender:
    """A model that is kept, loaded, with every file compared with its digest.

    Raises:
        ModelNotFoundError: it is not kept.
        ModelDamagedError: it is not whole.
    """
    if not bundles.path(version).is_dir():
        raise not_found(version)
    try:
        return bundles.fresh(version)
    except SwappedBundleError as error:
        logger.warning("%s cannot be activated: %s", version, error)
        raise ModelDamagedError(
            f"The files of model {version} are not what its digest says; add its bundle again."
        ) from error


def decide(decisions: ActivationRepository, version: str, actor: str) -> None:
    """Store that a model is to answer, unless that is so already."""
    latest = decisions.latest()
    if latest is None or latest.model_version != version:
        decisions.add(version, actor=actor)


def warm(served: Served, settings: Settings) -> None:
    """Have a model explain something, so that its first caller does not wait, and see that numbers come out.

    Raises:
        ModelDamagedError: none do.
    """
    catalogue = served.catalogue
    history = served.recommender.window(catalogue.tokens(min(WARM_ITEMS, len(catalogue) // 2)))
    model = served.recommender
    if served.batcher is not None:
        model = model.through(served.batcher.ask)
    try:
        best = model.top(history, 1)
        if not best or not isfinite(best[0].score):
            raise ModelDamagedError(f"Model {served.version} gives no scores; train it again.")
        explain(model, history, settings=settings, wording=served.wording, budget=Budget(WARM_ROWS))
    except (ExplainerError, RecommenderError) as error:
        raise ModelDamagedError(f"Model {served.version} cannot explain anything: {error}") from error


def starting_model(config: Config, bundles: Bundles, decisions: ActivationRepository) -> Recommender:
    """The model to start with: the one that was last decided on, or while there is no decision that of the setting.

    Raises:
        ConfigError: the model that was decided on is not at hand, or damaged. To start with another one instead would take
            the decision back in silence.
        BundleError: the model of the setting is not at hand, or damaged.
    """
    decided = decisions.latest()
    if decided is None:
        return Recommender(load_bundle(config.bundle))
    version = decided.model_version
    try:
        given = load_bundle(config.bundle, verify=False).version
    except BundleError:
        given = None
    if given == version:
        return Recommender(load_bundle(config.bundle))
    if given is not None:
        logger.warning(
            "%s is served, as %s decided; to serve %s, which the setting bundle names, run `becausal models activate`",
            version,
            decided.actor,
            given,
        )
    try:
        return bundles.fresh(version)
    except SwappedBundleError as error:
        raise ConfigError(
            f"{decided.actor} decided on {decided.create_time:%Y-%m-%d} that {version} is served, and it cannot be ({error}); "
            "bring its bundle with `becausal models add`, or decide otherwise with `becausal models activate`."
        ) from error
