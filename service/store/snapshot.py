"""What gateways hold in memory, and how they learn that it is out of date."""

from collections import defaultdict

from sqlalchemy import Connection, select

from service.core.directory import KnownKey, Limits, LimitsByModel, Scope, Snapshot, Standing
from service.store.engine import Store
from service.store.owners import organisation_of, project_of, rules_of, service_account_of
from service.store.revision import current_revision
from service.store.tables import (
    keys,
    limits,
    meta,
    organisations,
    projects,
    service_accounts,
    standings,
)


def revision(store: Store) -> int:
    """Return the store's revision: one row, cheap enough to ask each second."""
    with store.read() as connection:
        return current_revision(connection)


def load_snapshot(store: Store, now: float) -> Snapshot:
    """Load all that gateways keep; revoked and expired keys too: the refusal names the reason."""
    with store.read() as connection:
        found_projects = connection.execute(select(projects)).mappings()
        found_organisations = connection.execute(select(organisations)).mappings()
        found_accounts = connection.execute(select(service_accounts)).mappings()
        return Snapshot(
            epoch=connection.execute(select(meta.c.epoch)).scalar_one(),
            revision=current_revision(connection),
            loaded_at=now,
            end_user_secret=connection.execute(select(meta.c.end_user_secret)).scalar_one(),
            keys=_keys(connection),
            organisations={row["name"]: organisation_of(row) for row in found_organisations},
            projects={row["name"]: project_of(row) for row in found_projects},
            service_accounts={row["id"]: service_account_of(row) for row in found_accounts},
            limits=_limits(connection),
            standings=_standings(connection),
        )


def _keys(connection: Connection) -> dict[bytes, KnownKey]:
    columns = (
        keys.c.digest,
        keys.c.id,
        keys.c.project,
        keys.c.service_account,
        keys.c.rules,
        keys.c.expires_at,
        keys.c.revoked_at,
    )
    return {
        digest: KnownKey(id_, project, account, rules_of(rules), expires_at, revoked_at)
        for digest, id_, project, account, rules, expires_at, revoked_at in connection.execute(
            select(*columns)
        )
    }


def _limits(connection: Connection) -> dict[tuple[Scope, str], LimitsByModel]:
    found: defaultdict[tuple[Scope, str], dict[str, Limits]] = defaultdict(dict)
    for row in connection.execute(select(limits)).mappings():
        numbers = {name: row[name] for name in Limits.__struct_fields__}
        if any(number is not None for number in numbers.values()):
            found[Scope(row["scope"]), row["subject"]][row["model"]] = Limits(**numbers)
    return dict(found)


def _standings(connection: Connection) -> dict[str, Standing]:
    rows = connection.execute(select(standings.c.account, standings.c.state))
    return {account: Standing(state) for account, state in rows if state != Standing.GOOD}
