"""Organisations, projects, service accounts, limits, standings, admin tokens and the audit log.

Projects that keys named so far become rows, in the organisation `default`.
"""

import secrets
import time
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables, and give what was there its place in them."""
    _make_meta()
    _make_owners()
    _move_projects()
    _widen_keys()
    _make_limits()
    _make_admins()


def _make_meta() -> None:
    with op.batch_alter_table("meta") as meta:
        meta.add_column(sa.Column("epoch", sa.Text))
        meta.add_column(sa.Column("end_user_secret", sa.LargeBinary))
    made = {"epoch": secrets.token_hex(8), "secret": secrets.token_bytes(32)}
    connection = op.get_bind()
    connection.execute(sa.text("UPDATE meta SET epoch = :epoch, end_user_secret = :secret"), made)
    with op.batch_alter_table("meta") as meta:
        meta.alter_column("epoch", nullable=False)
        meta.alter_column("end_user_secret", nullable=False)
    peppers = op.create_table(
        "peppers",
        sa.Column("id", sa.Text),
        sa.Column("proof", sa.LargeBinary, nullable=False),
        sa.Column("made_at", sa.Float, nullable=False),
        sa.Column("retired_at", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_peppers"),
    )
    proof = connection.execute(sa.text("SELECT pepper_check FROM meta")).scalar()
    if proof is not None:
        row = {"id": bytes(proof)[:8].hex(), "proof": proof, "made_at": time.time()}
        op.bulk_insert(peppers, [row])
    with op.batch_alter_table("meta") as meta:
        meta.drop_column("pepper_check")


def _history() -> list[sa.Column[Any]]:
    """Return the columns of everything that an administrator makes."""
    return [
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("disabled_at", sa.Float),
    ]


def _revision(table: str) -> None:
    op.create_index(f"ix_{table}_revision", table, ["revision"])


def _make_owners() -> None:
    op.create_table(
        "organisations",
        sa.Column("name", sa.Text),
        sa.Column("entitlements", sa.Text, nullable=False),
        *_history(),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_organisations"),
    )
    _revision("organisations")
    op.create_table(
        "projects",
        sa.Column("name", sa.Text),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("entitlements", sa.Text, nullable=False),
        sa.Column("rules", sa.Text),
        sa.Column("end_user_key", sa.Text),
        *_history(),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_projects"),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.name"], name="fk_projects_organisation"
        ),
    )
    op.create_index("ix_projects_organisation", "projects", ["organisation"])
    _revision("projects")
    op.create_table(
        "service_accounts",
        sa.Column("id", sa.Text),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("entitlements", sa.Text, nullable=False),
        *_history(),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_service_accounts"),
        sa.ForeignKeyConstraint(["project"], ["projects.name"], name="fk_service_accounts_project"),
        sa.UniqueConstraint("project", "name", name="uq_service_accounts_project"),
    )
    _revision("service_accounts")


def _move_projects() -> None:
    connection = op.get_bind()
    made = {"at": time.time(), "by": "migration"}
    connection.execute(
        sa.text(
            "INSERT INTO organisations (name, entitlements, created_at, created_by, revision) "
            "VALUES ('default', '[]', :at, :by, 1)"
        ),
        made,
    )
    connection.execute(
        sa.text(
            "INSERT INTO projects "
            "(name, organisation, entitlements, created_at, created_by, revision) "
            "SELECT project, 'default', '[]', MIN(created_at), :by, 1 FROM keys GROUP BY project"
        ),
        {"by": made["by"]},
    )


def _widen_keys() -> None:
    with op.batch_alter_table("keys") as keys:
        for column in (
            sa.Column("service_account", sa.Text),
            sa.Column("name", sa.Text),
            sa.Column("pepper", sa.Text, nullable=False, server_default=""),
            sa.Column("rules", sa.Text),
            sa.Column("last_used_at", sa.Float),
            sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
        ):
            keys.add_column(column)
        keys.create_foreign_key("fk_keys_project", "projects", ["project"], ["name"])
        keys.create_foreign_key(
            "fk_keys_service_account", "service_accounts", ["service_account"], ["id"]
        )
    with op.batch_alter_table("keys") as keys:
        keys.alter_column("pepper", server_default=None)
        keys.alter_column("revision", server_default=None)
    op.create_index("ix_keys_service_account", "keys", ["service_account"])
    op.create_index("ix_keys_pepper", "keys", ["pepper"])
    op.create_index("ix_keys_created_at", "keys", ["created_at", "id"])
    _revision("keys")


def _make_limits() -> None:
    op.create_table(
        "limits",
        sa.Column("scope", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("requests_per_min", sa.Integer),
        sa.Column("tokens_per_min", sa.BigInteger),
        sa.Column("concurrent_requests", sa.Integer),
        sa.Column("tokens_per_day", sa.BigInteger),
        sa.Column("tokens_per_month", sa.BigInteger),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("scope", "subject", "model", name="pk_limits"),
    )
    _revision("limits")
    op.create_table(
        "standings",
        sa.Column("account", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_standings"),
    )
    _revision("standings")


def _make_admins() -> None:
    op.create_table(
        "admin_tokens",
        sa.Column("id", sa.Text),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("pepper", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("revoked_at", sa.Float),
        sa.Column("last_used_at", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_admin_tokens"),
        sa.UniqueConstraint("digest", name="uq_admin_tokens_digest"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, autoincrement=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    _forbid_changes_of_audit()


_NEXT = "SELECT coalesce(max(seq), 0) + 1 FROM audit"


def _forbid_changes_of_audit() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON audit "
            "FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()"
        )
        op.execute(
            "CREATE TRIGGER audit_is_not_truncated BEFORE TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
        )
        op.execute(
            "CREATE FUNCTION audit_is_appended_to() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF NEW.seq <> ({_NEXT}) THEN "
            "RAISE EXCEPTION 'the audit log is append-only'; END IF; RETURN NEW; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_is_appended_to BEFORE INSERT ON audit "
            "FOR EACH ROW EXECUTE FUNCTION audit_is_appended_to()"
        )
        return
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{event.lower()} BEFORE {event} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )
    op.execute(  # INSERT OR REPLACE deletes what it replaces, and no trigger hears of that
        "CREATE TRIGGER audit_appends BEFORE INSERT ON audit "
        f"WHEN NEW.seq <> ({_NEXT}) "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    )
