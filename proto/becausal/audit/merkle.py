"""The Merkle tree of RFC 6962 (and RFC 9162, section 2.1): roots, inclusion proofs, consistency proofs.

The tree is never held here. Functions that make something ask for the hashes of complete subtrees by (level, index):
``node(0, i)`` is the hash of leaf i, ``node(k, i)`` covers the 2**k leaves from i * 2**k. Functions that check need
nothing but the proof.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Node = Callable[[int, int], bytes]

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf: no leaf can pass for an inner node."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def subtree_hash(hashes: Sequence[bytes]) -> bytes:
    """Hash over a complete subtree; as many hashes as a power of two."""
    while len(hashes) > 1:
        hashes = [node_hash(*hashes[place : place + 2]) for place in range(0, len(hashes), 2)]
    return hashes[0]


def root_hash(size: int, node: Node) -> bytes:
    """Root of the tree over the first ``size`` leaves."""
    return _range_hash(0, size, node) if size else EMPTY_ROOT


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root of the tree over these leaf hashes."""
    peaks: list[tuple[int, bytes]] = []  # complete subtrees from the left, each smaller than the one before
    for leaf in leaves:
        level, digest = 0, leaf
        while peaks and peaks[-1][0] == level:
            digest = node_hash(peaks.pop()[1], digest)
            level += 1
        peaks.append((level, digest))
    if not peaks:
        return EMPTY_ROOT
    digest = peaks.pop()[1]
    while peaks:
        digest = node_hash(peaks.pop()[1], digest)
    return digest


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """The hashes that lead from leaf ``index`` to the root over ``size`` leaves; 0 <= index < size."""
    start, end, proof = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_hash(middle, end, node))
            end = middle
        else:
            proof.append(_range_hash(start, middle, node))
            start = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """The hashes that show that the first ``old`` leaves of the tree over ``new`` are unchanged; 0 <= old <= new."""
    if old in {0, new}:
        return []
    start, end, proof, whole = 0, new, [], True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_range_hash(middle, end, node))
            end = middle
        else:
            proof.append(_range_hash(start, middle, node))
            start, whole = middle, False
    return ([] if whole else [_range_hash(start, end, node)]) + proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the leaf hash stands at ``index`` of the tree with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, digest = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place % 2 or place == last:
            digest = node_hash(sibling, digest)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and digest == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree with the new root begins with all leaves of the one with the old root (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old in {0, new}:
        return not proof and old_root == (EMPTY_ROOT if old == 0 else new_root)
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    place, last = old - 1, new - 1
    while place % 2:
        place, last = place >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place % 2 or place == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _range_hash(start: int, end: int, node: Node) -> bytes:
    width = end - start
    if width & (width - 1) == 0:
        return node(width.bit_length() - 1, start // width)
    middle = start + _split(width)
    return node_hash(_range_hash(start, middle, node), _range_hash(middle, end, node))


def _split(width: int) -> int:
    """Largest power of two below a width of 2 or more."""
    return 1 << (width - 1).bit_length() - 1
