"""Figures as Markdown: a mean over users with its 95% bootstrap interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Json = dict[str, Any]
NONE = "-"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(estimate: Json, *, interval: bool = True) -> str:
    """A share with its interval, in percent."""
    if estimate["mean"] is None:
        return NONE
    mean, low, high = (100 * estimate[name] for name in ("mean", "low", "high"))
    return f"{mean:.1f}% [{low:.1f}, {high:.1f}]" if interval else f"{mean:.1f}%"


def number(estimate: Json, digits: int) -> str:
    """A mean with its interval."""
    if estimate["mean"] is None:
        return NONE
    mean, low, high = (f"{estimate[name]:,.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def marked(estimate: Json, text: str) -> str:
    """Bold when the interval excludes 0."""
    return f"**{text}**" if estimate["excludes_zero"] else text
