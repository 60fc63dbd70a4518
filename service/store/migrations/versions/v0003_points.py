"""Operating points that administrators set, and what was done to each."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables; the points of the settings stay there."""
    op.create_table(
        "points",
        sa.Column("id", sa.Text),
        sa.Column("version", sa.Integer, autoincrement=False),
        sa.Column("detector", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("threshold", sa.Float, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("tier", sa.Integer),
        sa.Column("models", sa.Text, nullable=False),
        sa.Column("project", sa.Text),
        sa.Column("surface", sa.Text),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("measured", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("replaces", sa.Integer),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", "version", name="pk_points"),
    )
    op.create_index("ix_points_revision", "points", ["revision"])
    op.create_table(
        "point_changes",
        sa.Column("point", sa.Text),
        sa.Column("number", sa.Integer, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("point", "number", name="pk_point_changes"),
    )
