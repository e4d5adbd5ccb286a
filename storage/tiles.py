"""The log's tree as tiles: rows of up to 256 hashes, so that a million entries are 4,000 rows and a proof reads a few.

Tile (level, place) holds the hashes of complete subtrees over 256**level leaves. What lies between two levels of tiles is
computed when it is asked for. A full tile never changes; the last one of each level grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from becausal.audit.merkle import HASH_BYTES, subtree_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HEIGHT = 8
WIDTH = 1 << HEIGHT
FULL = WIDTH * HASH_BYTES

Key = tuple[int, int]


class Tiles:
    """The tiles of one log, read as needed and kept while this object lives.

    Args:
        load: gives the hashes of tile (level, place), side by side; empty where there is none.
    """

    def __init__(self, load: Callable[[int, int], bytes]) -> None:
        self._load = load
        self._tiles: dict[Key, bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        """Hash of the complete subtree over the 2**level leaves from index * 2**level on.

        Raises:
            KeyError: the log is not that long, or a tile is damaged.
        """
        tile_level, within = divmod(level, HEIGHT)
        place, offset = divmod(index << within, WIDTH)
        start, end = offset * HASH_BYTES, (offset + (1 << within)) * HASH_BYTES
        hashes = self._tile(tile_level, place)[start:end]
        if len(hashes) < end - start:
            raise KeyError((level, index))
        return subtree_hash(_split(hashes))

    def append(self, size: int, leaves: Iterable[bytes]) -> dict[Key, bytes]:
        """Add leaf hashes behind the first ``size``.

        Returns:
            The tiles that are new or longer, whole.
        """
        changed: dict[Key, bytes] = {}
        level, position, hashes = 0, size, list(leaves)
        while hashes:
            finished = []
            start, end = position // WIDTH, (position + len(hashes) - 1) // WIDTH
            for place in range(start, end + 1):
                # A tile may hold more than the position says only where the log was damaged: the cut keeps the order.
                kept = self._tile(level, place)[: max(0, position - place * WIDTH) * HASH_BYTES]
                taken = WIDTH - len(kept) // HASH_BYTES
                tile = kept + b"".join(hashes[:taken])
                hashes = hashes[taken:]
                changed[level, place] = self._tiles[level, place] = tile
                if len(tile) == FULL:
                    finished.append(subtree_hash(_split(tile)))
            level, position, hashes = level + 1, start, finished
        return changed

    def _tile(self, level: int, place: int) -> bytes:
        key = (level, place)
        if key not in self._tiles:
            self._tiles[key] = self._load(level, place)
        return self._tiles[key]


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)]
