"""What the graph adds, as Markdown (explainer/evaluation/graph_figures.py)."""

from __future__ import annotations

from explainer.evaluation.formatting import NONE, Json, marked, number, percent, table


def orders_section(orders: Json) -> str:
    """How soon each order meets a set that works."""
    if not orders:
        return ""
    sizes = sorted({size for one in orders.values() for size in one["tries_by_size"]})
    budgets = list(next(iter(orders.values()))["coverage_at_rows"])
    head = (
        "order",
        *(f"size {size}: sets tried, mean (median)" for size in sizes),
        "as soon as becausal (from pairs on)",
        *(f"found in {rows} rows" for rows in budgets),
    )
    rows = [
        (
            name,
            *(_tries(one["tries_by_size"].get(size)) for size in sizes),
            percent(one["as_soon_as_becausal"], interval=False),
            *(_differing(found, percent(found, interval=False)) for found in map(one["coverage_at_rows"].get, budgets)),
        )
        for name, one in orders.items()
    ]
    note = (
        "Smaller sizes are tried whole. `becausal` and `occlusion` ask for all single items at once. **Bold**: differs from "
        "`graph` user by user, the interval excludes 0."
    )
    return f"## Orders of trying, at equal numbers of rows\n\n{note}\n\n{table(head, rows)}"


def _differing(estimate: Json, text: str) -> str:
    return f"**{text}**" if estimate["differs_from_graph"] else text


def _tries(estimate: Json | None) -> str:
    return NONE if estimate is None else f"{number(estimate, 1)} ({estimate['median']:.0f})"


def graph_section(graph: Json) -> str:
    """What the target's neighbours do."""
    if not graph:
        return ""
    rows = [
        (
            name,
            percent(one["share"], interval=False),
            _differing(one["auc"], number(one["auc"], 3)),
            _differing(one["size_auc"], number(one["size_auc"], 3)),
            _differing(one["hits"], percent(one["hits"])),
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
    return f"## What being adjacent to the target says\n\nGraphs: {graph['choice']}. **Bold**: differs from any head's neighbours user by user, the interval excludes 0.\n\n{table(head, rows)}"


def defaults_section(defaults: Json) -> str:
    """Ways to learn the graph."""
    if not defaults:
        return ""
    names = {"auc": "AUC of the effect", "size_auc": "AUC of its size"}
    lines = [
        f"By {names[figure]}: {best['chosen']['graph']}, {best['chosen']['heads']}; on test users "
        f"{number(best['chosen_on_test'], 3)}, shipped {number(best['shipped_on_test'], 3)}, difference "
        f"{marked(best['chosen_minus_shipped'], number(best['chosen_minus_shipped'], 3))}."
        for figure, best in defaults["by"].items()
    ]
    rows = [
        (
            one["graph"],
            one["heads"],
            NONE if one["share"] is None else f"{100 * one['share']:.1f}%",
            *(
                text
                for figure in names
                for text in (
                    NONE if one[figure]["validation"] is None else f"{one[figure]['validation']:.3f}",
                    number(one[figure]["test"], 3),
                )
            ),
        )
        for one in defaults["table"]
    ]
    text = (
        f"Chosen on {defaults['validation_users']} users, judged on the other {defaults['test_users']}. Shipped: "
        f"{defaults['shipped']['graph']}, {defaults['shipped']['heads']}. A target without neighbours counts as 0.5."
    )
    columns = (f"{name}, {users} users" for name in names.values() for users in ("validation", "test"))
    head = ("graph", "heads", "share of the items adjacent", *columns)
    return "\n\n".join(["## Defaults of the graph", text, "\n".join(f"- {line}" for line in lines), table(head, rows)])
