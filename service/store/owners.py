"""Organisations, projects and service accounts: who keys belong to."""

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, Table, insert, select, update

from service.core.directory import (
    DEFAULT_ORGANISATION,
    NO_RULES,
    NOTHING,
    Organisation,
    Project,
    Rules,
    ServiceAccount,
)
from service.store.pages import Page, page_of
from service.store.revision import bump_revision
from service.store.tables import organisations, projects, service_accounts

_log = logging.getLogger(__name__)
Owner = TypeVar("Owner", Organisation, Project, ServiceAccount)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who made something, and when (Unix seconds)."""

    at: float
    by: str


@dataclass(frozen=True, slots=True)
class Kept(Generic[Owner]):
    """An owner as the store keeps it, with who made it. Times are Unix seconds."""

    owner: Owner
    created_at: float
    created_by: str
    disabled_at: float | None


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


def make_service_account(connection: Connection, account: ServiceAccount, origin: Origin) -> bool:
    """Make a service account of a project that is there; False: it has one of this name."""
    if find_service_account(connection, account.name, account.project) is not None:
        return False
    fields = {"id": account.id, "project": account.project, "name": account.name}
    _insert(connection, service_accounts, origin, **fields)
    return True


def find_organisation(connection: Connection, name: str) -> Kept[Organisation] | None:
    """Return the organisation of this name."""
    row = _first(connection, organisations, organisations.c.name == name)
    return None if row is None else _kept(row, organisation_of(row))


def find_project(connection: Connection, name: str) -> Kept[Project] | None:
    """Return the project of this name."""
    row = _first(connection, projects, projects.c.name == name)
    return None if row is None else _kept(row, project_of(row))


def find_service_account(
    connection: Connection, named: str, project: str | None = None
) -> Kept[ServiceAccount] | None:
    """Return the service account that has this id or, within a project, this id or name."""
    which = service_accounts.c.id == named
    if project is not None:
        here = service_accounts.c.project == project
        which = here & (which | (service_accounts.c.name == named))
    row = _first(connection, service_accounts, which)
    return None if row is None else _kept(row, service_account_of(row))


def list_organisations(connection: Connection, page: Page) -> Sequence[Kept[Organisation]]:
    """Return organisations by name."""
    query = page_of(select(organisations), organisations.c.name, page)
    return [_kept(row, organisation_of(row)) for row in connection.execute(query).mappings()]


def list_projects(
    connection: Connection, page: Page, organisation: str | None = None
) -> Sequence[Kept[Project]]:
    """Return all projects, or those of an organisation, by name."""
    query = page_of(select(projects), projects.c.name, page)
    if organisation is not None:
        query = query.where(projects.c.organisation == organisation)
    return [_kept(row, project_of(row)) for row in connection.execute(query).mappings()]


def list_service_accounts(
    connection: Connection, page: Page, project: str | None = None
) -> Sequence[Kept[ServiceAccount]]:
    """Return all service accounts, or those of a project, by id."""
    query = page_of(select(service_accounts), service_accounts.c.id, page)
    if project is not None:
        query = query.where(service_accounts.c.project == project)
    return [_kept(row, service_account_of(row)) for row in connection.execute(query).mappings()]


def change_owner(connection: Connection, owner: Owner, **values: object) -> None:
    """Change what is stored of an owner, so that gateways see it."""
    table, column = _PLACES[type(owner)]
    named = owner.id if isinstance(owner, ServiceAccount) else owner.name
    values["revision"] = bump_revision(connection)
    connection.execute(update(table).where(column == named).values(values))


_PLACES: Final[dict[type, tuple[Table, ColumnElement[Any]]]] = {
    Organisation: (organisations, organisations.c.name),
    Project: (projects, projects.c.name),
    ServiceAccount: (service_accounts, service_accounts.c.id),
}


def _first(connection: Connection, table: Table, which: ColumnElement[bool]) -> RowMapping | None:
    return connection.execute(select(table).where(which)).mappings().first()


def _kept(row: RowMapping, owner: Owner) -> Kept[Owner]:
    return Kept(owner, row["created_at"], row["created_by"], row["disabled_at"])


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
    """Read rules as they are stored: `NOTHING` for those of a newer version."""
    try:
        return NO_RULES if stored is None else msgspec.json.decode(stored, type=Rules)
    except msgspec.ValidationError:
        _log.error("rules in the store are of a newer version: whom they are for may do nothing")
        return NOTHING


def stored_rules(rules: Rules) -> str | None:
    """Spell rules as they are stored."""
    return None if rules == NO_RULES else msgspec.json.encode(rules).decode()


def stored_entitlements(entitlements: Collection[str]) -> str:
    """Spell entitlements as they are stored."""
    return json.dumps(sorted(entitlements))


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
