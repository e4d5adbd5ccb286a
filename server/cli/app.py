"""The `becausal` command: its parts, and how its errors reach a terminal.

Exit codes: 0 done, 1 a negative answer (a check that fails), 2 bad usage or bad input.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from server.cli import ask, audit, batch, bench, db, evaluate, histories, model, models, serving, token
from server.cli.failure import EXPECTED

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="becausal",
    help="Why was this item recommended to this user?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("train")(model.train)
app.command("import")(model.import_)
app.command("recommend")(ask.recommend)
app.command("explain")(ask.explain)
app.command("what-if")(ask.what_if)
app.command("evaluate")(evaluate.evaluate_)
app.command("batch")(batch.batch_)
app.command("serve")(serving.serve)
app.command("bench")(bench.bench)
app.command("token")(token.token)
app.command("load-histories")(histories.load_histories)
app.add_typer(db.app, name="db")
app.add_typer(audit.app, name="audit")
app.add_typer(models.app, name="models")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; the process ends with its exit code."""
    try:
        app(args=arguments)
    except EXPECTED as error:
        print(f"becausal: {error}", file=sys.stderr)  # noqa: T201 - the command's way to say what went wrong
        sys.exit(2)


if __name__ == "__main__":
    main()
