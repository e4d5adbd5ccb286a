"""The tree against the definitions of RFC 6962, word for word, and the tiles against the tree."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from becausal.audit.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from storage.tiles import FULL, Tiles

SIZES = st.integers(0, 70)


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, on leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def leaves_of(size: int, salt: int = 0) -> list[bytes]:
    return [leaf_hash(f"{salt}/{number}".encode()) for number in range(size)]


def node_of(leaves: list[bytes]):  # noqa: ANN201
    return lambda level, index: naive_root(leaves[index << level : (index + 1) << level])


def tiles_of(leaves: list[bytes], batches: list[int]) -> Tiles:
    """Tiles written in batches, each by a reader of its own that sees what was stored before."""
    stored: dict[tuple[int, int], bytes] = {}

    def load(level: int, place: int) -> bytes:
        return stored.get((level, place), b"")

    at = 0
    for batch in [*batches, len(leaves)]:
        stored.update(Tiles(load).append(at, leaves[at : at + batch]))
        at = min(at + batch, len(leaves))
    return Tiles(load)


def test_the_vectors_of_certificate_transparency() -> None:
    # From the test data that goes with RFC 6962: eight leaves.
    data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [leaf_hash(bytes.fromhex(each)) for each in data]
    assert root_of([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root_of(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root_of(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@given(size=SIZES)
def test_roots_are_those_of_the_definition(size: int) -> None:
    leaves = leaves_of(size)
    assert root_of(leaves) == naive_root(leaves) == root_hash(size, node_of(leaves))


@given(size=st.integers(1, 70), data=st.data())
def test_inclusion_is_proved_for_every_leaf_and_for_no_other(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(index, size, node_of(leaves)), naive_root(leaves)
    assert verify_inclusion(leaves[index], index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"another"), index, size, proof, root)
    wrong = data.draw(st.integers(-1, size + 1).filter(lambda place: place != index))
    assert not verify_inclusion(leaves[index], wrong, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, [*proof, root], root)
    if proof:
        assert not verify_inclusion(leaves[index], index, size, proof[:-1], root)


@given(new=SIZES, data=st.data())
def test_consistency_is_proved_for_prefixes_and_for_nothing_else(new: int, data: st.DataObject) -> None:
    leaves = leaves_of(new)
    old = data.draw(st.integers(0, new))
    proof = consistency_proof(old, new, node_of(leaves))
    old_root, new_root = naive_root(leaves[:old]), naive_root(leaves)
    assert verify_consistency(old, new, old_root, new_root, proof)
    if old:
        changed = naive_root([*leaves[: old - 1], leaf_hash(b"changed")])
        assert not verify_consistency(old, new, changed, new_root, proof)
    assert not verify_consistency(new + 1, new, old_root, new_root, proof)
    if 0 < old < new:
        assert not verify_consistency(old, new, old_root, new_root, proof[:-1])
        assert not verify_consistency(old, new, old_root, leaf_hash(b"another"), proof)


@given(size=st.integers(1, 1500), batches=st.lists(st.integers(0, 400), max_size=6), data=st.data())
@settings(max_examples=30, deadline=None)
def test_tiles_give_the_hashes_of_the_tree(size: int, batches: list[int], data: st.DataObject) -> None:
    leaves = leaves_of(size)
    tiles = tiles_of(leaves, batches)
    assert root_hash(size, tiles.node) == root_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    assert verify_inclusion(leaves[index], index, size, inclusion_proof(index, size, tiles.node), root_of(leaves))
    old = data.draw(st.integers(0, size))
    proof = consistency_proof(old, size, tiles.node)
    assert verify_consistency(old, size, root_of(leaves[:old]), root_of(leaves), proof)


def test_tiles_of_three_levels() -> None:
    leaves = [number.to_bytes(32) for number in range(256 * 256 + 300)]
    tiles = tiles_of(leaves, [70, 40_000, 20_000])
    assert root_hash(len(leaves), tiles.node) == root_of(leaves)
    assert len(tiles._load(2, 0)) == 32
    assert len(tiles._load(0, 255)) == FULL
