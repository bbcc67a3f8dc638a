"""Merged incidents, changes, alerts from outside, and what heals itself"""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("incident", sa.Column("merged_into", sa.Integer(), nullable=True))
    op.add_column(
        "incident", sa.Column("changes", sa.JSON(none_as_null=True), nullable=False, server_default=sa.text("'[]'"))
    )
    op.create_table(
        "change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_change"),
    )
    op.create_index("ix_change_at", "change", ["at"], unique=False)
    op.create_table(
        "outside_alert",
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("labels", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("starts_at", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.Column("ends_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_outside_alert"),
    )
    op.create_table(
        "pause",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("ends", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_pause"),
    )


def downgrade() -> None:
    op.drop_table("pause")
    op.drop_table("outside_alert")
    op.drop_index("ix_change_at", "change")
    op.drop_table("change")
    op.drop_column("incident", "changes")
    op.drop_column("incident", "merged_into")
