"""The explanations and their causes.

Revision: 0001
Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables and their indexes."""
    op.create_table(
        "explanations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.String(512), nullable=False),
        sa.Column("target_item", sa.String(512), nullable=False),
        sa.Column("model_version", sa.String(512), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_explanations")),
    )
    for column in ("user_id", "target_item", "model_version", "status"):
        op.create_index(op.f(f"ix_explanations_{column}_id"), "explanations", [column, "id"])
    op.create_table(
        "explanation_causes",
        sa.Column("explanation_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("item", sa.String(512), nullable=False),
        sa.PrimaryKeyConstraint("explanation_id", "position", name=op.f("pk_explanation_causes")),
        sa.ForeignKeyConstraint(
            ["explanation_id"],
            ["explanations.id"],
            name=op.f("fk_explanation_causes_explanation_id_explanations"),
        ),
    )
    op.create_index(op.f("ix_explanation_causes_item_explanation_id"), "explanation_causes", ["item", "explanation_id"])


def downgrade() -> None:
    """Drop both tables with all that they hold."""
    op.drop_table("explanation_causes")
    op.drop_table("explanations")
