"""Labels from people, and what each diagnosis was told by"""

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("diagnosis", sa.Column("told", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("diagnosis", sa.Column("model", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "label",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("incident", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("fault_class", sa.String(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("right", sa.Boolean(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["incident"], ["incident.number"], name="fk_label_incident"),
        sa.PrimaryKeyConstraint("id", name="pk_label"),
    )
    op.create_index("ix_label_incident", "label", ["incident"], unique=False)
