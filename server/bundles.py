"""Model bundles kept by their digest, so that an explanation can be replayed after the model has changed."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from recommender import Recommender, load_bundle
from recommender.errors import BundleError

if TYPE_CHECKING:
    from server.config import Config

logger = logging.getLogger(__name__)

_PREFIX = "sha256:"


class SwappedBundleError(Exception):
    """What is kept under a version is another model, or damaged."""


class Bundles:
    """A folder with one bundle per model version, and the models that were loaded from it. Safe in threads.

    Args:
        folder: where; made when the first bundle is kept.
        active: the model that is served, if any: it needs no loading.
    """

    def __init__(self, folder: Path, active: Recommender | None = None) -> None:
        self._folder = folder
        self._active = active
        self._lock = Lock()
        self._loaded: Recommender | None = None

    @classmethod
    def of(cls, config: Config, active: Recommender | None = None) -> Bundles:
        """The folder that the settings name, or `bundles` beside the bundle."""
        return cls(config.bundles or config.bundle.absolute().parent / "bundles", active)

    def path(self, version: str) -> Path:
        """Where the bundle of a version is, or would be."""
        return self._folder / version.removeprefix(_PREFIX)

    def keep(self, bundle: Path, version: str) -> Path:
        """Keep a copy of a bundle under its version; one that is there already stays.

        Raises:
            OSError: the copy cannot be written.
        """
        kept = self.path(version)
        if kept.exists():
            return kept
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".keeping-") as scratch:
            # Copied whole before it gets its name: a bundle is there or it is not.
            fresh = Path(shutil.copytree(bundle, Path(scratch) / "bundle"))
            try:
                fresh.rename(kept)
            except OSError:
                if not kept.exists():  # else another process has kept it meanwhile
                    raise
        return kept

    def keep_if_possible(self, bundle: Path, version: str) -> None:
        """As `keep`; a folder that cannot be written costs replays, not the service."""
        try:
            self.keep(bundle, version)
        except OSError as error:
            logger.warning("The bundle was not kept for replays (%s); set `bundles` to a folder to write to.", error)

    def model(self, version: str) -> Recommender | None:
        """The model of a version; None when its bundle is not kept here.

        Raises:
            SwappedBundleError: what is kept under the version is another model, or damaged.
        """
        if self._active is not None and self._active.version == version:
            return self._active
        kept = self.path(version)
        if not kept.is_dir():
            return None
        with self._lock:
            if self._loaded is None or self._loaded.version != version:
                self._loaded = _checked(kept, version)
            return self._loaded


def _checked(kept: Path, version: str) -> Recommender:
    try:
        model = Recommender(load_bundle(kept))
    except BundleError as error:
        raise SwappedBundleError(f"the bundle kept as {version} is damaged: {error}") from error
    if model.version != version:
        raise SwappedBundleError(f"the bundle kept as {version} is the model {model.version}")
    return model
