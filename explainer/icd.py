"""Iterative causal discovery (ICD) of a PAG from a correlation matrix: the public entry points.

Rohekar, Nisimov, Gurwicz, Novik, "Iterative Causal Discovery in the Possible Presence of Latent Confounders and Selection
Bias", NeurIPS 2021, arXiv 2111.04095; orientation rules of Zhang 2008. ``explainer.causal`` holds the algorithm, file by
file along the paper: candidates and search (the skeleton), arrowheads (R0-R4), tails (R5-R10), legality.

The result is a function of the matrix alone. How the tokens are numbered plays no part in it, because

- a radius decides everything on the graph as it stood when the radius began, and tests every legal set of every edge;
- a node counts as a member of a pair's separating sets by majority over all of them; exactly half is "ambiguous", and
  an ambiguous triple moves nothing;
- a sweep of the rules grants all their wishes at once; an end that is wished to be both arrowhead and tail is
  "contested" and stays a circle;
- votes are integers, sums in ``attention_correlation`` are exact, and the tests run over the nodes in an order that the
  matrix itself gives, so that even rounding falls alike.

With a perfect independence oracle all separating sets of least size agree and no wishes clash, so the result is the
PAG of the underlying model, mark by mark. ``docs/decisions/0101-order-independent-icd.md`` has the reasons and costs.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from explainer.attention import attention_correlation
from explainer.causal import kernel
from explainer.causal.independence import check_correlation, check_parameters, cutoffs
from explainer.causal.search import Flags
from explainer.pag import Pag, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

_Input = TypeVar("_Input")

MAX_TESTS = 1_000_000
"""Default budget of one graph, in independence tests: 30 milliseconds with small sets, under a second with large ones."""

_NO_LIMIT = 2**62
_NEVER = np.zeros(1, dtype=np.uint8)
_REASONS = {
    kernel.COMPLETE: Stop.COMPLETE,
    kernel.MAX_RADIUS: Stop.MAX_RADIUS,
    kernel.SAMPLE_SIZE: Stop.SAMPLE_SIZE,
    kernel.TEST_BUDGET: Stop.TEST_BUDGET,
    kernel.CANCELLED: Stop.CANCELLED,
    kernel.OUT_OF_TIME: Stop.TIME_BUDGET,
}


def learn_pag(
    correlation: ArrayLike,
    n_samples: float = 64,
    alpha: float = 0.01,
    max_radius: int | None = None,
    *,
    temporal: bool = False,
    selection_bias: bool = False,
    max_tests: int | None = MAX_TESTS,
    max_ms: float | None = None,
    cancel: NDArray[np.uint8] | None = None,
) -> Pag:
    """Learn the partial ancestral graph of a correlation matrix.

    The search is anytime: whatever stops it, the graph is that of the last finished radius, with the marks of R0-R4;
    R5-R10 are sound only once nothing is left to test, so they wait for that.

    Args:
        correlation: (n, n) n >= 2, symmetric, unit diagonal, any float type.
        n_samples: d of Fisher's z test, above 3. It need not be a whole number.
        alpha: level of the test, strictly between 0 and 1.
        max_radius: largest conditioning set to try; None for no limit.
        temporal: index order is time order. A later node is then never an ancestor of an earlier one, so every edge has
            an arrowhead at its later end; a tail never follows from the order alone.
        selection_bias: whether the nodes may have been selected by a common effect, which calls for R5-R7.
        max_tests: budget in independence tests; the radius that would exceed it is not begun in the result.
        max_ms: budget in milliseconds of wall clock.
        cancel: (1,) uint8; any thread may set it to stop the search within microseconds.

    Returns:
        The graph; ``stopped``, ``tests``, ``ambiguous``, ``contested`` and ``legal`` say how far to trust it.

    Raises:
        InvalidCorrelationError: the matrix is none.
        InvalidParameterError: a setting is out of its range.
    """
    matrix = check_correlation(correlation)
    check_parameters(n_samples, alpha, {"max_radius": max_radius, "max_tests": max_tests, "max_ms": max_ms})
    limits = cutoffs(n_samples, alpha, len(matrix))
    with _expiring(max_ms) as expired:
        marks, radius, stopped, tests, ambiguous, contested, legal = kernel.learn(
            matrix,
            kernel.Limits(
                limits,
                _NO_LIMIT if max_radius is None else max_radius,
                _NO_LIMIT if max_tests is None else max_tests,
                Flags(_NEVER if cancel is None else cancel, expired),
            ),
            temporal,
            selection_bias,
        )
    reason = _REASONS[stopped]
    complete = reason is Stop.COMPLETE
    return Pag(
        marks=marks,
        radius=radius,
        complete=complete,
        stopped=reason,
        tests=tests,
        cutoff=float(limits[0]),
        ambiguous=ambiguous,
        contested=contested,
        legal=legal if complete else None,
    )


def learn_pags(
    correlations: Iterable[ArrayLike],
    n_samples: float = 64,
    alpha: float = 0.01,
    max_radius: int | None = None,
    *,
    temporal: bool = False,
    selection_bias: bool = False,
    max_tests: int | None = MAX_TESTS,
    cancel: NDArray[np.uint8] | None = None,
    threads: int = 1,
) -> list[Pag]:
    """Learn one graph per matrix, on several threads: the engine runs outside the interpreter lock.

    Args:
        correlations: matrices of any sizes.
        n_samples: this and the following as for ``learn_pag``, for every matrix.
        alpha: see ``learn_pag``.
        max_radius: see ``learn_pag``.
        temporal: see ``learn_pag``.
        selection_bias: see ``learn_pag``.
        max_tests: see ``learn_pag``.
        cancel: see ``learn_pag``; stops all of them.
        threads: how many to run at a time.

    Returns:
        The graphs, in the order of the matrices.
    """
    one = partial(
        learn_pag,
        n_samples=n_samples,
        alpha=alpha,
        max_radius=max_radius,
        temporal=temporal,
        selection_bias=selection_bias,
        max_tests=max_tests,
        cancel=cancel,
    )
    return run_in_threads(one, correlations, threads)


def run_in_threads(learn: Callable[[_Input], Pag], inputs: Iterable[_Input], threads: int) -> list[Pag]:
    """Call ``learn`` on every input, so many at a time, and keep their order."""
    everything = list(inputs)
    if threads <= 1:
        return [learn(one) for one in everything]
    # One task per thread, not per graph: small graphs take no longer than handing over a task does.
    found: list[Pag | None] = [None] * len(everything)

    def every(first: int) -> None:
        found[first::threads] = [learn(one) for one in everything[first::threads]]

    with ThreadPoolExecutor(threads) as pool:
        for task in [pool.submit(every, first) for first in range(threads)]:
            task.result()
    return [pag for pag in found if pag is not None]


def warm_up() -> None:
    """Compile the engine, or load it from the disk cache, so that the first real graph does not wait for it."""
    learn_pag(attention_correlation(np.eye(2)))


@contextmanager
def _expiring(max_ms: float | None) -> Iterator[NDArray[np.uint8]]:
    """A flag that sets itself when the time is up."""
    if max_ms is None:
        yield _NEVER
        return
    flag = np.zeros(1, dtype=np.uint8)
    timer = threading.Timer(max_ms / 1000, flag.fill, [1])
    timer.daemon = True
    timer.start()
    try:
        yield flag
    finally:
        timer.cancel()
