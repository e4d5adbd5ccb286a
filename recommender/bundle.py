"""The model bundle: a folder with a manifest, the weights and the items table, named by the digest of its content.

``manifest.json`` states the SHA-256 of the two other files and carries its own, so that one flipped byte anywhere is
found. The version covers what decides the model's answers (architecture, weights, items) and not when or from where it
was imported: importing the same checkpoint twice gives the same version.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors.numpy import save_file

from recommender.architecture import Architecture
from recommender.catalogue import Catalogue, catalogue_tensors, map_tensors, save_catalogue
from recommender.checkpoint import file_digest
from recommender.data_settings import DataSettings
from recommender.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
WEIGHTS: Final = "weights.safetensors"
ITEMS: Final = "items.safetensors"
SEAL: Final = "seal"
"""The manifest's own digest, over everything else in it."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model, ready to serve; its arrays are memory-mapped."""

    path: Path
    manifest: dict[str, Any]
    architecture: Architecture
    catalogue: Catalogue
    weights: dict[str, torch.Tensor]
    """Parameters by RecBole's names, float32."""

    @property
    def version(self) -> str:
        """``sha256:`` and the digest of architecture, weights and items."""
        return str(self.manifest["version"])

    @property
    def max_history(self) -> int:
        """Most items of a history that the model sees; older ones are cut."""
        return self.architecture.max_history

    @property
    def data_settings(self) -> DataSettings | None:
        """How to read the model's data set as RecBole did; None when only a vocabulary was given."""
        values = self.manifest["data_settings"]
        return None if values is None else DataSettings.from_json(values)


def load_bundle(path: Path | str, *, verify: bool = True) -> Bundle:
    """Open a bundle.

    Args:
        path: its folder.
        verify: read every file once and compare digests. Without it the files are only mapped, in milliseconds
            whatever their size: for a bundle that this process has verified already.

    Raises:
        BundleError: it is not a bundle, or its content is not what its digests say.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    if verify:
        _verify_files(path, manifest["files"])
    try:
        architecture = Architecture.from_json(manifest["architecture"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path / MANIFEST} describes no model; import the checkpoint again.") from error
    catalogue, weights = Catalogue.open(path / ITEMS), map_tensors(path / WEIGHTS)
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if shapes != architecture.schema() or len(catalogue) != architecture.items - 1:
        raise BundleError(f"The files in {path} are of different models; import the checkpoint again.")
    return Bundle(path, manifest, architecture, catalogue, weights)


@dataclass(frozen=True, slots=True)
class Content:
    """What a bundle is made of."""

    architecture: Architecture
    tensors: Mapping[str, NDArray[np.float32]]
    """The parameters, by RecBole's names."""

    tokens: Sequence[str]
    """Item tokens by item number, ``[PAD]`` first."""

    fields: Mapping[str, Mapping[str, str]]
    """Column of the .item file -> item token -> text."""

    title_field: str
    """The column with titles; empty when there is none."""

    def draft(self) -> Bundle:
        """The same as a bundle that is on no disk and has no version."""
        weights = {name: torch.from_numpy(values) for name, values in self.tensors.items()}
        catalogue = Catalogue(catalogue_tensors(self.tokens, self.fields), self.title_field)
        return Bundle(Path(), {"version": "draft", "data_settings": None}, self.architecture, catalogue, weights)


def save_bundle(out: Path, content: Content, about: Mapping[str, Any]) -> Bundle:
    """Write a bundle and open it; one that stands there already is replaced.

    Args:
        out: its folder.
        content: the model.
        about: what else the manifest is to say.

    Raises:
        BundleError: something else stands there, or it cannot be written.
    """
    if out.exists() and not (out / MANIFEST).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise BundleError(f"{out} exists and is no bundle; give another folder to write the bundle to.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            fresh = Path(scratch) / "bundle"
            fresh.mkdir()
            save_file(dict(content.tensors), fresh / WEIGHTS)
            save_catalogue(fresh / ITEMS, catalogue_tensors(content.tokens, content.fields), content.title_field)
            _write_manifest(fresh, content.architecture, about)
            for name in (WEIGHTS, ITEMS):
                # safetensors writes for its owner alone; a bundle is read by whoever serves it, as the manifest is.
                (fresh / name).chmod((fresh / MANIFEST).stat().st_mode)
            if out.exists():
                out.replace(Path(scratch) / "replaced")
            fresh.replace(out)
    except OSError as error:
        raise BundleError(f"The bundle cannot be written to {out}: {error}.") from error
    return load_bundle(out)


def _write_manifest(folder: Path, architecture: Architecture, about: Mapping[str, Any]) -> None:
    content = {
        "format": FORMAT,
        "architecture": architecture.to_json(),
        "files": {name: file_digest(folder / name) for name in (WEIGHTS, ITEMS)},
    }
    manifest = {**content, "version": f"sha256:{_digest(content)}", **about}
    (folder / MANIFEST).write_bytes(_serialized(manifest | {SEAL: _digest(manifest)}))


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        content = file.read_bytes()
        manifest = dict(json.loads(content))
        sealed = {name: value for name, value in manifest.items() if name != SEAL}
        named = {name: manifest[name] for name in ("format", "architecture", "files")}
        whole = manifest[SEAL] == _digest(sealed) and manifest["version"] == f"sha256:{_digest(named)}"
        whole = whole and content == _serialized(manifest) and set(manifest["files"]) == {WEIGHTS, ITEMS}
    except OSError as error:
        raise BundleError(f"There is no bundle at {path}; make one with `becausal import`.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{file} is no bundle's manifest; import the checkpoint again.") from error
    if manifest["format"] != FORMAT:
        raise BundleError(f"{path} is a bundle of format {manifest['format']}; import the checkpoint again.")
    if not whole:
        raise BundleError(f"{file} was changed after it was written; import the checkpoint again.")
    return manifest


def _verify_files(path: Path, files: Mapping[str, str]) -> None:
    for name, digest in files.items():
        try:
            found = file_digest(path / name)
        except OSError as error:
            raise BundleError(
                f"{path / name} cannot be read ({error.strerror}); import the checkpoint again."
            ) from error
        if found != digest:
            raise BundleError(f"{path / name} is not what the bundle's manifest says; import the checkpoint again.")


def _serialized(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_serialized(content)).hexdigest()
