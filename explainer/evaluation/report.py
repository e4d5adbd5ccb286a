"""An evaluation as Markdown: every figure is a mean over users with its 95% bootstrap interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from explainer.evaluation.formatting import NONE, Json, marked, number, percent, table
from explainer.evaluation.graph_report import defaults_section, graph_section, orders_section

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        orders_section(figures["orders"]),
        graph_section(figures["graph"]),
        defaults_section(figures["defaults"]),
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
        f"covered by ≤ {figures['max_size']} items",
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
        shift += f" Covered by ≤ {figures['max_size']} items among the others: {steady}."
    return f"## {intervention}\n\n{table(head, rows)}\n\n{shift}"


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
                *(marked(one[name], percent(one[name])) for name in ("coverage", "coverage_any_size", "exact_minimum")),
                marked(one["size"], number(one["size"], 2)),
                marked(one["rows"], number(one["rows"], 0)),
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
