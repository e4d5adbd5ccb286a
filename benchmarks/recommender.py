"""Times becausal's scoring against RecBole's own ``full_sort_predict``, on one thread, in one run; JSON on stdout.

Run in the environment that has RecBole, from the repository's root, after ``make .demo/ml-100k``::

    .venv-recbole/bin/python -m benchmarks.recommender [--quick]

Both sides take turns within each case, in bursts of at least 20 ms, so that a busy machine slows both and each finds its
own data in the processor's cache; times are CPU milliseconds of this process per call, the median over the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explainer.settings import Intervention
from recommender import HistoryPolicy, Recommender, import_checkpoint, read_dataset
from recommender.checkpoint import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from explainer.model import History
    from recommender.joining import Question, Ranking

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINT = ROOT / "demo" / "BERT4Rec-ml-100k.pth"
DATA = ROOT / ".demo" / "ml-100k"
FULL, SHORT, SWEEP, BATCH = 49, 20, 49, 256
CALLERS, FEW = 32, 8
BURST_NS = 20_000_000


class Shape:
    """The one thing that RecBole's model classes ask of a data set."""

    def __init__(self, items: int) -> None:
        self.items = items

    def num(self, _field: str) -> int:
        """Rows of the item embedding that are items."""
        return self.items


def recbole_model() -> torch.nn.Module:
    """RecBole's own class with the demo's weights."""
    from recbole.model.sequential_recommender import BERT4Rec  # noqa: PLC0415 - only where RecBole is

    source = read_checkpoint(CHECKPOINT)
    values = {**source.settings, "device": "cpu"}

    class Config(dict[str, object]):
        def __missing__(self, _name: str) -> None:
            return None

    model = BERT4Rec(Config(values), Shape(source.architecture.items))
    model.load_state_dict({name: torch.from_numpy(value) for name, value in source.tensors.items()})
    return model.eval()


def recbole_input(rows: list[list[int]], width: int = 50) -> dict[str, torch.Tensor]:
    """Item numbers as RecBole's loader gives them. One leading item, which its inference always drops, is put first."""
    items = torch.zeros(len(rows), width, dtype=torch.long)
    for place, row in enumerate(rows):
        items[place, : len(row) + 1] = torch.tensor([1, *row])
    return {"item_id_list": items, "item_length": torch.tensor([len(row) + 1 for row in rows])}


