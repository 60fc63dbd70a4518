"""Labels that people give to recorded exchanges."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "labels",
        sa.Column("exchange_id", sa.Text),
        sa.Column("part", sa.Text),
        sa.Column("by", sa.Text),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("categories", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("exchange_id", "part", "by", name="pk_labels"),
    )
