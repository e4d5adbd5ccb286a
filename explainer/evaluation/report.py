"""An evaluation as Markdown: every figure is a mean over users with its 95% bootstrap interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Json = dict[str, Any]
NONE = "-"


def markdown(figures: Json, facts: Mapping[str, str]) -> str:
    """The whole report.

    Args:
        figures: From ``Evaluation.figures``.
        facts: What was evaluated: command, model, data, users; shown on top.
    """
    sections = [
        "# Evaluation",
        "\n".join(f"- {name}: {fact}" for name, fact in facts.items()),
        *(headline(figures, intervention) for intervention in figures["interventions"]),
        _goals(figures["goals"]),
        _differences(figures),
        _orders(figures["orders"]),
        _graph(figures["graph"]),
        _defaults(figures["defaults"]),
        _curves(figures["curves"]),
        _agreement(figures["agreement"]),
        _stability(figures),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def headline(figures: Json, intervention: str) -> str:
    """The main table of one intervention."""
    found = figures["interventions"][intervention]
    methods: Mapping[str, Json] = found["methods"]
    rows = [
        (
            f"`{method}`",
            percent(one["coverage"]),
            percent(one["coverage_any_size"], interval=False),
            number(one["size"], 2),
            percent(one["exact_minimum"]),
            NONE if one["replacement_rank_median"] is None else f"{one['replacement_rank_median']:.0f}",
            number(one["rows"], 0),
            percent(one["pn_s"], interval=False),
            percent(one["pn_r"], interval=False),
            _kinds(one["certificates"]),
        )
        for method, one in methods.items()
    ]
    head = (
        "method",
        "covered by ≤ 3 items",
        "by any number",
        "items in the set",
        "of exact's minimum size",
        "replacement's rank (median)",
        "rows scored",
        "PN-S@5",
        "PN-R@5",
        "MINIMUM / IRREDUCIBLE / BEST_FOUND",
    )
    shift = f"The pure shift of positions alone takes the target from its place for {percent(found['pure_shift'])} of the users."
    if intervention.startswith("DELETE"):
        steady = ", ".join(
            f"`{method}` {percent(one['coverage_of_steady_users'], interval=False)}" for method, one in methods.items()
        )
        shift += f" Covered by ≤ 3 items among the others: {steady}."
    return f"## {intervention}\n\n{table(head, rows)}\n\n{shift}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(estimate: Json, *, interval: bool = True) -> str:
    """A share with its interval, in percent."""
    if estimate["mean"] is None:
        return NONE
    mean, low, high = (100 * estimate[name] for name in ("mean", "low", "high"))
    return f"{mean:.1f}% [{low:.1f}, {high:.1f}]" if interval else f"{mean:.1f}%"


def number(estimate: Json, digits: int) -> str:
    """A mean with its interval."""
    if estimate["mean"] is None:
        return NONE
    mean, low, high = (f"{estimate[name]:,.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def _kinds(certificates: Mapping[str, int]) -> str:
    return " / ".join(str(certificates.get(kind, 0)) for kind in ("MINIMUM", "IRREDUCIBLE", "BEST_FOUND"))


def _goals(goals: Json) -> str:
    if not goals:
        return ""
    rows = [
        (
            "users that `exact` covers, and `becausal` of these",
            f"{goals['users_exact_covers']}, {goals['users_becausal_covers_of_these']}",
        ),
        ("of exact's minimum size", percent(goals["exact_minimum"])),
        ("rows of exact's, where pairs or triples are needed", percent(goals["rows_of_exact"])),
        ("the same, mean of the users' shares", percent(goals["rows_of_exact_mean_of_users"])),
        *(
            (f"rows of exact's, minimum size {size}", percent(share))
            for size, share in goals["rows_of_exact_by_size"].items()
        ),
        (
            "rows of an exhaustive search in random order that stops at its first set (pairs, triples)",
            percent(goals["rows_of_exact_that_stops_at_its_first_hit"]),
        ),
        ("rows of exact's, where there is no set", percent(goals["rows_of_exact_without_a_set"])),
    ]
    return f"## `becausal` against `exact`\n\n{table(('figure', 'value'), rows)}"


def _differences(figures: Json) -> str:
    sections = []
    for intervention, found in figures["interventions"].items():
        rows = [
            (
                f"`{method}`",
                *(
                    _marked(one[name], percent(one[name]))
                    for name in ("coverage", "coverage_any_size", "exact_minimum")
                ),
                _marked(one["size"], number(one["size"], 2)),
                _marked(one["rows"], number(one["rows"], 0)),
            )
            for method, one in found["becausal_minus"].items()
        ]
        if rows:
            head = (
                "becausal minus",
                "covered by ≤ 3",
                "by any number",
                "of minimum size",
                "items (both found)",
                "rows",
            )
            sections.append(f"Under {intervention}:\n\n{table(head, rows)}")
    if not sections:
        return ""
    note = "User by user. **Bold**: the interval excludes 0."
    return "\n\n".join(["## Differences", note, *sections])


def _marked(estimate: Json, text: str) -> str:
    return f"**{text}**" if estimate["excludes_zero"] else text


def _orders(orders: Json) -> str:
    if not orders:
        return ""
    sizes = sorted({size for one in orders.values() for size in one["tries_by_size"]})
    budgets = list(next(iter(orders.values()))["coverage_at_rows"])
    head = (
        "order",
        *(f"size {size}: sets tried, mean (median)" for size in sizes),
        "as soon as becausal (sizes 2, 3)",
        *(f"found in {rows} rows" for rows in budgets),
    )
    rows = [
        (
            name,
            *(_tries(one["tries_by_size"].get(size)) for size in sizes),
            percent(one["as_soon_as_becausal"], interval=False),
            *(percent(one["coverage_at_rows"][rows], interval=False) for rows in budgets),
        )
        for name, one in orders.items()
    ]
    return f"## Orders of trying, at equal numbers of rows\n\n{table(head, rows)}"


def _tries(estimate: Json | None) -> str:
    return NONE if estimate is None else f"{number(estimate, 1)} ({estimate['median']:.0f})"


def _graph(graph: Json) -> str:
    if not graph:
        return ""
    rows = [
        (
            name,
            percent(one["share"], interval=False),
            number(one["auc"], 3),
            number(one["size_auc"], 3),
            percent(one["hits"]),
        )
        for name, one in graph.items()
        if name != "choice"
    ]
    head = (
        "chosen items",
        "share of the items",
        "AUC of the effect",
        "AUC of its size",
        "hold a deciding item, if any is",
    )
    return f"## What being adjacent to the target says\n\nGraphs: {graph['choice']}.\n\n{table(head, rows)}"


def _defaults(defaults: Json) -> str:
    if not defaults:
        return ""
    rows = [
        (
            one["graph"],
            one["heads"],
            NONE if one["validation_auc"] is None else f"{one['validation_auc']:.3f}",
            number(one["test_auc"], 3),
            NONE if one["share"] is None else f"{100 * one['share']:.1f}%",
        )
        for one in defaults["table"]
    ]
    chosen, shipped = defaults["chosen"], defaults["shipped"]
    text = (
        f"Chosen on {defaults['validation_users']} users: {chosen['graph']}, {chosen['heads']}. On the other "
        f"{defaults['test_users']}: {number(chosen['auc'], 3)}; shipped ({shipped['graph']}, {shipped['heads']}): "
        f"{number(shipped['auc'], 3)}; difference {number(defaults['chosen_minus_shipped'], 3)}."
    )
    head = ("graph", "heads", "AUC, validation users", "AUC, test users", "share of the items adjacent")
    return f"## Defaults of the graph\n\n{text}\n\n{table(head, rows)}"


def _curves(curves: Json) -> str:
    if not curves:
        return ""
    parts = []
    names = {"pos": "POS, lower is better", "neg": "NEG, higher", "deletion": "DEL, lower", "insertion": "INS, higher"}
    for figure, title in names.items():
        lengths = list(next(iter(curves.values()))[figure])
        rows = [
            (
                f"`{method}`",
                *("" if one[figure][k]["mean"] is None else f"{one[figure][k]['mean']:.3f}" for k in lengths),
            )
            for method, one in curves.items()
        ]
        parts.append(table((title, *(f"{length} items" for length in lengths)), rows))
    return "\n\n".join(["## POS, NEG, DEL, INS", *parts])


def _agreement(agreement: Json) -> str:
    works, same = agreement["works_under"], agreement["jaccard_with_search_under"]
    others = sorted({other for one in works.values() for other in one})
    searched = sorted({other for one in same.values() for other in one})
    head = (
        "method",
        *(f"works under {one}" for one in others),
        *(f"Jaccard with search under {one}" for one in searched),
    )
    rows = [
        (
            f"`{method}`",
            *(percent(works[method][one]) if one in works[method] else NONE for one in others),
            *(number(same[method][one], 2) for one in searched),
        )
        for method in works
    ]
    return f"## Agreement across interventions\n\n{table(head, rows)}"


def _stability(figures: Json) -> str:
    rows = [
        (
            f"`{method}`",
            percent(one["repeated"], interval=False),
            number(one["jaccard_without_oldest"], 2),
            percent(figures["specificity"][method]),
            number(one["milliseconds"], 1),
            " / ".join(f"{value:.0f}" for value in one["milliseconds_quantiles"].values()) or NONE,
        )
        for method, one in figures["stability"].items()
    ]
    head = (
        "method",
        "same set alone, in other batches",
        "Jaccard without the oldest item",
        "moves other users with the same items",
        "ms, mean",
        "ms, p50 / p95 / p99",
    )
    return f"## Stability, specificity, time\n\n{table(head, rows)}"
