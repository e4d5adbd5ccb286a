"""The share of heads and settings that show an edge and its marks."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from causal_twin.attention import random_attention
from explainer import Mark, attention_correlation, edge_support, learn_pag
from explainer.errors import InvalidAttentionError, InvalidParameterError

RNG = np.random.default_rng(8)
HEADS = np.stack([random_attention(RNG, 12) for _ in range(2)])


@pytest.mark.parametrize("threads", [1, 3])
def test_it_counts_the_graphs_of_all_heads_and_settings(threads: int) -> None:
    found = edge_support(HEADS, n_samples=(32, 64), alphas=(0.01, 0.05), threads=threads)

    pags = [
        learn_pag(attention_correlation(head), samples, alpha)
        for head in HEADS
        for samples in (32, 64)
        for alpha in (0.01, 0.05)
    ]
    assert found.graphs == 8
    assert found.edge.tolist() == np.mean([pag.marks > 0 for pag in pags], axis=0).tolist()
    for mark in Mark:
        assert found.share[mark].tolist() == np.mean([pag.marks == mark for pag in pags], axis=0).tolist()
    assert np.allclose(found.share.sum(axis=0), 1)
    assert not found.edge.diagonal().any()


def test_a_graph_that_is_known_is_not_learnt_again() -> None:
    """And counts as one that is."""
    whole = edge_support(HEADS, n_samples=(32, 64), alphas=(0.01,))
    known = {(head, 64, 0.01): learn_pag(attention_correlation(HEADS[head])) for head in range(2)}

    with mock.patch("explainer.support.learn_pag", side_effect=learn_pag) as learn:
        found = edge_support(HEADS, n_samples=(32, 64), alphas=(0.01,), known=known)

    assert learn.call_count == 2
    assert (found.share == whole.share).all()
    assert found.graphs == whole.graphs == 4


def test_the_marks_of_an_edge_are_read_at_both_ends() -> None:
    found = edge_support(HEADS[:1], n_samples=(64,), alphas=(0.01,))
    marks = learn_pag(attention_correlation(HEADS[0])).marks
    i, j = np.nonzero(marks)
    none = np.full(len(i), Mark.NONE)

    for shares, expected in (
        (found.of_marks(i, j, marks[j, i], marks[i, j]), 1.0),
        (found.of_marks(i, j, none, none), 0.0),
    ):
        assert [share.tolist() for share in shares] == [[expected] * len(i)] * 2


def test_one_matrix_is_no_stack_and_an_empty_grid_has_no_shares() -> None:
    with pytest.raises(InvalidAttentionError, match="stack"):
        edge_support(HEADS[0])
    with pytest.raises(InvalidParameterError, match="alphas"):
        edge_support(HEADS, alphas=())
    with pytest.raises(InvalidParameterError, match="n_samples"):
        edge_support(HEADS, n_samples=())
