"""Editing a history, against plain recommendations for the edited one."""

from __future__ import annotations

import pytest

from explainer.settings import Intervention
from fakes import FakeRecommender
from server.errors import InvalidFieldError
from server.what_if import Edit, what_if

MODEL = FakeRecommender()


def edited(remove: tuple[int, ...] = (), add: tuple[str, ...] = (), items: tuple[str, ...] = ("a", "b", "c")) -> Edit:
    return Edit(items, remove, add, Intervention.MASK_OUT)


def test_removing_what_carries_the_first_item_lets_others_pass() -> None:
    answer = what_if(MODEL, edited(remove=(0,)), 3)

    assert [item.item for item in answer.before] == ["t", "r", "q"]
    assert [item.item for item in answer.after] == ["r", "q", "t"]
    assert {moved.item: (moved.rank_before, moved.rank_after) for moved in answer.movements} == {
        "t": (1, 3),
        "r": (2, 1),
        "q": (3, 2),
    }
    assert answer.movements[0].item == "t"


def test_what_is_removed_does_not_come_back_as_a_recommendation() -> None:
    assert "a" not in [item.item for item in what_if(MODEL, edited(remove=(0,)), 9).after]


def test_an_added_item_is_no_candidate_any_more() -> None:
    answer = what_if(MODEL, edited(add=("t",)), 3)

    assert "t" not in [item.item for item in answer.after]
    assert (answer.movements[0].item, answer.movements[0].rank_after) == ("t", None)


def test_positions_count_in_the_request_also_when_the_window_moves() -> None:
    # d is pushed out of the window of three by what is added; position 1 of the request is a, at 0 of the window.
    answer = what_if(MODEL, edited(remove=(1,), add=("d",), items=("c", "a", "b")), 1)
    plain = what_if(MODEL, edited(remove=(0,), items=("a", "b", "d")), 1)

    assert answer.after == plain.after


def test_unknown_items_are_left_out_and_listed() -> None:
    answer = what_if(MODEL, edited(remove=(1,), items=("nope", "a", "b")), 1)

    assert answer.unknown_items == ("nope",)
    assert answer.after[0].item == "r"


@pytest.mark.parametrize("remove", [(3,), (-1,), (0, 1, 2)])
def test_positions_that_are_not_there_and_empty_histories_are_refused(remove: tuple[int, ...]) -> None:
    with pytest.raises(InvalidFieldError, match=r"^remove .*[.]$"):
        what_if(MODEL, edited(remove=remove), 1)
