"""Small models with random weights, as bundles kept by their digest: real, and quick to load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_files import TOKENS, architecture, random_weights
from recommender import Recommender, load_bundle
from recommender.bundle import WEIGHTS, Bundle, Content, save_bundle
from server.bundles import Bundles

if TYPE_CHECKING:
    from pathlib import Path

HISTORY = ["item-3", "item-1", "item-4", "item-15", "item-9", "item-2"]


def bundle(folder: Path, seed: int, *, broken: bool = False) -> Bundle:
    """A model of its own for each seed, imported on that day; a broken one computes nothing but NaN."""
    shape = architecture()
    weights = random_weights(shape, seed)
    if broken:
        weights = {name: np.full_like(value, np.nan) for name, value in weights.items()}
    titles = {token: f"Title of {token}" for token in TOKENS[1:]}
    about: dict[str, Any] = {
        "created_at": f"2026-01-{seed + 1:02}T12:00:00+00:00",
        "data_settings": None,
        "source": {"dataset": "tiny"},
        "self_check": {"metric": "NDCG@10", "stored": 0.08, "recomputed": 0.08 if seed else None, "reason": ""},
    }
    return save_bundle(folder / f"bundle-{seed}", Content(shape, weights, TOKENS, {"title": titles}, "title"), about)


def kept(folder: Path, seed: int, *, broken: bool = False) -> str:
    """Make a model and keep it under its version, which is returned."""
    made = bundle(folder, seed, broken=broken)
    Bundles(folder / "bundles").keep(made.path, made.version)
    return made.version


def loaded(folder: Path, version: str) -> Recommender:
    """A model that was kept."""
    return Recommender(load_bundle(Bundles(folder / "bundles").path(version)))


def damage(folder: Path, version: str) -> None:
    """Flip a bit in the middle of a kept model's weights."""
    file = Bundles(folder / "bundles").path(version) / WEIGHTS
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
