"""`becausal token`."""

from __future__ import annotations

import typer

from server.access import new_token, token_hash


def token() -> None:
    """Make a caller's token: print it, once, and the hash for auth.callers."""
    made = new_token()
    typer.echo(made)
    typer.echo(f'tokens = ["{token_hash(made)}"]')
