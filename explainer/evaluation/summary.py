"""From users to figures: means with paired intervals, as plain values that go into JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from explainer.evaluation.curves import LENGTHS
from explainer.evaluation.graph_figures import SEARCHED, GraphFigures, only
from explainer.evaluation.specificity import moved_others
from explainer.evaluation.statistics import Bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from explainer.evaluation.study import Plan, Trial, UserResult
    from explainer.model import ExplainableModel
    from explainer.settings import Intervention

Json = dict[str, Any]
NAN = float("nan")


class Summary:
    """The figures of a study.

    Args:
        results: One for each user.
        plan: What was evaluated.
    """

    def __init__(self, results: Sequence[UserResult], plan: Plan) -> None:
        self._results = results
        self._plan = plan
        self._limit = plan.settings.max_size
        self._bootstrap = Bootstrap(len(results), seed=plan.seed)

    def to_json(self, model: ExplainableModel) -> Json:
        """Everything, by name."""
        first = self._plan.interventions[0]
        return {
            "max_size": self._limit,
            "interventions": {one.value: self._intervention(one) for one in self._plan.interventions},
            "goals": self._goals(first),
            **GraphFigures(self._results, self._plan, self._bootstrap).to_json(),
            "curves": {method: self._curves(method) for method in self._plan.methods},
            "agreement": self._agreement(first),
            "stability": self._stability(),
            "specificity": {
                method: self._mean(
                    moved_others(
                        model, self._results, first, method=method, top_k=self._plan.top_k, seed=self._plan.seed
                    )
                )
                for method in self._plan.methods
            },
        }

    def _mean(self, values: Sequence[float] | NDArray[np.float64]) -> Json:
        return self._bootstrap.mean(values).to_json()

    def _column(self, intervention: Intervention, method: str, value: Callable[[Trial], float]) -> NDArray[np.float64]:
        """(users,) one value of each user's trial."""
        return np.array([value(result.trials[intervention][method]) for result in self._results])

    def _sizes(self, intervention: Intervention, method: str) -> NDArray[np.float64]:
        """(users,) size of the set, NaN where there is none."""
        return self._column(intervention, method, lambda trial: len(trial.answer.removed) or NAN)

    def _intervention(self, intervention: Intervention) -> Json:
        steady = np.array([NAN if result.shifted else 1.0 for result in self._results])
        methods = {method: self._method(intervention, method, steady) for method in self._plan.methods}
        return {
            "pure_shift": self._mean([float(result.shifted) for result in self._results]),
            "methods": methods,
            "becausal_minus": {
                method: self._difference(intervention, method)
                for method in self._plan.methods
                if method != "becausal" and "becausal" in self._plan.methods
            },
        }

    def _method(self, intervention: Intervention, method: str, steady: NDArray[np.float64]) -> Json:
        sizes = self._sizes(intervention, method)
        covered = (sizes <= self._limit).astype(float)
        certificates = Counter(
            trial.answer.certificate.value
            for result in self._results
            if (trial := result.trials[intervention][method]).answer.certificate is not None
        )
        rank = self._column(intervention, method, lambda trial: trial.replacement_rank or NAN)
        return {
            "coverage": self._mean(covered),
            "coverage_any_size": self._mean((~np.isnan(sizes)).astype(float)),
            "coverage_of_steady_users": self._mean(covered * steady),
            "size": self._mean(sizes),
            "exact_minimum": self._mean(self._is_minimum(intervention, sizes)),
            "replacement_rank": self._mean(rank),
            "replacement_rank_median": None if np.isnan(rank).all() else float(np.nanmedian(rank)),
            "rows": self._mean(self._rows(intervention, method)),
            "rows_median": float(np.median(self._rows(intervention, method))),
            "pn_s": self._mean(self._column(intervention, method, lambda trial: trial.pn_s)),
            "pn_r": self._mean(self._column(intervention, method, lambda trial: trial.pn_r)),
            "certificates": dict(certificates),
            "sizes": dict(sorted(Counter(sizes[~np.isnan(sizes)].astype(int).tolist()).items())),
        }

    def _rows(self, intervention: Intervention, method: str) -> NDArray[np.float64]:
        return self._column(intervention, method, lambda trial: trial.answer.rows)

    def _is_minimum(self, intervention: Intervention, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(users,) whether the size is that of exact, for users whom exact explains."""
        if "exact" not in self._plan.methods:
            return np.full(len(sizes), NAN)
        least = self._sizes(intervention, "exact")
        return np.where(np.isnan(least), NAN, (sizes == least).astype(float))

    def _difference(self, intervention: Intervention, method: str) -> Json:
        """Becausal's figure minus the other's, user by user; sizes where both found a set."""
        ours, theirs = self._sizes(intervention, "becausal"), self._sizes(intervention, method)
        exactly = self._is_minimum(intervention, ours) - self._is_minimum(intervention, theirs)
        pairs = {
            "coverage": (ours <= self._limit).astype(float) - (theirs <= self._limit),
            "coverage_any_size": (~np.isnan(ours)).astype(float) - ~np.isnan(theirs),
            "size": ours - theirs,
            "exact_minimum": exactly,
            "rows": self._rows(intervention, "becausal") - self._rows(intervention, method),
        }
        estimates = {name: self._bootstrap.mean(values) for name, values in pairs.items()}
        return {name: {**one.to_json(), "excludes_zero": one.excludes_zero} for name, one in estimates.items()}

    def _goals(self, first: Intervention) -> Json:
        """What the method promises, in figures."""
        if not {"exact", "becausal"} <= set(self._plan.methods):
            return {}
        least, ours = self._sizes(first, "exact"), self._sizes(first, "becausal")
        rows, limit = self._rows(first, "becausal"), self._rows(first, "exact")
        by_size = {
            str(size): self._bootstrap.ratio(only(rows, least == size), only(limit, least == size)).to_json()
            for size in range(1, self._limit + 1)
        }
        searched = least >= SEARCHED
        luck = np.array([_expected_rows(result) for result in self._results])
        return {
            "users_exact_covers": int((~np.isnan(least)).sum()),
            "users_becausal_covers_of_these": int((~np.isnan(least) & (ours <= self._limit)).sum()),
            "exact_minimum": self._mean(self._is_minimum(first, ours)),
            "rows_of_exact": self._bootstrap.ratio(only(rows, searched), only(limit, searched)).to_json(),
            "rows_of_exact_mean_of_users": self._mean(only(rows / np.maximum(limit, 1), searched)),
            "rows_of_exact_that_stops_at_its_first_hit": self._bootstrap.ratio(
                only(rows, searched), only(luck, searched)
            ).to_json(),
            "rows_of_exact_by_size": by_size,
            "rows_of_exact_without_a_set": self._bootstrap.ratio(
                only(rows, np.isnan(least)), only(limit, np.isnan(least))
            ).to_json(),
        }

    def _curves(self, method: str) -> Json:
        return {
            figure: {
                str(length): self._mean([getattr(result.curves[method], figure)[place] for result in self._results])
                for place, length in enumerate(LENGTHS)
            }
            for figure in ("pos", "neg", "deletion", "insertion")
        }

    def _agreement(self, first: Intervention) -> Json:
        """Whether sets found under one intervention work under another, and whether the searches find the same sets."""
        works = {
            method: {
                other.value: self._mean(
                    [
                        float(result.transfers[method][other]) if method in result.transfers else NAN
                        for result in self._results
                    ]
                )
                for other in next((one.transfers[method] for one in self._results if method in one.transfers), {})
            }
            for method in self._plan.methods
        }
        same = {
            method: {
                other.value: self._mean([_jaccard(result, method, first, other) for result in self._results])
                for other in self._plan.interventions[1:]
            }
            for method in self._plan.methods
        }
        return {"works_under": works, "jaccard_with_search_under": same}

    def _stability(self) -> Json:
        return {
            method: {
                "repeated": self._mean([float(result.repeated.get(method, NAN)) for result in self._results]),
                "jaccard_without_oldest": self._mean([result.overlap.get(method, NAN) for result in self._results]),
                "milliseconds": self._mean([result.milliseconds.get(method, NAN) for result in self._results]),
                "milliseconds_quantiles": _quantiles(
                    [result.milliseconds[method] for result in self._results if method in result.milliseconds]
                ),
            }
            for method in self._plan.methods
        }


def _quantiles(values: Sequence[float]) -> Json:
    return {f"p{share}": float(np.percentile(values, share)) for share in (50, 95, 99)} if values else {}


def _expected_rows(result: UserResult) -> float:
    """Rows of an exhaustive search that tries each size in a random order and stops at the first set that works."""
    return result.smaller_sets + result.tries_at_random if result.first_size else NAN


def _jaccard(result: UserResult, method: str, one: Intervention, other: Intervention) -> float:
    first, second = (set(result.trials[kind][method].answer.removed) for kind in (one, other))
    return len(first & second) / len(first | second) if first | second else NAN
