"""Model bundles kept by their digest, so that an explanation can be replayed after the model has changed."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from recommender import Recommender, load_bundle
from recommender.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recommender import Bundle
    from server.config import Config

logger = logging.getLogger(__name__)

PREFIX = "sha256:"
DIGEST = re.compile(r"[0-9a-f]{64}")


class SwappedBundleError(Exception):
    """What is kept under a version is another model, or damaged."""


class Bundles:
    """A folder with one bundle per model version, and the models that were loaded from it. Safe in threads.

    Args:
        folder: where; made when the first bundle is kept.
        active: gives the model that is served now, if any: it needs no loading.
    """

    def __init__(self, folder: Path, active: Callable[[], Recommender] | None = None) -> None:
        self.folder = folder
        self._active = active
        self._lock = Lock()
        self._loaded: Recommender | None = None

    @classmethod
    def of(cls, config: Config, active: Callable[[], Recommender] | None = None) -> Bundles:
        """The folder that the settings name, or `bundles` beside the bundle."""
        return cls(config.bundles or config.bundle.absolute().parent / "bundles", active)

    def path(self, version: str) -> Path:
        """Where the bundle of a version is, or would be."""
        return self.folder / version.removeprefix(PREFIX)

    def keep(self, bundle: Path, version: str) -> Path:
        """Keep a copy of a bundle under its version; one that is there already stays.

        Raises:
            OSError: the copy cannot be written.
        """
        kept = self.path(version)
        if kept.exists():
            return kept
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".keeping-") as scratch:
            # Copied whole before it gets its name: a bundle is there or it is not.
            fresh = Path(shutil.copytree(bundle, Path(scratch) / "bundle"))
            try:
                fresh.rename(kept)
            except OSError:
                if not kept.exists():  # else another process has kept it meanwhile
                    raise
        return kept

    def renew(self, bundle: Path, version: str) -> Path:
        """As `keep`, and one that is there and not whole is replaced.

        Raises:
            OSError: the copy cannot be written.
        """
        kept = self.path(version)
        try:
            self._checked(version, verify=True)
        except SwappedBundleError:
            if kept.exists():
                with tempfile.TemporaryDirectory(dir=self.folder, prefix=".keeping-") as scratch:
                    kept.rename(Path(scratch) / "damaged")  # whoever has it open still has it
        return self.keep(bundle, version)

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
        active = None if self._active is None else self._active()
        if active is not None and active.version == version:
            return active
        if not self.path(version).is_dir():
            return None
        with self._lock:
            if self._loaded is None or self._loaded.version != version:
                self._loaded = self.fresh(version)
            return self._loaded

    def forget(self, version: str) -> None:
        """Let go of a model that was loaded for replays."""
        with self._lock:
            if self._loaded is not None and self._loaded.version == version:
                self._loaded = None

    def fresh(self, version: str) -> Recommender:
        """The model of a version, loaded anew: every file is read and compared with its digest.

        Raises:
            SwappedBundleError: what is kept under the version is another model, or damaged, or not there.
        """
        return Recommender(self._checked(version, verify=True))

    def glance(self, version: str) -> Bundle:
        """The bundle of a version without its files read: for what its manifest says.

        Raises:
            SwappedBundleError: its manifest is another's, or damaged, or not there.
        """
        return self._checked(version, verify=False)

    def versions(self) -> Iterator[str]:
        """The versions that bundles are kept under, whole or not, in no order."""
        for kept in self.folder.glob("[!.]*"):
            if DIGEST.fullmatch(kept.name) and kept.is_dir():
                yield PREFIX + kept.name

    def _checked(self, version: str, *, verify: bool) -> Bundle:
        try:
            bundle = load_bundle(self.path(version), verify=verify)
        except BundleError as error:
            raise SwappedBundleError(
                f"the bundle kept as {version} is damaged: {str(error).removesuffix('.')}"
            ) from error
        if bundle.version != version:
            raise SwappedBundleError(f"the bundle kept as {version} is the model {bundle.version}")
        return bundle
