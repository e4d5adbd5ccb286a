"""Large catalogues: the same answers in blocks as at once, and no more memory than a block."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recommender.scoring import Scorer, TorchScores

ITEMS, HIDDEN = 1_000, 16


@pytest.fixture(name="table")
def _table() -> torch.Tensor:
    # Whole numbers: sums have no rounding, so that blocks of different sizes must agree to the last bit.
    return torch.randint(-3, 4, (ITEMS, HIDDEN), generator=torch.Generator().manual_seed(1)).float()


@pytest.fixture(name="hidden")
def _hidden() -> torch.Tensor:
    return torch.randint(-3, 4, (7, HIDDEN), generator=torch.Generator().manual_seed(2)).float() / 8


EXCLUDED = torch.tensor([0, 5, 63, 64, 999])


@pytest.mark.parametrize("block", [1, 64, 333, 999, 1_000])
@pytest.mark.parametrize("top_k", [1, 5])
def test_blocks_give_the_same_outcomes(table: torch.Tensor, hidden: torch.Tensor, block: int, top_k: int) -> None:
    """Whatever block the target is in."""
    whole = Scorer(TorchScores(table, None, 4))
    expected = [whole.outcomes(hidden, target, EXCLUDED, top_k) for target in (1, 62, 998)]
    blocked = Scorer(TorchScores(table, None, 4), block)

    for target, outcomes in zip((1, 62, 998), expected, strict=True):
        found = blocked.outcomes(hidden, target, EXCLUDED, top_k)
        np.testing.assert_array_equal(found.target_score, outcomes.target_score)
        np.testing.assert_array_equal(found.target_rank, outcomes.target_rank)
        np.testing.assert_array_equal(found.margin, outcomes.margin)
        np.testing.assert_allclose(found.target_probability, outcomes.target_probability, rtol=1e-5)


@pytest.mark.parametrize("block", [7, 64, 999])
def test_blocks_give_the_same_lists(table: torch.Tensor, hidden: torch.Tensor, block: int) -> None:
    """Many scores are equal here, and come by number."""
    whole = Scorer(TorchScores(table, torch.zeros(ITEMS), 4))
    scores = whole.all(hidden[:1])[0].numpy()
    candidates = [number for number in range(ITEMS) if number not in EXCLUDED.tolist()]
    ordered = sorted(candidates, key=lambda number: (-scores[number], number))
    blocked = Scorer(TorchScores(table, torch.zeros(ITEMS), 4), block)

    for k in (1, 10, 2_000):
        (found,) = blocked.top(hidden[:1], [EXCLUDED.numpy()], [k])
        assert [number for number, _ in found] == ordered[:k]
    places = blocked.places(hidden[:1], EXCLUDED, ordered[:20])
    assert [place for place, _ in places] == list(range(1, 21))
    torch.testing.assert_close(blocked.all(hidden), whole.all(hidden))


def test_fewer_candidates_than_asked_for(table: torch.Tensor, hidden: torch.Tensor) -> None:
    """The margin against a place that nobody holds is infinite."""
    excluded = torch.arange(ITEMS - 2)

    found = Scorer(TorchScores(table, None, 4)).outcomes(hidden, ITEMS - 1, excluded, 2)

    assert np.isposinf(found.margin).all()
    assert list(
        map(len, Scorer(TorchScores(table, None, 4)).top(hidden[:2], [excluded.numpy(), EXCLUDED.numpy()], [5, 3]))
    ) == [
        2,
        3,
    ]
