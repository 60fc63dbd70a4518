from importlib.metadata import version
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import service.store.migrations
from service.core.audit import Entry
from service.core.callers import Caller, authenticate
from service.errors import ConfigError
from service.store import Store, load_snapshot, open_store, revision
from service.store.audit import AuditLog
from service.store.pepper import pepper_in_use
from service.store.revision import bump_revision
from service.store.schema import HEAD, READABLE_FROM, Schema, schema_of, upgrade
from service.store.tables import metadata


def test_the_migrations_make_the_tables_that_the_code_uses(store: Store) -> None:
    with store.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_newest_migration_is_the_one_that_is_asked_for() -> None:
    folder = Path(service.store.migrations.__file__).parent
    assert ScriptDirectory(str(folder)).get_current_head() == HEAD


def test_a_store_that_is_opened_again_keeps_what_it_had(store: Store, store_url: str) -> None:
    with store.begin() as connection:
        bump_revision(connection)
    again = open_store(store_url)
    assert revision(again) == revision(store) == 2
    again.close()


def of_a_newer_version(store: Store, readable_from: str) -> None:
    with store.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9000'"))
        said = text("UPDATE meta SET readable_from = :readable_from, made_by = '9.1.0'")
        connection.execute(said, {"readable_from": readable_from})


def test_a_store_that_is_too_new_is_refused_and_says_what_to_install(
    store: Store, store_url: str
) -> None:
    of_a_newer_version(store, "8999")
    said = r"^store.url: the database has schema 9000, of Watchgate 9.1.0.*: install .* 9.1.0$"
    with pytest.raises(ConfigError, match=said):
        open_store(store_url)


def test_a_newer_store_that_this_version_may_use_is_used_and_stays_as_it_is(
    store: Store, store_url: str
) -> None:
    of_a_newer_version(store, HEAD)
    again = open_store(store_url)
    with again.begin() as connection:
        bump_revision(connection)
        assert schema_of(connection) == Schema("9000", HEAD, "9.1.0")
    again.close()


def test_a_store_says_who_may_use_it(store: Store) -> None:
    with store.read() as connection:
        assert schema_of(connection) == Schema(HEAD, READABLE_FROM, version("watchgate"))


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    def fail_after_a_change() -> None:
        with store.begin() as connection:
            bump_revision(connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_a_change()
    assert revision(store) == 1


def test_keys_of_the_first_version_are_known_after_the_migration(
    store: Store, empty_url: str
) -> None:
    assert revision(store) == 1  # asks for the fixture, so that this runs on both databases
    pepper = b"the pepper of version one"
    old = Store(empty_url)
    with old.begin() as connection:
        upgrade(connection, "0001")
        connection.execute(
            text(
                "INSERT INTO keys (id, project, digest, prefix, created_at, created_by) "
                "VALUES ('key_1', 'search', :digest, 'sk-wg-aaaaaa', 1000.5, 'cli:tester')"
            ),
            {"digest": bytes(range(32))},
        )
    old.close()
    migrated = open_store(empty_url)
    pepper_in_use(migrated, [pepper])
    found = authenticate(load_snapshot(migrated, 0.0), bytes(range(32)), 0.0)
    assert found == Caller("key_1", "search", account="search")
    migrated.close()


@pytest.mark.parametrize("change", ["UPDATE audit SET actor = 'me'", "DELETE FROM audit"])
def test_the_audit_log_refuses_changes(store: Store, change: str) -> None:
    with store.begin() as connection:
        AuditLog(b"k" * 32).record(connection, Entry(1.0, "cli:tester", "key.create", "key/key_1"))

    def change_it() -> None:
        with store.begin() as connection:
            connection.execute(text(change))

    with pytest.raises(DBAPIError, match="the audit log is append-only"):
        change_it()
    with store.read() as connection:
        assert connection.execute(text("SELECT actor FROM audit")).scalars().all() == ["cli:tester"]
