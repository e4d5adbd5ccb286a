"""Reasons read as sentences."""

from __future__ import annotations

import pytest

from explainer.reason import NEUTRAL, reason


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        ([], NEUTRAL),
        (["Fargo"], "Because you watched Fargo"),
        (["Fargo", "Alien"], "Because you watched Fargo and Alien"),
        (["Fargo", "Alien", "Heat"], "Because you watched Fargo, Alien and Heat"),
        (["Fargo", "Fargo"], "Because you watched Fargo"),
    ],
)
def test_reason(titles: list[str], expected: str) -> None:
    assert reason(titles) == expected


def test_the_verb_is_the_deployments() -> None:
    assert reason(["Kind of Blue"], verb="listened to") == "Because you listened to Kind of Blue"
