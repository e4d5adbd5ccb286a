"""The models at hand: what is kept in the folder of bundles, and what this process does with each."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

from server.bundles import SwappedBundleError
from server.errors import InvalidFieldError, InvalidPageTokenError, ModelNotFoundError
from server.reading import DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recommender import Bundle
    from server.bundles import Bundles
    from server.models import Models

_UNKNOWN_TIME = datetime.min.replace(tzinfo=UTC)


class State(Enum):
    """What a process does with a model."""

    AVAILABLE = "AVAILABLE"
    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    DAMAGED = "DAMAGED"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a model's quality on the validation data."""

    metric: str
    trained: float
    """What RecBole measured."""

    imported: float | None
    """What came out at the import; None where that was not computed."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model; of a damaged one its version alone."""

    version: str
    state: State
    architecture: str = ""
    dataset: str = ""
    items: int = 0
    max_history: int = 0
    size_bytes: int = 0
    create_time: datetime | None = None
    figures: tuple[Figure, ...] = ()

    @property
    def place(self) -> tuple[datetime, str]:
        """Where it stands among others."""
        return self.create_time or _UNKNOWN_TIME, self.version


@dataclass(frozen=True, slots=True)
class ModelPage:
    """Some models, newest first, and the token of what follows."""

    models: tuple[ModelInfo, ...]
    next_page_token: str


def models_at_hand(bundles: Bundles, at_work: Iterable[tuple[Bundle, State]]) -> list[ModelInfo]:
    """Every model that is kept or at work, newest first; what is at work is whole, whatever became of its files."""
    infos = {version: _kept(bundles, version) for version in bundles.versions()}
    infos |= {bundle.version: described(bundle, state) for bundle, state in at_work}
    return sorted(infos.values(), key=lambda info: info.place, reverse=True)


def at_work(models: Models) -> list[tuple[Bundle, State]]:
    """The bundles that a process serves, the active one last."""
    draining = models.draining
    found = [] if draining is None else [(draining.recommender.bundle, State.DRAINING)]
    return [*found, (models.active.recommender.bundle, State.ACTIVE)]


def _kept(bundles: Bundles, version: str) -> ModelInfo:
    try:
        return described(bundles.glance(version), State.AVAILABLE)
    except SwappedBundleError:
        return ModelInfo(version, State.DAMAGED)


def described(bundle: Bundle, state: State) -> ModelInfo:
    """What a bundle's manifest says."""
    source, check = bundle.manifest.get("source") or {}, bundle.manifest.get("self_check") or {}
    figures = () if not check.get("metric") else (Figure(check["metric"], check["stored"], check["recomputed"]),)
    return ModelInfo(
        bundle.version,
        state,
        bundle.architecture.model.value,
        source.get("dataset") or "",
        len(bundle.catalogue),
        bundle.max_history,
        sum(file.stat().st_size for file in bundle.path.iterdir()) if bundle.path.is_dir() else 0,
        _time(bundle.manifest.get("created_at")),
        figures,
    )


def named(infos: Sequence[ModelInfo], version: str) -> ModelInfo:
    """The model of a version.

    Raises:
        ModelNotFoundError: it is not among them.
    """
    for info in infos:
        if info.version == version:
            return info
    raise not_found(version)


def not_found(version: str) -> ModelNotFoundError:
    """That there is no such model."""
    return ModelNotFoundError(
        "name", f"There is no model {version} at hand; bring its bundle to the server with `becausal models add`."
    )


def page(infos: Sequence[ModelInfo], page_size: int, page_token: str) -> ModelPage:
    """A page of models (AIP-158).

    Args:
        infos: all of them, newest first.
        page_size: most to return; 0 stands for the default, and more than LARGEST_PAGE_SIZE is taken as that.
        page_token: where to go on, from the page before; empty for the first.

    Raises:
        RequestError: the token or the size cannot be used.
    """
    if page_size < 0:
        raise InvalidFieldError("page_size", f"page_size is {page_size}; give 0 for the default or a positive number.")
    size = min(page_size or DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE)
    rest = infos
    if page_token:
        after = _parsed(page_token)
        rest = [info for info in infos if info.place < after]
    shown = tuple(rest[:size])
    return ModelPage(shown, _token(shown[-1]) if len(rest) > size else "")


def _token(last: ModelInfo) -> str:
    time, version = last.place
    return base64.urlsafe_b64encode(json.dumps({"time": time.isoformat(), "model": version}).encode()).decode()


def _parsed(token: str) -> tuple[datetime, str]:
    try:
        told = json.loads(base64.urlsafe_b64decode(token.encode()))
        time = datetime.fromisoformat(told["time"])
        return time.replace(tzinfo=time.tzinfo or UTC), str(told["model"])
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise InvalidPageTokenError(
            "page_token", "page_token is not one that this list gave out; start again without it."
        ) from error


def _time(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
