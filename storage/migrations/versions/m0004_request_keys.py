"""Requests by which explanations are found again.

Revision: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INDEX = "ix_explanations_request_key_request_ordinal"


def upgrade() -> None:
    """Add the columns; what is stored already came by no such request."""
    op.add_column("explanations", sa.Column("request_key", sa.LargeBinary(32), nullable=True))
    op.add_column("explanations", sa.Column("request_ordinal", sa.Integer(), nullable=True))
    op.add_column("explanations", sa.Column("request_digest", sa.LargeBinary(32), nullable=True))
    given = sa.text("request_key IS NOT NULL")
    op.create_index(
        op.f(_INDEX),
        "explanations",
        ["request_key", "request_ordinal"],
        unique=True,
        sqlite_where=given,
        postgresql_where=given,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index(op.f(_INDEX), table_name="explanations")
    for column in ("request_digest", "request_ordinal", "request_key"):
        op.drop_column("explanations", column)
