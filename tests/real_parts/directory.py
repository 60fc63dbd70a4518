"""Changes to what the store says of callers, as an administrator would make them."""

import time

import msgspec
from sqlalchemy import insert, update

from service.core.directory import ALL_MODELS, Limits, Rules, Scope, Standing
from service.settings import Settings
from service.store import tables
from service.store.revision import bump_revision
from service.store.tables import keys, projects, standings
from service.store.upsert import insert_into
from tests.real_parts.gateway import KEY_ID, opened

PROJECT = "project"


def set_rules(settings: Settings, rules: Rules, *, key_id: str | None = None) -> None:
    """Give rules to the project of the tests, or to a key of it."""
    table, where = projects, projects.c.name == PROJECT
    if key_id is not None:
        table, where = keys, keys.c.id == key_id
    with opened(settings) as store, store.begin() as connection:
        stored = msgspec.json.encode(rules).decode()
        values = {"rules": stored, "revision": bump_revision(connection)}
        connection.execute(update(table).where(where).values(values))


def set_project(settings: Settings, **values: object) -> None:
    """Change columns of the project of the tests."""
    with opened(settings) as store, store.begin() as connection:
        values["revision"] = bump_revision(connection)
        connection.execute(update(projects).where(projects.c.name == PROJECT).values(values))


def expire_key(settings: Settings) -> None:
    """Let the key of the tests expire now."""
    with opened(settings) as store, store.begin() as connection:
        values = {"expires_at": time.time(), "revision": bump_revision(connection)}
        connection.execute(update(keys).where(keys.c.id == KEY_ID).values(values))


def suspend(settings: Settings, account: str = PROJECT) -> None:
    """Suspend an account."""
    with opened(settings) as store, store.begin() as connection:
        row = {
            "account": account,
            "state": Standing.SUSPENDED,
            "reason": "a test",
            "since": time.time(),
            "by": "tests",
            "revision": bump_revision(connection),
        }
        connection.execute(insert(standings).values(row))


def set_limits(
    settings: Settings, limits: Limits, *, scope: Scope = Scope.PROJECT, subject: str = PROJECT,
    model: str = ALL_MODELS,
) -> None:  # fmt: skip
    """Set the limits of a subject."""
    with opened(settings) as store, store.begin() as connection:
        whose = {"scope": scope, "subject": subject, "model": model}
        row = insert_into(connection, tables.limits).values(
            **whose, **msgspec.structs.asdict(limits), revision=bump_revision(connection)
        )
        connection.execute(
            row.on_conflict_do_update(
                index_elements=list(whose),
                set_={it.name: it for it in row.excluded if it.name not in whose},
            )
        )
