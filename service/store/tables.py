"""The tables. What changes here needs a migration: `migrations/versions`, one file a change.

Times are Unix seconds.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from service.store.worker_tables import metadata as metadata  # noqa: PLC0414  (who has these has all)

meta: Final = Table(
    "meta",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("end_user_secret", LargeBinary, nullable=False),
    Column("readable_from", Text, nullable=False, server_default=""),
    Column("made_by", Text, nullable=False, server_default=""),
    CheckConstraint("id = 1", name="one_row"),
)
"""One row: the revision; the epoch, a random text that a restored backup changes, since revisions
of two epochs say nothing of each other; the secret that ids of end users are kept under; and who
may use these tables (`schema.Schema`)."""

peppers: Final = Table(
    "peppers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("proof", LargeBinary, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("retired_at", Float),
)
"""The peppers that keys were digested under: of each the digest of a constant, which tells a wrong
one. The latest that is not retired is the one for new keys."""

organisations: Final = Table(
    "organisations",
    metadata,
    Column("name", Text, primary_key=True),
    Column("entitlements", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("disabled_at", Float),
    Column("revision", Integer, nullable=False, index=True),
)
"""`entitlements`, here and below: a JSON array of names."""

projects: Final = Table(
    "projects",
    metadata,
    Column("name", Text, primary_key=True),
    Column("organisation", Text, ForeignKey("organisations.name"), nullable=False, index=True),
    Column("entitlements", Text, nullable=False),
    Column("rules", Text),
    Column("end_user_key", Text),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("disabled_at", Float),
    Column("revision", Integer, nullable=False, index=True),
)
"""`rules`, here and below: `core.directory.Rules` as JSON, NULL for none. `end_user_key`: the
public key, in PEM, that the project signs the ids of its end users with."""

service_accounts: Final = Table(
    "service_accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project", Text, ForeignKey("projects.name"), nullable=False),
    Column("name", Text, nullable=False),
    Column("entitlements", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("disabled_at", Float),
    Column("revision", Integer, nullable=False, index=True),
    UniqueConstraint("project", "name"),
)

keys: Final = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project", Text, ForeignKey("projects.name"), nullable=False, index=True),
    Column("service_account", Text, ForeignKey("service_accounts.id"), index=True),
    Column("name", Text),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("pepper", Text, nullable=False, index=True),
    Column("prefix", Text, nullable=False),
    Column("rules", Text),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("last_used_at", Float),
    Column("revision", Integer, nullable=False, index=True),
)
"""`pepper` is the id of the one that `digest` was made under ("" for keys older than its id)."""
Index("ix_keys_created_at", keys.c.created_at, keys.c.id)

limits: Final = Table(
    "limits",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("requests_per_min", Integer),
    Column("tokens_per_min", BigInteger),
    Column("concurrent_requests", Integer),
    Column("tokens_per_day", BigInteger),
    Column("tokens_per_month", BigInteger),
    Column("revision", Integer, nullable=False, index=True),
)
"""`model` "" is all models together. A limit that was taken away is a row of NULLs: gateways that
ask what changed see that it did."""

standings: Final = Table(
    "standings",
    metadata,
    Column("account", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Float, nullable=False),
    Column("by", Text, nullable=False),
    Column("revision", Integer, nullable=False, index=True),
)
"""Accounts that were ever in another standing than good."""

points: Final = Table(
    "points",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("detector", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("action", Text, nullable=False),
    Column("tier", Integer),
    Column("models", Text, nullable=False),
    Column("project", Text),
    Column("surface", Text),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expires_at", Float),
    Column("measured", Text),
    Column("state", Text, nullable=False),
    Column("replaces", Integer),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("revision", Integer, nullable=False, index=True),
)
"""Operating points, a row for each version, of which one at most is active. `models`: a JSON array
of names, `[]` for all; `measured`: `core.error_rates.ErrorRates` as JSON."""

point_changes: Final = Table(
    "point_changes",
    metadata,
    Column("point", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""What was done to each point, from 1 on."""

labels: Final = Table(
    "labels",
    metadata,
    Column("exchange_id", Text, primary_key=True),
    Column("part", Text, primary_key=True),
    Column("by", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("categories", Text, nullable=False),
    Column("note", Text),
    Column("at", Float, nullable=False),
)
"""What people say of recorded exchanges, one label of each for a part. `categories`: a JSON array
of names."""

admin_tokens: Final = Table(
    "admin_tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("pepper", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("last_used_at", Float),
)

audit: Final = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("reason", Text),
    Column("mac", LargeBinary, nullable=False),
)
"""Who did what, from 1 on without a gap; `before` and `after` are JSON. `mac` is over the entry and
the `mac` before it. Triggers refuse changes and deletions."""

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