def in_turns(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median CPU milliseconds of one call of each, in alternating bursts, the first of which do not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for call, spent in zip((first, second), times, strict=True):
            calls, start = 0, time.process_time_ns()
            while time.process_time_ns() - start < BURST_NS:
                call()
                calls += 1
            if turn:
                spent.append((time.process_time_ns() - start) / 1e6 / calls)
    return statistics.median(times[0]), statistics.median(times[1])


def cases(
    ours: Recommender, theirs: torch.nn.Module, histories: list[tuple[str, ...]], rounds: int
) -> list[dict[str, object]]:
    """Every comparison with its goal: how many times as fast as RecBole."""
    number = ours.bundle.catalogue.number

    def predict(rows: list[list[int]]) -> Callable[[], object]:
        batch = recbole_input(rows)
        return lambda: theirs.full_sort_predict(batch)

    def numbers(histories_: list[History]) -> list[list[int]]:
        return [[number(token) for token in history.items] for history in histories_]

    full = [ours.window(tokens) for tokens in histories if len(tokens) >= FULL]
    short = [ours.window(tokens[-SHORT:]) for tokens in histories]
    mixed = [ours.window(tokens) for tokens in histories][:BATCH]
    one = full[0]
    target = ours.top(one, 1)[0].item
    singles = [(position,) for position in range(FULL)]
    deleted = [[item for place, item in enumerate(numbers([one])[0]) if place != gone] for (gone,) in singles]
    comparisons: list[tuple[str, float, Callable[[], object], Callable[[], object]]] = [
        ("batch of 1, 49 items", 2.4, predict(numbers([one])), lambda: ours.scores([one])),
        ("sweep of 49 single removals, MASK_OUT", 4.0, predict(deleted), lambda: ours.without(one, target, singles)),
        (
            "sweep of 49 single removals, DELETE",
            0.0,
            predict(deleted),
            lambda: ours.without(one, target, singles, intervention=Intervention.DELETE),
        ),
        ("batch of 49, 20 items", 7.0, predict(numbers(short[:SWEEP])), lambda: ours.scores(short[:SWEEP])),
        ("batch of 256, 49 items", 4.0, predict(numbers(full[:BATCH])), lambda: ours.scores(full[:BATCH])),
        ("batch of 256, real lengths", 0.0, predict(numbers(mixed)), lambda: ours.scores(mixed)),
    ]
    found: list[dict[str, object]] = []
    for name, goal, slow, fast in comparisons:
        their_ms, our_ms = in_turns(slow, fast, rounds)
        found.append(
            {
                "case": name,
                "recbole_ms": their_ms,
                "becausal_ms": our_ms,
                "ratio": their_ms / our_ms,
                "goal_ratio": goal,
            }
        )
    pairs = list(itertools.combinations(range(FULL), 2))
    _, pairs_ms = in_turns(lambda: None, lambda: ours.without(one, target, pairs), max(rounds // 3, 3))
    found.append({"case": f"all {len(pairs)} pairs of 49 items, MASK_OUT", "becausal_ms": pairs_ms, "goal_ms": 120.0})
    return found


def joined(ours: Recommender, histories: list[tuple[str, ...]], rounds: int) -> dict[str, object]:
    """The single removals of many callers' short histories: one question after the other, and all in one pass."""
    asked: list[Question | Ranking] = []

    def ask(question: Question | Ranking) -> Any:
        asked.append(question)
        return ours.answers([question])[0]

    model = ours.through(ask)
    for tokens in histories[:CALLERS]:
        history = ours.window(tokens[-FEW:])
        model.without(history, ours.top(history, 1)[0].item, [(position,) for position in range(FEW)])
    alone_ms, together_ms = in_turns(
        lambda: [ours.answers([question]) for question in asked], lambda: ours.answers(asked), rounds
    )
    return {
        "case": f"{CALLERS} callers' sweeps of {FEW} items",
        "alone_ms": alone_ms,
        "together_ms": together_ms,
        "ratio": alone_ms / together_ms,
    }


def greatest_difference(ours: Recommender, theirs: torch.nn.Module, histories: list[tuple[str, ...]]) -> float:
    """Over 256 real histories: the largest difference of any score."""
    windows = [ours.window(tokens) for tokens in histories[:BATCH]]
    rows = [[ours.bundle.catalogue.number(token) for token in window.items] for window in windows]
    scores = theirs.full_sort_predict(recbole_input(rows)).numpy()
    return float(np.abs(scores - ours.scores(windows)).max())


def main() -> int:
    """Run every case and print one JSON object; exit status 1 when a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few rounds, for a first look")
    rounds = 5 if parser.parse_args().quick else 25
    sys.argv = sys.argv[:1]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        bundle = import_checkpoint(CHECKPOINT, data=DATA, out=Path(folder) / "bundle").bundle
        ours = Recommender(bundle, history_policy=HistoryPolicy.KEEP_ALL)
        theirs = recbole_model()
        histories = list(read_dataset(DATA, bundle.data_settings).histories().values())
        report = {
            "machine": f"{platform.machine()}, torch {torch.__version__}, 1 thread",
            "greatest_difference": greatest_difference(ours, theirs, histories),
            "cases": cases(ours, theirs, histories, rounds),
            "joined": joined(ours, histories, max(rounds // 3, 3)),
        }
    print(json.dumps(report, indent=1))
    missed = [
        case
        for case in report["cases"]
        if case.get("ratio", 0) < case.get("goal_ratio", 0) or case["becausal_ms"] > case.get("goal_ms", np.inf)
    ]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
