"""Bundles: named by their content, whole or refused, and open at once whatever their size."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_files import TOKENS, architecture, random_weights
from recommender.bundle import ITEMS, MANIFEST, WEIGHTS, Content, load_bundle, save_bundle
from recommender.catalogue import Catalogue, catalogue_tensors, save_catalogue
from recommender.errors import BundleError, UnknownItemError

if TYPE_CHECKING:
    from pathlib import Path

ABOUT: dict[str, Any] = {"data_settings": None, "created_at": "2024-01-01"}


def content(seed: int = 0) -> Content:
    """A small model with titles."""
    shape = architecture()
    titles = {token: f"Title of {token}" for token in TOKENS[1:-1]}
    return Content(shape, random_weights(shape, seed), TOKENS, {"title": titles, "year": {"item-1": "1999"}}, "title")


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return save_bundle(tmp_path / "bundle", content(), ABOUT).path


def test_what_was_saved_is_loaded(path: Path) -> None:
    """Architecture, weights, tokens, titles and other fields."""
    bundle = load_bundle(str(path))

    assert bundle.architecture == architecture()
    assert bundle.max_history == 11
    assert bundle.catalogue.tokens() == list(TOKENS[1:])
    assert len(bundle.catalogue) == len(TOKENS) - 1
    assert bundle.catalogue.title("item-7") == "Title of item-7"
    assert bundle.catalogue.title("item-29") == ""
    assert bundle.catalogue.fields == ("title", "year")
    assert bundle.catalogue.field("item-1", "year") == "1999"
    assert bundle.data_settings is None
    for name, value in random_weights(architecture()).items():
        np.testing.assert_array_equal(bundle.weights[name].numpy(), value)


def test_the_version_is_that_of_the_content(tmp_path: Path, path: Path) -> None:
    """The same for the same model whenever it was imported, another for another model."""
    version = load_bundle(path).version
    again = save_bundle(tmp_path / "again", content(), ABOUT | {"created_at": "2025-01-01"})
    other = save_bundle(tmp_path / "other", content(1), ABOUT)

    assert version.startswith("sha256:")
    assert again.version == version
    assert other.version != version


def test_who_reads_the_manifest_reads_the_weights(path: Path) -> None:
    """A service often runs as another user than the one who imported."""
    assert len({(path / name).stat().st_mode for name in (MANIFEST, WEIGHTS, ITEMS)}) == 1


def test_any_flipped_byte_is_found(path: Path) -> None:
    """Every byte of the manifest, and every 97th of the arrays."""
    for name, step in ((MANIFEST, 1), (WEIGHTS, 97), (ITEMS, 97)):
        whole = (path / name).read_bytes()
        for place in range(0, len(whole), step):
            (path / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])

            with pytest.raises(BundleError, match=r"import the checkpoint again|becausal import"):
                load_bundle(path)
        (path / name).write_bytes(whole)
    load_bundle(path)


@pytest.mark.parametrize("name", [MANIFEST, WEIGHTS, ITEMS])
def test_missing_and_cut_files_are_found(path: Path, name: str) -> None:
    """Digests verified or not."""
    whole = (path / name).read_bytes()
    for damage in (whole[:-1], whole[:20], b"", None):
        (path / name).unlink()
        if damage is not None:
            (path / name).write_bytes(damage)
        for verify in (True, False):
            with pytest.raises(BundleError):
                load_bundle(path, verify=verify)
        (path / name).write_bytes(whole)


def test_files_of_two_models_do_not_pass_for_one(tmp_path: Path, path: Path) -> None:
    """A swap of whole files, each of them sound."""
    other = save_bundle(tmp_path / "other", content(1), ABOUT)
    (other.path / WEIGHTS).replace(path / WEIGHTS)

    with pytest.raises(BundleError, match="manifest says"):
        load_bundle(path)


@pytest.mark.parametrize("text", ["[]", "null", "{}", '{"format": 1}', "{" * 10_000, "\x00"])
def test_what_is_no_manifest_is_refused(path: Path, text: str) -> None:
    """Whatever JSON it is."""
    (path / MANIFEST).write_text(text)

    with pytest.raises(BundleError):
        load_bundle(path)


def test_a_bundle_is_replaced_and_anything_else_is_not(tmp_path: Path, path: Path) -> None:
    """An import may run twice; it may not eat a folder of something else."""
    assert save_bundle(path, content(1), ABOUT).version == load_bundle(path).version
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["bundle"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("irreplaceable")

    with pytest.raises(BundleError, match="is no bundle"):
        save_bundle(tmp_path / "mine", content(), ABOUT)
    with pytest.raises(BundleError, match="is no bundle"):
        save_bundle(tmp_path / "mine" / "thesis.txt", content(), ABOUT)

    assert (tmp_path / "mine" / "thesis.txt").read_text() == "irreplaceable"
    (tmp_path / "empty").mkdir()
    save_bundle(tmp_path / "empty", content(), ABOUT)


def test_there_is_no_bundle(tmp_path: Path) -> None:
    """The remedy is the command that makes one."""
    with pytest.raises(BundleError, match="becausal import"):
        load_bundle(tmp_path / "nothing")


def test_the_manifest_is_for_people_too(path: Path) -> None:
    """Plain JSON that states the model's shape and the digests of the files."""
    manifest = json.loads((path / MANIFEST).read_text())

    assert manifest["architecture"]["model"] == "BERT4Rec"
    assert set(manifest["files"]) == {WEIGHTS, ITEMS}
    assert manifest["created_at"] == "2024-01-01"


@given(tokens=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), unique=True, max_size=30))
def test_every_token_is_found_and_no_other(tokens: list[str]) -> None:
    """Whatever characters there are in it; a prefix of a token is not the token."""
    catalogue = Catalogue(catalogue_tensors(["[PAD]", *tokens], {}), "")

    for number, token in enumerate(tokens, 1):
        assert catalogue.number(token) == number
        assert catalogue.token(number) == token
        for other in (token[:-1], token + "\0", "[PAD]"):
            assert catalogue.knows(other) == (other in tokens)
    assert not catalogue.knows("\ud800")
    assert catalogue.numbers(tokens) == list(range(1, len(tokens) + 1))


def test_unknown_items_have_no_number() -> None:
    """The error carries the token."""
    catalogue = Catalogue(catalogue_tensors(["[PAD]", "a"], {}), "")

    with pytest.raises(UnknownItemError) as error:
        catalogue.numbers(["a", "b"])
    assert error.value.token == "b"  # noqa: S105 - an item token
    with pytest.raises(UnknownItemError):
        catalogue.title("[PAD]")


def test_a_large_items_table_opens_at_once(tmp_path: Path) -> None:
    """Nothing is read that is not asked for."""
    tokens = ["[PAD]", *map(str, range(200_000))]
    save_catalogue(tmp_path / ITEMS, catalogue_tensors(tokens, {}), "")
    start = time.perf_counter()

    catalogue = Catalogue.open(tmp_path / ITEMS)

    assert catalogue.number("199999") == 200_000
    assert time.perf_counter() - start < 0.1
