"""Keys, effects, alerts with their deliveries, heartbeats and coverage gaps."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    _make_keys()
    _make_alerts()
    _make_watch()


def _make_keys() -> None:
    meta = op.create_table(
        "meta",
        sa.Column("id", sa.Integer, autoincrement=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("pepper_check", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_meta"),
        sa.CheckConstraint("id = 1", name="ck_meta_one_row"),
    )
    op.bulk_insert(meta, [{"id": 1, "revision": 1}])
    op.create_table(
        "keys",
        sa.Column("id", sa.Text),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("revoked_at", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("digest", name="uq_keys_digest"),
    )
    op.create_index("ix_keys_project", "keys", ["project"])


def _make_alerts() -> None:
    op.create_table(
        "effects",
        sa.Column("verdict_id", sa.Text),
        sa.Column("applied_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("verdict_id", name="pk_effects"),
    )
    op.create_index("ix_effects_applied_at", "effects", ["applied_at"])
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("raised_at", sa.Float, nullable=False),
        sa.Column("last_at", sa.Float, nullable=False),
        sa.Column("resolved_at", sa.Float),
        sa.Column("first_exchange_at", sa.Float, nullable=False),
        sa.Column("last_exchange_at", sa.Float, nullable=False),
        sa.Column("last_exchange_id", sa.Text, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("threshold", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    firing = sa.text("resolved_at IS NULL")
    op.create_index(
        "uq_alerts_firing",
        "alerts",
        ["fingerprint"],
        unique=True,
        sqlite_where=firing,
        postgresql_where=firing,
    )
    op.create_table(
        "alert_deliveries",
        sa.Column("alert_id", sa.Integer),
        sa.Column("url", sa.Text),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("firing_acked_at", sa.Float),
        sa.Column("resolved_acked_at", sa.Float),
        sa.PrimaryKeyConstraint("alert_id", "url", name="pk_alert_deliveries"),
        sa.ForeignKeyConstraint(
            ["alert_id"],
            ["alerts.id"],
            name="fk_alert_deliveries_alert_id",
            ondelete="CASCADE",
        ),
    )


def _make_watch() -> None:
    op.create_table(
        "heartbeats",
        sa.Column("worker", sa.Text),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("lag_s", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("worker", name="pk_heartbeats"),
    )
    op.create_table(
        "coverage_gaps",
        sa.Column("exchange_id", sa.Text),
        sa.Column("kind", sa.Text),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("first_seen_at", sa.Float, nullable=False),
        sa.Column("closed_at", sa.Float),
        sa.PrimaryKeyConstraint("exchange_id", "kind", name="pk_coverage_gaps"),
    )
    op.create_index("ix_coverage_gaps_closed_at", "coverage_gaps", ["closed_at"])
