"""Two pictures of an evaluation. Needs matplotlib, which the extra ``evaluate`` brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from explainer.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from explainer.evaluation.run import Evaluation

COLOURS = 10
"""Lines before a colour comes again, with the next style."""

STYLES = ("-", "--", ":")

LARGEST = 10
"""Sets of more items share a bar."""


def check_matplotlib() -> None:
    """Make sure that plots can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    _pyplot()


def save_plots(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Draw how large the sets of each method are, and how many users each has explained after so many rows.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    pyplot = _pyplot()
    pictures = {"set-sizes.png": _sizes(pyplot, evaluation), "rows-coverage.png": _rows(pyplot, evaluation)}
    paths = []
    for name, figure in pictures.items():
        figure.savefig(folder / name, dpi=120, bbox_inches="tight", metadata={"Software": None})
        pyplot.close(figure)
        paths.append(folder / name)
    return paths


def _pyplot() -> ModuleType:
    try:
        import matplotlib  # noqa: ICN001, PLC0415 - an optional extra
    except ImportError as error:
        raise MissingExtraError(
            "Plots need matplotlib; install it with `pip install becausal-server[evaluate]`, or pass --no-plots."
        ) from error
    matplotlib.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    return plt


def _sizes(pyplot: ModuleType, evaluation: Evaluation) -> Any:
    plan = evaluation.plan
    figure, axes = pyplot.subplots(figsize=(9, 4.5))
    labels = [*(str(size) for size in range(1, LARGEST + 1)), f"> {LARGEST}", "none"]
    width = 0.8 / len(plan.methods)
    for place, method in enumerate(plan.methods):
        sizes = [len(one.trials[plan.interventions[0]][method].answer.removed) for one in evaluation.results]
        bins = [size - 1 if 0 < size <= LARGEST else LARGEST + (size == 0) for size in sizes]
        shares = 100 * np.bincount(bins, minlength=len(labels)) / len(bins)
        axes.bar(np.arange(len(labels)) + place * width, shares, width, label=method)
    axes.set_xticks(np.arange(len(labels)) + 0.4 - width / 2, labels)
    axes.set_xlabel("items in the set that was found")
    axes.set_ylabel("% of users")
    axes.set_title(f"Size of the explanation, {plan.interventions[0].value}, {len(evaluation.results)} users")
    axes.legend(fontsize="small", ncols=2)
    return figure


def _rows(pyplot: ModuleType, evaluation: Evaluation) -> Any:
    plan, first = evaluation.plan, evaluation.plan.interventions[0]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 4.8), sharey=True)
    for method in plan.methods:
        answers = [one.trials[first][method].answer for one in evaluation.results]
        small = [0 < len(one.removed) <= plan.settings.max_size for one in answers]
        _steps(left, [one.rows for one, covers in zip(answers, small, strict=True) if covers], len(answers), method)
    for order in dict.fromkeys(name for one in evaluation.results for name in one.tries):
        tried = [one.smaller_sets + one.tries[order] for one in evaluation.results if order in one.tries]
        _steps(right, tried, len(evaluation.results), order)
    left.set_title(f"Methods: answered with a set of ≤ {plan.settings.max_size} items")
    right.set_title("Orders: first set of the least size met, smaller sizes tried whole")
    left.set_ylabel("% of users")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlabel("rows scored")
        axes.set_ylim(0, 100)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small")
    return figure


def _steps(axes: Any, rows: list[int], users: int, label: str) -> None:
    ordered = np.sort(rows)
    shares = 100 * np.arange(len(ordered) + 1) / users
    style = STYLES[len(axes.lines) // COLOURS % len(STYLES)]
    axes.step([*ordered[:1], *ordered], shares, style, where="post", label=label, linewidth=1.2)
