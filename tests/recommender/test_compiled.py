"""The compiled passes' parts, each against its definition, and the promise that bits depend on nothing but the question."""

from __future__ import annotations

import inspect
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from explainer.model import History
from recbole_files import TOKENS, architecture, random_weights
from recommender.architecture import ACTIVATIONS
from recommender.bundle import Content
from recommender.compiled import SOURCES, catalogue, functions, passes, products
from recommender.compiled.network import CompiledNetwork
from recommender.compiled.scores import CompiledScores
from recommender.compiled.tiles import COLUMNS
from recommender.compiled.weights import _panels
from recommender.model import Recommender
from recommender.network import Hiding
from recommender.parameters import prepare

if TYPE_CHECKING:
    from recommender.compiled.weights import Floats


def floats(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@numba.njit
def multiply(a: Floats, b: Floats, bias: Floats, out: Floats) -> None:
    products.product(a, b, bias, out)


@numba.njit
def multiply_onto(a: Floats, b: Floats, out: Floats) -> None:
    products.add_product(a, b, out)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 6, 7, 8, 13, 50])
@pytest.mark.parametrize("panels", [1, 3, 4, 9])
def test_products_are_those_of_numpy(rows: int, panels: int) -> None:
    """In panels and in rows, from a bias and onto what is there."""
    a, b, bias = floats(rows, 23), floats(23, panels * COLUMNS, seed=1), floats(panels * COLUMNS, seed=2)
    expected = a.astype(np.float64) @ b + bias

    for right in (_panels(b), b):
        out = np.empty_like(expected, np.float32)
        multiply(a, right, bias, out)
        np.testing.assert_allclose(out, expected, atol=2e-5)
    onto = np.tile(bias, (rows, 1))
    multiply_onto(a, _panels(b), onto)
    assert (onto == out).all()


def test_a_row_of_a_product_has_the_same_bits_among_any_number_of_rows() -> None:
    a, b, bias = floats(40, 64), _panels(floats(64, 5 * COLUMNS, seed=1)), floats(5 * COLUMNS, seed=2)
    together, alone = np.empty((40, 5 * COLUMNS), np.float32), np.empty((1, 5 * COLUMNS), np.float32)
    multiply(a, b, bias, together)

    for count in range(1, 40):
        some = np.empty((count, 5 * COLUMNS), np.float32)
        multiply(a[:count], b, bias, some)
        assert (some == together[:count]).all()
        multiply(a[count : count + 1], b, bias, alone)
        assert (alone == together[count]).all()


def test_products_add_up_along_the_inner_dimension() -> None:
    """2^24 + 1 is 2^24 in 32 bits: in this order the 1 is lost, in any other it is not."""
    a = np.array([[2**24, 1, -(2**24)]], np.float32)
    out = np.empty((1, COLUMNS), np.float32)

    multiply(a, np.ones((3, COLUMNS), np.float32), np.zeros(COLUMNS, np.float32), out)

    assert (out == 0).all()


@numba.njit
def exponentials(x: Floats, out: Floats) -> None:
    for place in range(len(x)):
        out[place] = functions.exponential(x[place])


def test_exponentials_are_right_to_two_parts_in_ten_million() -> None:
    x = np.linspace(-87, 88, 200_001).astype(np.float32)
    found = np.empty_like(x)

    exponentials(x, found)

    assert np.abs(found / np.exp(x.astype(np.float64)) - 1).max() < 2e-7
    exponentials(np.array([-1e30, 1e30], np.float32), found)
    assert found[:2] == pytest.approx([math.exp(-87), math.exp(88)], rel=1e-6)


@numba.njit
def activated(kind: int, row: Floats) -> None:
    functions.activate(kind, row)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_torch(name: str) -> None:
    """To a few units in the last place of the input, also far out."""
    x = np.concatenate([np.linspace(-12, 12, 100_003), [-1e4, -100, 100, 1e4]]).astype(np.float32)
    exact: dict[str, Any] = {
        "gelu": torch.nn.functional.gelu,
        "relu": torch.relu,
        "swish": torch.nn.functional.silu,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
    }
    found = x.copy()

    activated(ACTIVATIONS.index(name), found)

    expected = exact[name](torch.from_numpy(x).double()).numpy()
    assert (np.abs(found - expected) / np.maximum(np.abs(x), 1)).max() < 4e-7


@numba.njit
def normalised(rows: Floats, norm: Floats, eps: Any, means: Floats, factors: Floats) -> None:
    functions.normalise(rows, norm, eps, means, factors)


@pytest.mark.parametrize("hidden", [1, 5, 16, 40, 64, 100])
def test_norms_are_those_of_torch(hidden: int) -> None:
    """Over the first values of each row; the others stay."""
    rows, norm = floats(3, hidden + 3) * 5 + 2, floats(2, hidden, seed=1)
    weight, bias = torch.from_numpy(norm)
    expected = torch.layer_norm(torch.from_numpy(rows[:, :hidden]), (hidden,), weight, bias, 1e-6)
    rest = rows[:, hidden:].copy()

    normalised(rows, norm, np.float32(1e-6), floats(3), floats(3))

    np.testing.assert_allclose(rows[:, :hidden], expected, atol=3e-6)
    assert (rows[:, hidden:] == rest).all()


@numba.njit
def weighed(scores: Floats, keep: Floats, weights: Floats, totals: Floats) -> None:
    functions.weigh(scores, keep, weights, totals)


