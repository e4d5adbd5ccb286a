"""How answers look in a terminal. Everything is read off the protocol's messages, so that --address looks the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from becausal.v1 import explanation_pb2 as pb
from becausal.v1.model_service_pb2 import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

    from becausal.v1.explanation_service_pb2 import ListExplanationsResponse, RecommendResponse, WhatIfResponse
    from becausal.v1.model_service_pb2 import ListModelsResponse


def print_json(message: Message) -> None:
    """One JSON object, and nothing else, on stdout. Zeros and empty lists are shown, since they are answers."""
    text = MessageToJson(message, always_print_fields_with_no_presence=True, ensure_ascii=False)
    print(text)  # noqa: T201 - plain, so that no terminal width breaks the JSON


def print_recommendation(response: RecommendResponse) -> None:
    """A ranked list."""
    console = _console()
    console.print(_ranked_table(response.items))
    _print_left_out(console, response.unknown_items, response.truncated)
    console.print(Text(f"Model {response.model_version}", style="dim"))


def print_what_if(response: WhatIfResponse) -> None:
    """What moved, what appeared and what vanished."""
    console = _console()
    table = Table(box=None, pad_edge=False)
    for column in ("before", "after"):
        table.add_column(column, justify="right")
    table.add_column("item")
    table.add_column("title")
    for moved in response.movements:
        before = str(moved.rank_before) if moved.HasField("rank_before") else "-"
        after = str(moved.rank_after) if moved.HasField("rank_after") else "-"
        table.add_row(before, after, Text(moved.item), Text(moved.title))
    console.print(table)
    _print_left_out(console, response.unknown_items, 0)


def print_explanations(response: ListExplanationsResponse) -> None:
    """Two lines for each explanation."""
    console = _console()
    for explanation in response.explanations:
        time = explanation.create_time.ToDatetime().isoformat(sep=" ", timespec="seconds")
        user = f"  user {explanation.user_id}" if explanation.user_id else ""
        console.print(Text.assemble((explanation.name, "bold"), (f"  {time} UTC{user}", "dim")))
        console.print(Text(f"   {status_name(explanation)}  {_named(explanation.target)}: {explanation.reason}"))
    if not response.explanations:
        console.print(Text("No explanation matches."))
    if response.next_page_token:
        console.print(Text(f"More: --page-token {response.next_page_token}", style="dim"))


def print_models(response: ListModelsResponse) -> None:
    """Two lines for each model."""
    console = _console()
    for model in response.models:
        console.print(Text.assemble((model.version, "bold"), f"  {Model.State.Name(model.state)}"))
        if model.architecture:
            time = model.create_time.ToDatetime().isoformat(sep=" ", timespec="minutes")
            figures = "".join(f"  {one.metric} {one.trained:.4f}" for one in model.figures)
            size = f"{model.items} items, {model.size_bytes / 1e6:.1f} MB"
            console.print(Text(f"   {model.architecture} on {model.dataset or '?'}, {size}{figures}  {time} UTC"))
    if not response.models:
        console.print(Text("No model is at hand; add one with `becausal models add`."))


def print_explanation(explanation: pb.Explanation) -> None:
    """One explanation with all that a person asks about it."""
    console = _console()
    for line in explanation_lines(explanation):
        console.print(line)
    _print_left_out(console, explanation.unknown_items, len(explanation.older_history))
    edges = ", ".join(
        f"head {graph.head}: {len(graph.edges)} edges, radius {graph.radius}{'' if graph.complete else ', unfinished'}"
        for graph in explanation.graphs
    )
    facts = {
        "Method": f"{pb.ExplainOptions.Intervention.Name(explanation.intervention)}, {_certificate(explanation)}",
        "Holds": _robustness(explanation),
        "Graphs": edges,
        "History": f"{len(explanation.history)} items seen by the model",
        "Model": explanation.model_version,
        "Record": explanation.name or "not stored",
    }
    for name, fact in facts.items():
        if fact:
            console.print(Text.assemble((f"{name:<9}", "dim"), fact))


def explanation_lines(explanation: pb.Explanation) -> list[Text]:
    """The reason, the effect of each cause, and the replacement: one line each."""
    target = explanation.target
    lines = [
        Text.assemble((f"{target.rank}. {_named(target)}", "bold"), (f"  score {target.score:.3f}", "dim")),
        Text(f"   {explanation.reason}"),
    ]
    for cause in explanation.causes:
        effect = cause.effect
        lines.append(
            Text(
                f"   - without {_named(cause)}: rank {effect.rank}, score {target.score + effect.score:.3f} "
                f"({effect.score:+.3f}); {cause.relation_text}"
            )
        )
    if explanation.status == pb.Explanation.EXPLAINED:
        lines.append(_replacement_line(explanation))
    else:
        because = f"; {_obstacle(explanation)}" if explanation.HasField("standing") else ""
        lines.append(Text(f"   {status_name(explanation)}: {_certificate(explanation)}{because}"))
    return lines


def status_name(explanation: pb.Explanation) -> str:
    """The status as the protocol spells it."""
    return pb.Explanation.Status.Name(explanation.status)


def _replacement_line(explanation: pb.Explanation) -> Text:
    counterfactual = explanation.counterfactual
    replacement = counterfactual.replacement
    together = " together" if len(counterfactual.removed) > 1 else ""
    return Text(
        f"   - without {'these' if together else 'it'}{together}: rank {counterfactual.target_rank}, and "
        f"{_named(replacement)} (rank {replacement.rank}) takes the place"
    )


def _robustness(explanation: pb.Explanation) -> str:
    if not explanation.HasField("robustness"):
        return ""
    robustness = explanation.robustness
    others = [
        pb.ExplainOptions.Intervention.Name(kind) for kind in robustness.moves_under if kind != explanation.intervention
    ]
    alone = "alone they keep it there" if len(explanation.causes) > 1 else "alone it keeps it there"
    parts = [
        f"also under {', '.join(others)}" if others else "under no other intervention",
        alone
        if robustness.sufficient
        else f"from the causes alone it would stand at rank {robustness.rank_from_causes_alone}",
    ]
    if explanation.position_sensitive:
        parts.append("the item moves by a mere shift of positions as well")
    return "; ".join(parts)


def _obstacle(explanation: pb.Explanation) -> str:
    standing = explanation.standing
    if standing.obstacle == pb.Standing.STANDS_WITHOUT_HISTORY:
        return f"it stands at rank {standing.rank_without_history} even without any history"
    if standing.obstacle == pb.Standing.MANY_SMALL_EFFECTS:
        needed = f"about {standing.items_needed} items" if standing.HasField("items_needed") else "more than all items"
        return f"many items hold it there with small effects, {needed} would be needed"
    if standing.obstacle == pb.Standing.NO_RIVALS:
        return "there are no more candidates than places in the list"
    return "single effects would be enough, but other items step in"


def _certificate(explanation: pb.Explanation) -> str:
    certificate = explanation.certificate
    if explanation.status == pb.Explanation.EXPLAINED:
        kind = pb.Certificate.Kind.Name(certificate.kind).lower().replace("_", " ")
        known = "" if certificate.exhausted else " found"
        more = f", {certificate.alternatives} more of this size{known}" if certificate.alternatives else ""
        return f"{kind} set, {certificate.sets_tried} sets tried{more}"
    if certificate.exhaustive_below > certificate.max_size:
        return (
            f"no set of up to {certificate.max_size} items takes it from its place, {certificate.sets_tried} sets tried"
        )
    return f"stopped after {certificate.sets_tried} sets; all of fewer than {certificate.exhaustive_below} items were tried"


def _ranked_table(items: Sequence[pb.RankedItem]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("rank", justify="right")
    table.add_column("item")
    table.add_column("title")
    table.add_column("score", justify="right")
    for item in items:
        table.add_row(str(item.rank), Text(item.item), Text(item.title), f"{item.score:.3f}")
    return table


def _named(item: pb.RankedItem | pb.Cause) -> str:
    return f"{item.title} [{item.item}]" if item.title else f"[{item.item}]"


def _print_left_out(console: Console, unknown: Sequence[str], truncated: int) -> None:
    if unknown:
        console.print(Text(f"Left out, unknown to the model: {', '.join(unknown)}", style="yellow"))
    if truncated:
        console.print(Text(f"Left out, before the model's window: the {truncated} oldest items", style="yellow"))


def _console() -> Console:
    # Long lines are left to the terminal: a pipe gets one line for each fact.
    return Console(highlight=False, soft_wrap=True)
