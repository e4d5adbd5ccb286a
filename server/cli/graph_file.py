"""`becausal explain --graph`: the causal graph of one head, into a file or onto the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server import graphs
from server.cli.failure import CommandError

if TYPE_CHECKING:
    from pathlib import Path

    from becausal.v1 import explanation_pb2 as pb


def write_graph(explanation: pb.Explanation, head: int, file: Path) -> None:
    """Draw one head's graph into an SVG file.

    Raises:
        CommandError: there is no such head, or the file cannot be written.
    """
    _check(explanation, head)
    try:
        file.write_text(graphs.graph_svg(explanation, head), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"The graph cannot be written to {file} ({error.strerror}); name another file.") from error


def graph_text(explanation: pb.Explanation, head: int) -> str:
    """One head's graph for a terminal.

    Raises:
        CommandError: there is no such head.
    """
    _check(explanation, head)
    return graphs.graph_text(explanation, head)


def _check(explanation: pb.Explanation, head: int) -> None:
    if not 0 <= head < len(explanation.graphs):
        raise CommandError(f"There is no head {head}; the model has {len(explanation.graphs)}, counted from 0.")
