"""The tables. What changes here needs a migration: `migrations/versions`, one file a change.

Times are Unix seconds.
"""

from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

meta: Final = Table(
    "meta",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
    Column("pepper_check", LargeBinary),
    CheckConstraint("id = 1", name="one_row"),
)
"""One row: the revision, and the digest of a constant, which tells a wrong pepper."""

keys: Final = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project", Text, nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
)

effects: Final = Table(
    "effects",
    metadata,
    Column("verdict_id", Text, primary_key=True),
    Column("applied_at", Float, nullable=False, index=True),
)
"""The verdicts that had their effect: none has two."""

alerts: Final = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("raised_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("resolved_at", Float),
    Column("first_exchange_at", Float, nullable=False),
    Column("last_exchange_at", Float, nullable=False),
    Column("last_exchange_id", Text, nullable=False),
    Column("score", Float, nullable=False),
    Column("threshold", Float, nullable=False),
)
FIRING: Final = alerts.c.resolved_at.is_(None)
Index(
    "uq_alerts_firing",
    alerts.c.fingerprint,
    unique=True,
    sqlite_where=FIRING,
    postgresql_where=FIRING,
)

alert_deliveries: Final = Table(
    "alert_deliveries",
    metadata,
    Column("alert_id", Integer, ForeignKey("alerts.id", ondelete="CASCADE"), primary_key=True),
    Column("url", Text, primary_key=True),
    Column("next_at", Float, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("error", Text),
    Column("firing_acked_at", Float),
    Column("resolved_acked_at", Float),
)
"""What each Alertmanager is owed: the outbox."""

heartbeats: Final = Table(
    "heartbeats",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("at", Float, nullable=False),
    Column("lag_s", Float, nullable=False),
)

coverage_gaps: Final = Table(
    "coverage_gaps",
    metadata,
    Column("exchange_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("first_seen_at", Float, nullable=False),
    Column("closed_at", Float, index=True),
)
