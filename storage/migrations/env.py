"""Run by Alembic: migrate over the connection that `storage.schema` hands in, inside its transaction."""

from __future__ import annotations

from alembic import context

from storage.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite alters a table by making it anew.
    render_as_batch=True,
    # Also on SQLite: the connection issues its own BEGIN, so a migration that stops half way leaves nothing behind.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
