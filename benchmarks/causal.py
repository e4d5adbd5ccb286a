"""Times the causal engine on real and random attention, beside other implementations on the same matrices; JSON on stdout.

From the repository's root, after ``make demo``::

    .venv/bin/python -m benchmarks.causal [--users 100] [--rivals 5] [--reference CHECKOUT]

Times are CPU milliseconds of the one thread that works, after warm-up, so that other work on the machine matters little;
only the scaling over threads is wall clock. Rivals: the plain Python twin of the tests, causal-learn's FCI (Fisher z on
data with exactly this correlation), and, given a checkout of IntelLabs/causality-lab, the authors' own code. A rival that
takes longer than its limit is counted at the limit, so ratios to it are lower bounds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explainer import attention_correlation, learn_pag, learn_pags, warm_up
from recommender import Recommender, load_bundle, read_dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
SAMPLES, ALPHA = 64, 0.01
SIZES = (10, 20, 30, 50)
LIMIT_S = 30.0


class _TimeUpError(Exception):
    """A rival has had its time."""


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / ".demo" / "bundle")
    parser.add_argument("--data", type=Path, default=ROOT / ".demo" / "ml-100k")
    parser.add_argument("--users", type=int, default=100, help="histories per size; each gives one matrix per head")
    parser.add_argument("--rivals", type=int, default=5, help="matrices per size that the rivals get")
    parser.add_argument("--reference", type=Path, help="checkout of IntelLabs/causality-lab")
    options = parser.parse_args()
    report: dict[str, Any] = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cpus": os.cpu_count(),
            "load": os.getloadavg()[0],
        },
        "settings": {"n_samples": SAMPLES, "alpha": ALPHA, "cutoff": round(learn_pag(np.eye(2)).cutoff, 3)},
        "import_and_warm_up_s": _fresh_start(),
    }
    warm_up()
    rivals = _rivals(options.reference)
    report["real_attention"] = {}
    for size, (matrices, forward_ms) in _real(options.bundle, options.data, options.users).items():
        report["real_attention"][f"n={size}"] = {
            **_summary(matrices),
            "model_forward_ms": round(forward_ms, 3),
            "rivals": _beside(matrices[: options.rivals], rivals),
        }
    rng = np.random.default_rng(0)
    report["random_attention"] = {}
    for n in (20, 30):  # less alike than the demo model's, so conditioning sets grow larger
        matrices = [_random(rng, n) for _ in range(100)]
        beside = _beside(matrices[: options.rivals], rivals)
        report["random_attention"][f"n={n}"] = {**_summary(matrices), "rivals": beside}
    for n, radius in ((100, None), (200, 2)):
        matrices = [_random(rng, n) for _ in range(20)]
        report["random_attention"][f"n={n}, max_radius={radius}"] = _summary(matrices, max_radius=radius)
    report["two_threads"] = _threads([_random(rng, 50) for _ in range(400)])
    print(json.dumps(report, indent=2))


def _summary(matrices: list[NDArray[np.float64]], *, max_radius: int | None = None) -> dict[str, Any]:
    """Median and p99 over the matrices, the best of three runs of each."""
    times, correlating, pags = [], [], []
    for matrix in matrices:
        correlating.append(min(_cpu_ms(lambda m=matrix: attention_correlation(m)) for _ in range(3)))
        correlation = attention_correlation(matrix)
        times.append(min(_cpu_ms(lambda c=correlation: learn_pag(c, SAMPLES, ALPHA, max_radius)) for _ in range(3)))
        pags.append(learn_pag(correlation, SAMPLES, ALPHA, max_radius))
    return {
        "matrices": len(matrices),
        "graph_ms": {"median": _at(times, 50), "p99": _at(times, 99), "max": _at(times, 100)},
        "correlation_ms": {"median": _at(correlating, 50)},
        "tests": {"median": _at([pag.tests for pag in pags], 50), "max": max(pag.tests for pag in pags)},
        "radius": {"median": _at([pag.radius for pag in pags], 50), "max": max(pag.radius for pag in pags)},
        "edges": _at([np.count_nonzero(pag.marks) / 2 for pag in pags], 50),
        "complete": _share([pag.complete for pag in pags]),
        "legal": _share([bool(pag.legal) for pag in pags]),
        "contested_or_ambiguous": _share([pag.ambiguous + pag.contested > 0 for pag in pags]),
    }


def _beside(matrices: list[NDArray[np.float64]], rivals: dict[str, Callable[[Any], object]]) -> dict[str, Any]:
    """The rivals' times, and how many times longer they take than the engine on the same matrices."""
    correlations = [attention_correlation(matrix) for matrix in matrices]
    ours = [min(_cpu_ms(lambda c=c: learn_pag(c, SAMPLES, ALPHA)) for _ in range(3)) for c in correlations]
    found = {}
    for name, learn in rivals.items():
        theirs = [_limited_ms(lambda c=c, learn=learn: learn(c)) for c in correlations]
        ratios = [time_ms / own for (time_ms, _), own in zip(theirs, ours, strict=True)]
        found[name] = {
            "median_ms": _at([time_ms for time_ms, _ in theirs], 50),
            "stopped_at_limit": sum(stopped for _, stopped in theirs),
            "times_slower_median": round(float(np.median(ratios))),
            "times_slower_least": round(min(ratios)),
        }
    return found


