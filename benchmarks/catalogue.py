"""Time and memory over catalogue size and history length, with random weights, on one thread; JSON on stdout.

Run from the repository's root: ``.venv/bin/python -m benchmarks.catalogue [--quick]``. Each size runs in a process of its
own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explainer.model import History
from recommender import Recommender, load_bundle
from recommender.architecture import Architecture, Head, Model
from recommender.bundle import Content, save_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = ((2_000, 50), (50_000, 50), (1_000_000, 50), (50_000, 20), (50_000, 100), (50_000, 200))
"""Items and positions."""


def make(folder: Path, items: int, positions: int, hidden: int = 64, layers: int = 2, *, sharp: float = 1.0) -> None:
    """Write a bundle of a BERT4Rec with random weights; attention with a `sharp` of 10 or more looks at few items, as if learnt."""
    shape = Architecture(
        Model.BERT4REC, Head.TRANSFORMED, layers, 2, hidden, 4 * hidden, "gelu", 1e-12, positions, positions, items
    )
    rng = np.random.default_rng(0)
    weights = {
        name: (rng.standard_normal(size, np.float32) * 0.1 + name.endswith(("Norm.weight", "ln.weight"))).astype(
            np.float32
        )
        for name, size in shape.schema().items()
    }
    for name in weights:
        weights[name] *= sharp if ".query." in name else 1.0
    tokens = ["[PAD]", *(f"item-{number}" for number in range(1, items))]
    titles = {token: f"The title of {token}" for token in tokens[1:]}
    save_bundle(folder, Content(shape, weights, tokens, {"title": titles}, "title"), {"data_settings": None})


def median_ms(call: Callable[[], object], rounds: int) -> float:
    """Median CPU milliseconds of a call, after one that does not count."""
    call()
    spent = []
    for _ in range(rounds):
        start = time.process_time_ns()
        call()
        spent.append((time.process_time_ns() - start) / 1e6)
    return statistics.median(spent)


def peak_mib() -> float:
    """Most memory that this process has held, mapped files included; of Linux."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """Open the bundle, and answer what an explanation asks."""
    start = time.perf_counter()
    bundle = load_bundle(folder, verify=False)
    opened = time.perf_counter()
    title = bundle.catalogue.title("item-1999")
    load_bundle(folder)
    verified = time.perf_counter()
    before = peak_mib()
    model = Recommender(bundle)
    length = bundle.max_history
    history = History(tuple(f"item-{1 + 7 * place}" for place in range(length)))
    target = model.top(history, 1)[0].item
    singles = [(position,) for position in range(length)]
    return {
        "items": len(bundle.catalogue) + 1,
        "history": length,
        "open_ms": (opened - start) * 1e3,
        "open_and_verify_ms": (verified - opened) * 1e3,
        "title": title,
        "top_10_ms": median_ms(lambda: model.top(history, 10), rounds),
        "all_single_removals_ms": median_ms(lambda: model.without(history, target, singles), rounds),
        "margin_gradient_ms": median_ms(lambda: model.margin_gradient(history, target), rounds),
        "peak_memory_mib": peak_mib(),
        "peak_memory_before_scoring_mib": before,
        "scores_of_all_removals_would_be_mib": length * (len(bundle.catalogue) + 1) * 4 / 2**20,
    }


def main() -> int:
    """Measure every size and print one JSON object."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(Path(sys.argv[2]), int(sys.argv[3]))))
        return 0
    rounds = "3" if "--quick" in sys.argv else "15"
    found = []
    for items, positions in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder) / "bundle", items, positions)
            command = [sys.executable, "-m", "benchmarks.catalogue", "--one", f"{folder}/bundle", rounds]
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this script
            found.append(json.loads(done.stdout))
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
