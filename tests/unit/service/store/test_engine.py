import logging
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

import service.store.migrations
from service.errors import ConfigError
from service.store import Store, open_store, revision
from service.store.revision import bump_revision
from service.store.schema import HEAD
from service.store.tables import metadata


def pragma(store: Store, name: str) -> object:
    with store.read() as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar()


def test_the_file_is_for_its_owner_alone(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "store"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "watchgate.db").stat().st_mode & 0o777 == 0o600
    with store.begin() as connection:
        bump_revision(connection)
        assert (folder / "watchgate.db-journal").stat().st_mode & 0o777 == 0o600


def test_sqlite_is_set_for_several_writers_and_for_loss_of_power(store: Store) -> None:
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    assert [pragma(store, name) for name in names] == ["delete", 2, 1, 10_000]


def test_the_migrations_make_the_tables_that_the_code_uses(store: Store) -> None:
    with store.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_newest_migration_is_the_one_that_is_asked_for() -> None:
    folder = Path(service.store.migrations.__file__).parent
    assert ScriptDirectory(str(folder)).get_current_head() == HEAD


def test_a_store_that_is_opened_again_keeps_what_it_had(tmp_path: Path, store: Store) -> None:
    with store.begin() as connection:
        bump_revision(connection)
    again = open_store(f"sqlite:///{tmp_path}/store/watchgate.db")
    assert revision(again) == revision(store) == 2
    again.close()


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path, store: Store) -> None:
    with store.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9000'"))
    with pytest.raises(ConfigError, match=r"^store.url: the database has schema 9000"):
        open_store(f"sqlite:///{tmp_path}/store/watchgate.db")


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    def fail_after_a_change() -> None:
        with store.begin() as connection:
            bump_revision(connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_a_change()
    assert revision(store) == 1


def test_migrating_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        open_store(f"sqlite:///{tmp_path}/quiet.db").close()
    assert caplog.records == []


def test_an_up_to_date_store_is_opened_without_alembic(tmp_path: Path, store: Store) -> None:
    program = (
        "import sys; from service.store import open_store; "
        f"open_store('sqlite:///{tmp_path}/store/watchgate.db'); "
        "sys.exit('alembic' in sys.modules)"
    )
    assert revision(store) == 1
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
