"""Up to where the events of each log were counted, so that none is counted again."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "counted",
        sa.Column("log", sa.Text),
        sa.Column("part", sa.BigInteger),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("latest_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("log", "part", name="pk_counted"),
    )
