"""Sets of nodes as rows of 64-bit words, so that a rule that asks "is there a node such that" is a few word operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from explainer.compiling import inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
# A word with one bit set, times this constant, has a different number in its top six bits for each of the 64 bits.
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_TOP = np.uint64(58)
_POSITION = np.zeros(64, dtype=np.int64)
for _bit in range(64):
    _POSITION[((0x03F79D71B4CB0A89 << _bit) & (2**64 - 1)) >> 58] = _bit


@inner
def words_for(n: int) -> int:
    """Words that a set of n nodes takes."""
    return (n + 63) // 64


@inner
def has(words: Words, node: int) -> bool:
    """Whether the node is in the set."""
    return bool((words[node >> 6] >> np.uint64(node & 63)) & _ONE != _ZERO)


@inner
def add(words: Words, node: int) -> None:
    """Put the node into the set."""
    words[node >> 6] |= _ONE << np.uint64(node & 63)


@inner
def discard(words: Words, node: int) -> None:
    """Take the node out of the set."""
    words[node >> 6] &= ~(_ONE << np.uint64(node & 63))


@inner
def _lowest(word: np.uint64) -> int:
    """Position of the lowest bit that is set; the word is not 0."""
    return int(_POSITION[((word & (~word + _ONE)) * _DE_BRUIJN) >> _TOP])


@inner
def following(a: Words, start: int) -> int:
    """The least node of the set that is not below ``start``, or -1."""
    at = start >> 6
    if at >= len(a):
        return -1
    word = a[at] >> np.uint64(start & 63)
    if word != _ZERO:
        return start + _lowest(word)
    for k in range(at + 1, len(a)):
        if a[k] != _ZERO:
            return (k << 6) + _lowest(a[k])
    return -1


@inner
def following_both(a: Words, b: Words, start: int) -> int:
    """The least node of both sets that is not below ``start``, or -1."""
    at = start >> 6
    if at >= len(a):
        return -1
    word = (a[at] & b[at]) >> np.uint64(start & 63)
    if word != _ZERO:
        return start + _lowest(word)
    for k in range(at + 1, len(a)):
        word = a[k] & b[k]
        if word != _ZERO:
            return (k << 6) + _lowest(word)
    return -1


@inner
def overlap(a: Words, b: Words) -> bool:
    """Whether the two sets share a node."""
    for k in range(len(a)):  # noqa: SIM110 - generators do not compile
        if a[k] & b[k] != _ZERO:
            return True
    return False


@inner
def overlap_three(a: Words, b: Words, c: Words) -> bool:
    """Whether the three sets share a node."""
    for k in range(len(a)):  # noqa: SIM110 - generators do not compile
        if a[k] & b[k] & c[k] != _ZERO:
            return True
    return False
