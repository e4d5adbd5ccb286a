"""Histories, for calls with a user id alone.

Revision: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "interactions",
        sa.Column("user_id", sa.String(512), nullable=False),
        sa.Column("time", sa.Float(53), nullable=False),
        sa.Column("item", sa.String(512), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "time", "item", name=op.f("pk_interactions")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("interactions")