def test_weights_are_a_softmax_of_what_is_kept() -> None:
    """With a key whose score would hide all others, were it kept; and nothing where nothing is seen."""
    scores, keep = floats(3, 32) * 3, np.zeros(32, np.float32)
    weights, totals = np.empty_like(scores), np.empty(3, np.float32)
    keep[[0, 3, 4, 20]] = 1
    scores[:, 5] = 1e6
    scores[1, 20] = scores[2] = -np.inf

    weighed(scores, keep, weights, totals)

    kept = torch.from_numpy(scores[:2, keep == 1]).double()
    np.testing.assert_allclose(weights[:2, keep == 1] / totals[:2, None], kept.softmax(1), atol=1e-6)
    assert weights[:, keep == 0].sum() == weights[1, 20] == totals[2] == weights[2].sum() == 0
    weighed(scores, np.zeros_like(keep), weights, totals)
    assert totals.sum() == weights.sum() == 0


@settings(max_examples=40, deadline=None)
@given(items=st.integers(1, 30), hidden=st.integers(1, 40), count=st.integers(1, 5))
def test_items_have_the_same_score_for_one_history_and_for_many(items: int, hidden: int, count: int) -> None:
    """Whatever the width and however many items follow."""
    table, bias, states = floats(items, hidden), floats(items, seed=1), floats(count, hidden, seed=2)
    together, alone = np.empty((count, items), np.float32), np.empty((1, items), np.float32)

    catalogue.score(table, bias, states, together)

    np.testing.assert_allclose(together, states.astype(np.float64) @ table.T + bias, atol=1e-4)
    catalogue.score(table, bias, states[-1:], alone)
    assert (alone == together[-1:]).all()
    catalogue.score(table[-1:], bias[-1:], states[-1:], alone)
    assert alone[0, 0] == together[-1, -1]


@settings(max_examples=40, deadline=None)
@given(items=st.integers(1, 700), seed=st.integers(0, 99))
def test_an_items_standing_is_counted_exactly(items: int, seed: int) -> None:
    """Against numpy in 64 bits, with ties and with items that are no candidates."""
    scores = np.round(floats(2, items, seed=seed) * 4) / 4
    own = scores[:, 0].copy()
    scores[:, ::3] = -np.inf
    higher, best, odds = np.zeros(2, np.int64), np.full(2, -np.inf, np.float32), np.ones(2)

    catalogue.tally(scores, own, higher, best, odds)

    ahead = scores.astype(np.float64) - own[:, None]
    assert (higher == (ahead > 1e-4).sum(1)).all()
    assert (best == ahead.max(1)).all()
    np.testing.assert_allclose(odds, 1 + np.exp(ahead).sum(1), rtol=1e-6)


@pytest.mark.parametrize("entry", [passes.predict, passes.hide, passes.look, catalogue.score, catalogue.tally])
def test_all_sources_are_part_of_every_cache_key(entry: Any) -> None:
    assert inspect.getclosurevars(entry.py_func).nonlocals["version"] == SOURCES


def test_every_pass_is_compiled_once() -> None:
    """Another layout of an argument would be compiled anew, in the middle of a question."""
    shape = architecture(hidden_size=20, inner_size=24)
    model = Recommender(Content(shape, random_weights(shape), TOKENS, {}, "").draft())
    history = model.window(TOKENS[1:25])

    model.scores([history, History(TOKENS[3:6]), History(())])
    model.without(history, "item-29", [(), (1,), (2, 3, 4, 5, 6)], top_k=2)
    model.shifted(history, "item-29")
    model.attention(history, "item-29")
    model.places(history, ["item-28"])

    for entry in (passes.predict, passes.hide, passes.look, catalogue.score, catalogue.tally):
        assert len(entry.signatures) == 1


OTHER_PROCESSOR = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
"""One without long registers and without fused multiplication, which is then done in software."""

WIDE = """
import sys
from unittest import mock
import numba
numba.njit(lambda: 0)()  # numba itself is to know the processor as it is
with mock.patch("llvmlite.binding.get_host_cpu_features", return_value={"avx512f": True}):
    from recommender.compiled import tiles
assert tiles.LANES == 16
import numpy as np
from test_compiled import asked
np.save(sys.argv[1], asked())
"""


def asked() -> Floats:
    """Scores of versions of a history, of which some are made by taking away and others added up, through three layers."""
    shape = architecture(layers=3, hidden_size=20, inner_size=40)
    draft = Content(shape, random_weights(shape), TOKENS, {}, "").draft()
    parameters = prepare(shape, draft.weights, "cpu", torch.float32)
    keep = torch.ones(4, 10)
    keep[1, 1] = keep[2, 2:4] = keep[3, 4:9] = 0
    (states,) = CompiledNetwork(parameters).predict_hiding([Hiding(torch.arange(3, 13), keep)])
    scores = CompiledScores(parameters.items, parameters.item_bias)
    found: Floats = scores.block(states, 0, len(scores) - 1).numpy()
    return found


def test_bits_do_not_depend_on_the_processor(tmp_path: Path) -> None:
    """The same questions to a pass that is compiled for tiles of another width and for an old processor."""
    places = [*sys.path, str(Path(__file__).parent)]
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(places), **OTHER_PROCESSOR}

    subprocess.run(  # noqa: S603 - the script above
        [sys.executable, "-c", WIDE, str(tmp_path / "scores.npy")], check=True, env={**os.environ, **environment}
    )

    assert (np.load(tmp_path / "scores.npy") == asked()).all()
