"""Every pair of marks has one reading."""

from __future__ import annotations

import numpy as np
import pytest

from explainer.explanation import Relation
from explainer.pag import Mark, Pag
from explainer.relation import relation_to_target, strongest


def pag_of(at_item: Mark, at_target: Mark) -> Pag:
    marks = np.zeros((3, 3), dtype=np.int8)
    marks[0, 2], marks[2, 0] = at_target, at_item
    return Pag(marks=marks, radius=1, complete=True)


@pytest.mark.parametrize(
    ("at_item", "at_target", "expected"),
    [
        (Mark.TAIL, Mark.ARROWHEAD, Relation.CAUSE),
        (Mark.CIRCLE, Mark.ARROWHEAD, Relation.POSSIBLE_CAUSE),
        (Mark.CIRCLE, Mark.CIRCLE, Relation.POSSIBLE_CAUSE),
        (Mark.TAIL, Mark.CIRCLE, Relation.POSSIBLE_CAUSE),
        (Mark.ARROWHEAD, Mark.ARROWHEAD, Relation.HIDDEN_COMMON_CAUSE),
        (Mark.ARROWHEAD, Mark.CIRCLE, Relation.NOT_A_CAUSE),
        (Mark.ARROWHEAD, Mark.TAIL, Relation.NOT_A_CAUSE),
        (Mark.CIRCLE, Mark.TAIL, Relation.NOT_A_CAUSE),
        (Mark.TAIL, Mark.TAIL, Relation.SELECTION),
    ],
)
def test_an_edge_is_read_by_its_two_marks(at_item: Mark, at_target: Mark, expected: Relation) -> None:
    assert relation_to_target(pag_of(at_item, at_target), 0, [1, -1]) is expected


def test_without_an_edge_the_tree_decides() -> None:
    pag = pag_of(Mark.TAIL, Mark.ARROWHEAD)

    assert relation_to_target(pag, 1, [1, 2]) is Relation.INDIRECT
    assert relation_to_target(pag, 1, [1, -1]) is Relation.NOT_CONNECTED


def test_the_strongest_relation_is_the_first_of_the_list() -> None:
    assert strongest([Relation.INDIRECT, Relation.POSSIBLE_CAUSE]) is Relation.POSSIBLE_CAUSE
    assert strongest([]) is Relation.NOT_CONNECTED
