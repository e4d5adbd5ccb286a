"""What the graph adds: orders of trying, effects of the target's neighbours, and the settings that it is learnt with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from explainer.evaluation.adjacency import UNION, Choice
from explainer.evaluation.orders import ORDERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from explainer.evaluation.adjacency import Reach
    from explainer.evaluation.statistics import Bootstrap
    from explainer.evaluation.study import Plan, UserResult

Json = dict[str, Any]
NAN = float("nan")

VALIDATION = 0.3
"""Share of the users on whom the graph's settings are chosen."""

BUDGETS = (10, 50, 100, 250, 1000)
"""Rows at which the orders are compared."""

SEARCHED = 2
"""Sets of this size and above have to be searched for; all single items are one batch."""


class GraphFigures:
    """The figures of the graph and its controls.

    Args:
        results: One for each user.
        plan: What was evaluated.
        bootstrap: Of these users.
    """

    def __init__(self, results: Sequence[UserResult], plan: Plan, bootstrap: Bootstrap) -> None:
        self._results = results
        self._plan = plan
        self._bootstrap = bootstrap

    def to_json(self) -> Json:
        """Everything, by name."""
        return {"orders": self._orders(), "graph": self._graph(), "defaults": self._defaults()}

    def _mean(self, values: Sequence[float] | NDArray[np.float64]) -> Json:
        return self._bootstrap.mean(values).to_json()

    def _orders(self) -> Json:
        """How soon each order meets a set that works, where there is one."""
        size = np.array([result.first_size for result in self._results])
        before = np.array([result.smaller_sets for result in self._results])
        ours, graph = self._tries("becausal"), self._tries("graph")
        orders: Json = {}
        for name in ORDERS:
            tried = self._tries(name)
            if np.isnan(tried).all():
                continue
            orders[name] = {
                "tries_by_size": {
                    str(one): {
                        **self._mean(only(tried, size == one)),
                        "median": float(np.median(tried[size == one])),
                    }
                    for one in sorted(set(size[size > 0].tolist()))
                },
                "coverage_at_rows": {
                    str(rows): self._compared(
                        (before + tried <= rows).astype(float), (before + graph <= rows).astype(float)
                    )
                    for rows in BUDGETS
                },
                "as_soon_as_becausal": self._mean(only((tried <= ours).astype(float), size >= SEARCHED)),
            }
        return orders

    def _tries(self, order: str) -> NDArray[np.float64]:
        return np.array([result.tries.get(order, NAN) for result in self._results], dtype=float)

    def _graph(self) -> Json:
        """What being adjacent to the target says about an item's effect, by head, with the service's settings."""
        shipped = self._shipped()
        if shipped is None:
            return {}
        users = [{**result.reach.get(shipped, {}), **result.rivals} for result in self._results]
        names = next(user for user in users if user)
        return {"choice": str(shipped), **{name: self._reaches(users, name) for name in names}}

    def _reaches(self, users: Sequence[Mapping[str, Reach]], name: str) -> Json:
        def column(one: str, figure: str) -> NDArray[np.float64]:
            return np.array([getattr(user[one], figure) if one in user else NAN for user in users])

        return {
            figure: self._compared(column(name, figure), column(UNION, figure))
            for figure in ("share", "auc", "size_auc", "hits")
        }

    def _compared(self, values: NDArray[np.float64], other: NDArray[np.float64]) -> Json:
        """A mean, and whether it differs from another's, user by user."""
        return {**self._mean(values), "differs_from_graph": self._bootstrap.mean(values - other).excludes_zero}

    def _defaults(self) -> Json:
        """The best way to learn the graph, chosen on some users and judged on the others."""
        shipped = self._shipped()
        if shipped is None:
            return {}
        validation = np.random.default_rng(self._plan.seed).random(len(self._results)) < VALIDATION
        heads = self._results_with_graphs()[0].reach
        ways = [(choice, head) for choice in sorted(heads) for head in heads[choice]]
        tables = {figure: {way: self._aucs(*way, figure) for way in ways} for figure in ("auc", "size_auc")}
        return {
            "validation_users": int(validation.sum()),
            "test_users": int((~validation).sum()),
            "shipped": _named(shipped, UNION),
            "by": {figure: self._best(table, shipped, validation) for figure, table in tables.items()},
            "table": [
                {
                    **_named(*way),
                    "share": _average(self._figures(*way, "share")),
                    **{
                        figure: {
                            "validation": _average(table[way][validation]),
                            "test": self._mean(only(table[way], ~validation)),
                        }
                        for figure, table in tables.items()
                    },
                }
                for way in ways
            ],
        }

    def _best(
        self,
        table: Mapping[tuple[Choice, str], NDArray[np.float64]],
        shipped: Choice,
        validation: NDArray[np.bool_],
    ) -> Json:
        chosen = max(table, key=lambda way: _average(table[way][validation]) or 0.0)
        best, ours = (only(table[way], ~validation) for way in (chosen, (shipped, UNION)))
        difference = self._bootstrap.mean(best - ours)
        return {
            "chosen": _named(*chosen),
            "chosen_on_test": self._mean(best),
            "shipped_on_test": self._mean(ours),
            "chosen_minus_shipped": {**difference.to_json(), "excludes_zero": difference.excludes_zero},
        }

    def _aucs(self, choice: Choice, head: str, figure: str) -> NDArray[np.float64]:
        """A target without neighbours, or with all of them, tells nothing: an even chance, so that no choice gains by it."""
        given = self._figures(choice, head, figure)
        return np.where(np.isnan(given) & self._has_graphs(), 0.5, given)

    def _figures(self, choice: Choice, head: str, figure: str) -> NDArray[np.float64]:
        return np.array(
            [getattr(result.reach[choice][head], figure) if result.reach else NAN for result in self._results]
        )

    def _has_graphs(self) -> NDArray[np.bool_]:
        return np.array([bool(result.reach) for result in self._results])

    def _results_with_graphs(self) -> list[UserResult]:
        return [result for result in self._results if result.reach]

    def _shipped(self) -> Choice | None:
        """The choice of the settings; None when no user has a graph."""
        return Choice.of(self._plan.settings) if self._results_with_graphs() else None


def only(values: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The values where this holds, NaN elsewhere."""
    return np.where(where, values, NAN)


def _named(choice: Choice, head: str) -> Json:
    return {"graph": str(choice), "heads": head}


def _average(values: NDArray[np.float64]) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))
