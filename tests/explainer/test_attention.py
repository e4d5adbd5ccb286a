"""From attention to correlation: the formula, exactly the same for any numbering, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causal_twin.attention import random_attention, real_attention
from explainer import attention_correlation
from explainer.errors import InvalidAttentionError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(2, 40), sharpness=st.floats(0, 12))
def test_it_is_the_cosine_between_rows(seed: int, n: int, sharpness: float) -> None:
    weights = random_attention(np.random.default_rng(seed), n, sharpness)

    correlation = attention_correlation(weights)

    unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    assert np.abs(correlation - unit @ unit.T).max() < 1e-12
    assert (correlation == correlation.T).all()
    assert (np.diag(correlation) == 1).all()
    assert correlation.min() >= 0
    assert correlation.max() <= 1


@pytest.mark.parametrize("matrix", real_attention()[::3])
def test_renumbering_the_tokens_renumbers_the_entries_and_nothing_else(matrix: NDArray[np.float32]) -> None:
    order = np.random.default_rng(0).permutation(len(matrix))

    renumbered = attention_correlation(matrix[np.ix_(order, order)])

    assert (renumbered == attention_correlation(matrix)[np.ix_(order, order)]).all()


def test_half_precision_is_accepted() -> None:
    weights = random_attention(np.random.default_rng(3), 50).astype(np.float16)

    assert np.isfinite(attention_correlation(weights)).all()


@pytest.mark.parametrize(
    ("attention", "complaint"),
    [
        (np.ones((2, 3)) / 3, "square"),
        (np.ones((2, 2, 2)) / 2, "square"),
        (np.ones((1, 1)), "at least 2"),
        (np.array([[np.nan, 1.0], [0.5, 0.5]]), "finite"),
        (np.array([[1.5, -0.5], [0.5, 0.5]]), "negative"),
        (np.array([[0.5, 0.4], [0.5, 0.5]]), "row 0 is off by 0.1"),
        (np.array([["a", "b"], ["c", "d"]]), "real numbers"),
        (np.eye(2) * 1j, "real numbers"),
    ],
)
def test_what_is_no_attention_matrix_is_refused_in_one_sentence(attention: NDArray[np.generic], complaint: str) -> None:
    with pytest.raises(InvalidAttentionError, match=complaint):
        attention_correlation(attention)
