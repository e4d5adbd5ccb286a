"""What can be wrong with the values of a request, whatever the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.errors import InvalidFieldError, NoKnownItemsError, UnknownItemsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from explainer.settings import Settings
    from server.config import Limits


def check_k(k: int, most: int) -> None:
    """Whether so many items may be asked for.

    Raises:
        InvalidFieldError: no.
    """
    if not 1 <= k <= most:
        raise InvalidFieldError("k", f"k is {k}; give a whole number from 1 to {most}.")


def check_settings(settings: Settings, limits: Limits) -> None:
    """Whether settings stay within the limits.

    Raises:
        InvalidFieldError: one does not.
    """
    for name, most in (
        ("max_size", limits.set_size),
        ("max_rows", limits.rows),
        ("max_tests", limits.tests),
        ("top_k", limits.recommended),
    ):
        value = getattr(settings, name)
        if value is not None and value > most:
            raise InvalidFieldError(f"options.{name}", f"options.{name} is {value}; give at most {most}.")


def check_token(field: str, token: str, limits: Limits, *, required: bool = False) -> None:
    """Whether an item token or a user id can be used.

    Raises:
        InvalidFieldError: it is too long, holds control characters, or is required and empty.
    """
    most = limits.token_length
    if required and not token:
        raise InvalidFieldError(field, f"{field} is empty; give one of at most {most} characters.")
    if len(token) > most:
        raise InvalidFieldError(field, f"{field} has {len(token)} characters; give at most {most}.")
    if not token.isprintable():
        raise InvalidFieldError(field, f"{field} has a control character; leave it out.")


def check_history(items: Sequence[str], limits: Limits) -> None:
    """Whether a history can be used, as far as that does not depend on the model.

    Raises:
        InvalidFieldError: no.
    """
    if not items:
        raise InvalidFieldError("history", "history is empty; give at least one item token, oldest first.")
    if len(items) > limits.history:
        raise InvalidFieldError(
            "history", f"history has {len(items)} items, more than {limits.history}; send the latest {limits.history}."
        )
    for position, item in enumerate(items):
        check_token(f"history[{position}]", item, limits)


def split(
    items: Sequence[str], knows: Callable[[str], bool], *, refuse_unknown: bool
) -> tuple[list[str], tuple[str, ...]]:
    """The items of a history that the model knows, and the others, each once.

    Raises:
        NoKnownItemsError: there are only others.
        UnknownItemsError: there are others, and that is refused.
    """
    known = [item for item in items if knows(item)]
    unknown = tuple(dict.fromkeys(item for item in items if not knows(item)))
    if not known:
        raise NoKnownItemsError(
            "history",
            "history has no item that the model knows; send item tokens of the data set it was trained on.",
        )
    if unknown and refuse_unknown:
        raise UnknownItemsError(
            "history", f"history has items that the model does not know ({shown(unknown[0])} first); leave them out."
        )
    return known, unknown


def shown(token: str) -> str:
    """A caller's own token, short and printable enough for a message."""
    return repr(token if len(token) <= 40 else token[:40] + "...")  # noqa: PLR2004 - a line's worth
