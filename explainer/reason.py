"""The sentence a person reads. It states what was checked on the model, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NEUTRAL = "Recommended from your history as a whole"
"""Said when no small set of items was found to decide."""


def reason(causes: Sequence[str], verb: str = "watched") -> str:
    """Say "Because you watched A, B and C" with the titles of the causes in the order given, each named once."""
    names = list(dict.fromkeys(causes))
    if not names:
        return NEUTRAL
    *firsts, last = names
    listed = f"{', '.join(firsts)} and {last}" if firsts else last
    return f"Because you {verb} {listed}"