def _rivals(reference: Path | None) -> dict[str, Callable[[Any], object]]:
    sys.path.insert(0, str(ROOT / "tests"))
    from causallearn.search.ConstraintBased.FCI import fci  # noqa: PLC0415 - slow to import

    from causal_twin import icd as plain  # noqa: PLC0415 - a module of the tests

    def causal_learn(correlation: NDArray[np.float64]) -> object:
        with contextlib.redirect_stdout(io.StringIO()):
            return fci(_data_with(correlation), independence_test_method="fisherz", alpha=ALPHA, show_progress=False)

    rivals: dict[str, Callable[[Any], object]] = {
        "plain_python_twin": lambda correlation: plain.learn_from(correlation, SAMPLES, ALPHA),
        "causal_learn_fci": causal_learn,
    }
    if reference is not None:
        rivals["authors_icd"] = _authors(reference)
    return rivals


def _authors(checkout: Path) -> Callable[[Any], object]:
    """Graph step of the authors' CLEANN, settings as here."""
    sys.path.insert(0, str(checkout))
    from causal_discovery_algs import LearnStructICD  # type: ignore[import-not-found]  # noqa: PLC0415 - their checkout
    from causal_discovery_utils.cond_indep_tests import (  # type: ignore[import-not-found]  # noqa: PLC0415
        CondIndepParCorr,
    )

    def learn(correlation: NDArray[np.float64]) -> object:
        n = len(correlation)
        test = CondIndepParCorr(threshold=ALPHA, dataset=None, num_records=SAMPLES, num_vars=n, use_cache=True)
        test.correlation_matrix = correlation
        algorithm = LearnStructICD(nodes_set=set(range(n)), ci_test=test, is_selection_bias=False)
        algorithm.learn_structure()
        return algorithm.graph

    return learn


def _data_with(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Data of SAMPLES rows whose sample correlation is the given one."""
    n = len(correlation)
    draws = np.random.default_rng(0).normal(size=(SAMPLES, n))
    white = np.linalg.qr(draws - draws.mean(axis=0))[0]
    values, vectors = np.linalg.eigh(correlation)
    data: NDArray[np.float64] = white @ (vectors * np.sqrt(np.maximum(values, 1e-12))).T
    return data


def _real(bundle: Path, data: Path, users: int) -> dict[int, tuple[list[NDArray[np.float64]], float]]:
    """Attention of the demo model for the latest items of the first users with enough of them, and its time."""
    model = Recommender(load_bundle(bundle))
    histories = read_dataset(data).histories()
    found = {}
    for size in SIZES:
        windows = [model.window(items[-(size - 1) :]) for items in histories.values() if len(items) >= size][:users]
        pairs = [(window, model.top(window, 1)[0].item) for window in windows]
        times = [_cpu_ms(lambda w=window, t=target: model.attention(w, t)) for window, target in pairs]
        matrices = [head for window, target in pairs for head in model.attention(window, target)]
        found[size] = matrices, float(np.median(times))
    return found


def _random(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Softmax of normal logits with a spread of 1.5, and tokens that all others like."""
    logits = 1.5 * (rng.normal(size=(n, n)) + 0.7 * rng.normal(size=n))
    weights: NDArray[np.float64] = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True)


def _threads(matrices: list[NDArray[np.float64]]) -> dict[str, float]:
    """Wall clock of a batch on one thread and on two, each the best of five turns taken alternately."""
    correlations = [attention_correlation(matrix) for matrix in matrices]
    best = {1: float("inf"), 2: float("inf")}
    for _ in range(5):
        for threads, before in best.items():
            started = time.perf_counter()
            learn_pags(correlations, SAMPLES, ALPHA, threads=threads)
            best[threads] = min(before, time.perf_counter() - started)
    return {"one_s": round(best[1], 3), "two_s": round(best[2], 3), "speed_up": round(best[1] / best[2], 2)}


def _fresh_start() -> float:
    """Seconds from starting Python to a warm engine, with the disk cache filled, less those of an empty Python."""

    def run(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)  # noqa: S603 - our own code
        return time.perf_counter() - started

    code = "import explainer; explainer.warm_up()"
    run(code)
    return round(min(run(code) for _ in range(3)) - min(run("pass") for _ in range(3)), 2)


def _cpu_ms(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return 1000 * (time.thread_time() - started)


def _limited_ms(work: Callable[[], object]) -> tuple[float, bool]:
    """CPU milliseconds and whether the limit was met."""
    started = time.process_time()
    try:
        with _limit(LIMIT_S):
            work()
    except _TimeUpError:
        return 1000 * LIMIT_S, True
    return 1000 * (time.process_time() - started), False


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TimeUpError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _at(values: list[float] | list[int], percentile: int) -> float:
    return round(float(np.percentile(values, percentile)), 3)


def _share(values: list[bool]) -> float:
    return round(sum(values) / len(values), 3)


if __name__ == "__main__":
    main()
