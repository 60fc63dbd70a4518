"""Organisations, projects and service accounts: who keys belong to."""

import json
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, RowMapping, Table, insert, select

from service.core.directory import (
    DEFAULT_ORGANISATION,
    NO_RULES,
    Organisation,
    Project,
    Rules,
    ServiceAccount,
)
from service.store.revision import bump_revision
from service.store.tables import organisations, projects


@dataclass(frozen=True, slots=True)
class Origin:
    """Who made something, and when (Unix seconds)."""

    at: float
    by: str


def make_project(
    connection: Connection, name: str, origin: Origin, organisation: str = DEFAULT_ORGANISATION
) -> bool:
    """Make a project, and its organisation if that is new; False: there is one of this name."""
    if _is_there(connection, projects, name):
        return False
    make_organisation(connection, organisation, origin)
    _insert(connection, projects, origin, name=name, organisation=organisation)
    return True


def make_organisation(connection: Connection, name: str, origin: Origin) -> bool:
    """Make an organisation; False: there is one of this name."""
    if _is_there(connection, organisations, name):
        return False
    _insert(connection, organisations, origin, name=name)
    return True


def _is_there(connection: Connection, table: Table, name: str) -> bool:
    return connection.execute(select(table.c.name).where(table.c.name == name)).first() is not None


def _insert(connection: Connection, table: Table, origin: Origin, **values: str) -> None:
    row = insert(table).values(
        **values,
        entitlements="[]",
        created_at=origin.at,
        created_by=origin.by,
        revision=bump_revision(connection),
    )
    connection.execute(row)


def rules_of(stored: str | None) -> Rules:
    """Read rules as they are stored."""
    return NO_RULES if stored is None else msgspec.json.decode(stored, type=Rules)


def entitlements_of(stored: str) -> frozenset[str]:
    """Read entitlements as they are stored."""
    return frozenset() if stored == "[]" else frozenset(json.loads(stored))


def organisation_of(row: RowMapping) -> Organisation:
    """Return what gateways keep of an organisation."""
    disabled = row["disabled_at"] is not None
    return Organisation(row["name"], entitlements_of(row["entitlements"]), disabled)


def project_of(row: RowMapping) -> Project:
    """Return what gateways keep of a project."""
    return Project(
        row["name"],
        row["organisation"],
        entitlements_of(row["entitlements"]),
        rules_of(row["rules"]),
        row["end_user_key"],
        row["disabled_at"] is not None,
    )


def service_account_of(row: RowMapping) -> ServiceAccount:
    """Return what gateways keep of a service account."""
    entitlements, disabled = entitlements_of(row["entitlements"]), row["disabled_at"] is not None
    return ServiceAccount(row["id"], row["project"], row["name"], entitlements, disabled)
