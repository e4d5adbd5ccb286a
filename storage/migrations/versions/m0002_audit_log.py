"""The audit log, with what is stored already committed to it, and legal holds.

Revision: 0002
Revises: 0001
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from becausal.audit.entries import Kind, commitment, new_salt

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BATCH = 500


def upgrade() -> None:
    """Make the tables; records from before get their commitment now, which is the earliest that can be proved."""
    entries = op.create_table(
        "log_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("commitment", sa.LargeBinary(32), nullable=False),
        sa.Column("salt", sa.LargeBinary(32), nullable=True),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("user_id", sa.String(512), nullable=True),
        sa.Column("leaf_index", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_entries")),
    )
    op.create_index(op.f("ix_log_entries_leaf_index"), "log_entries", ["leaf_index"], unique=True)
    op.create_index(op.f("ix_log_entries_user_id"), "log_entries", ["user_id"])
    op.create_table(
        "log_tiles",
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "place", name=op.f("pk_log_tiles")),
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_log_checkpoints")),
    )
    op.create_table(
        "legal_holds",
        sa.Column("user_id", sa.String(512), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_legal_holds")),
    )
    _commit_what_is_stored(entries)


def downgrade() -> None:
    """Drop the tables, and with them every proof."""
    for table in ("legal_holds", "log_checkpoints", "log_tiles"):
        op.drop_table(table)
    for column in ("user_id", "leaf_index"):
        op.drop_index(op.f(f"ix_log_entries_{column}"), "log_entries")
    op.drop_table("log_entries")


def _commit_what_is_stored(entries: sa.Table) -> None:
    explanations = sa.table("explanations", sa.column("id", sa.Uuid()), sa.column("payload", sa.Text()))
    connection = op.get_bind()
    page = sa.select(explanations.c.id, explanations.c.payload).order_by(explanations.c.id).limit(_BATCH)
    rows = connection.execute(page).all()
    while rows:
        connection.execute(sa.insert(entries), [_entry(row.id, row.payload) for row in rows])
        rows = connection.execute(page.where(explanations.c.id > rows[-1].id)).all()


def _entry(record_id: object, payload: str) -> dict[str, object]:
    salt = new_salt()
    committed = commitment(salt, json.loads(payload))
    return {"id": record_id, "kind": Kind.EXPLANATION.value, "commitment": committed, "salt": salt}
