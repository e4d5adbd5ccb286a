"""Cost curves: what an explanation's parts cost over history length, catalogue, width, layers and k; JSON and plots.

From the repository's root: ``.venv/bin/python -m benchmarks.curves [--quick] [--out docs/scaling]``. Models have random
weights, which cost what trained ones do. Each point runs in a process of its own, on one thread; times are CPU milliseconds,
the median over rounds. Exponents are least-squares slopes of log time over log size, over the larger half of each curve.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.catalogue import make, median_ms, peak_mib
from explainer import warm_up
from explainer.graphs import read_heads
from explainer.model import History
from explainer.settings import Settings
from explainer.support import edge_support
from recommender import Recommender, load_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = {"history": 50, "items": 10_000, "hidden": 64, "layers": 2, "k": 10}
CURVES: dict[str, tuple[int, ...]] = {
    "history": (10, 20, 50, 100, 200),
    "items": (1_000, 10_000, 100_000, 1_000_000),
    "hidden": (64, 128, 256),
    "layers": (2, 3, 4),
    "k": (1, 3, 10, 30, 100),
}
PARTS = ("recommend", "graph", "supportedGraph", "singles", "perSet")
LABELS = {"supportedGraph": "graph with support", "perSet": "one set more"}
PAIRS = 200


def measure(folder: Path, k: int, rounds: int) -> dict[str, float]:
    """What one point costs."""
    model = Recommender(load_bundle(folder, verify=False))
    length = model.bundle.max_history
    history = History(tuple(f"item-{1 + 3 * place}" for place in range(length)))
    target = model.top(history, 1)[0].item
    singles = [(position,) for position in range(length)]
    pairs = list(itertools.islice(itertools.combinations(range(length), 2), PAIRS))
    settings = Settings(n_samples=model.hidden_size, temporal=False)
    pairs_ms = median_ms(lambda: model.without(history, target, pairs, top_k=k), rounds)

    def supported_graph() -> None:
        attention = model.attention(history, target)
        read_heads(attention, settings)
        edge_support(attention, max_tests=settings.max_tests)

    return {
        "recommend": median_ms(lambda: model.top(history, k), rounds),
        "graph": median_ms(lambda: read_heads(model.attention(history, target), settings), rounds),
        "supportedGraph": median_ms(supported_graph, rounds),
        "singles": median_ms(lambda: model.without(history, target, singles, top_k=k), rounds),
        "perSet": pairs_ms / len(pairs),
        "peakMiB": peak_mib(),
    }


def points() -> Iterator[tuple[str, int, dict[str, int]]]:
    """Each curve's name and size, with the point's measures."""
    for name, sizes in CURVES.items():
        for size in sizes:
            yield name, size, BASE | {name: size}


def exponent(sizes: list[int], times: list[float]) -> float:
    """Slope of log time over log size, over the larger half of the curve."""
    half = len(sizes) // 2 - 1 if len(sizes) > 3 else 0  # noqa: PLR2004 - three points are few enough
    logs = np.log(np.array([sizes[half:], times[half:]]))
    return float(np.polyfit(logs[0], logs[1], 1)[0])


def plot(curves: dict[str, Any], out: Path) -> None:
    """One picture of all curves."""
    import matplotlib as mpl  # noqa: PLC0415 - only for the picture

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "becausal"
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of its output

    figure, axes = plt.subplots(1, len(curves), figsize=(4 * len(curves), 3.6), constrained_layout=True)
    for axis, (name, curve) in zip(axes, curves.items(), strict=True):
        for part in PARTS:
            axis.plot(curve["sizes"], curve[part], marker="o", label=LABELS.get(part, part))
        axis.set(xscale="log", yscale="log", xlabel=name, title=f"{name} (others: {_others(name)})")
        axis.title.set_fontsize(8)
        axis.grid(visible=True, which="major", alpha=0.3)
    axes[0].set_ylabel("CPU milliseconds")
    axes[0].legend(fontsize=8)
    figure.savefig(out / "curves.svg", metadata={"Date": None})


def _others(name: str) -> str:
    return ", ".join(f"{other} {value:,}" for other, value in BASE.items() if other != name)


def main() -> int:
    """Measure every point; print one JSON object, and write it and the picture to a folder."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, for a first look")
    parser.add_argument("--out", type=Path, help="folder for curves.json and curves.svg")
    options = parser.parse_args()
    warm_up()
    curves: dict[str, Any] = {name: {"sizes": [], **{part: [] for part in (*PARTS, "peakMiB")}} for name in CURVES}
    with tempfile.TemporaryDirectory() as folder:
        for name, size, point in points():
            bundle = Path(folder) / "-".join(str(point[one]) for one in ("items", "history", "hidden", "layers"))
            if not bundle.exists():
                # One position is the mask's.
                make(bundle, point["items"], point["history"] + 1, point["hidden"], point["layers"])
            command = [sys.executable, "-m", "benchmarks.curves", "--one", str(bundle), str(point["k"])]
            rounds = "2" if options.quick else "9"
            done = subprocess.run([*command, rounds], check=True, capture_output=True, text=True)  # noqa: S603 - this script
            curves[name]["sizes"].append(size)
            for part, value in json.loads(done.stdout).items():
                curves[name][part].append(float(f"{value:.4g}"))
            print(f"{name} {size}", file=sys.stderr)
    for curve in curves.values():
        curve["exponents"] = {part: round(exponent(curve["sizes"], curve[part]), 2) for part in PARTS}
    found = {"machine": f"{platform.machine()}, 1 thread", "base": BASE, "curves": curves}
    print(json.dumps(found, indent=1))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "curves.json").write_text(json.dumps(found, indent=1) + "\n")
        plot(curves, options.out)
    return 0 if all(math.isfinite(value) for curve in curves.values() for value in curve["perSet"]) else 1


if __name__ == "__main__":
    sys.exit(main())
