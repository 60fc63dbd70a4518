"""What is so of SQLite alone."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.errors import StoreUnavailable
from service.store import Store, open_store, revision
from service.store.revision import bump_revision


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


def test_a_file_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("no folder")
    with pytest.raises(StoreUnavailable, match=r"^store.url: the database cannot be used: .*taken"):
        open_store(f"sqlite:///{tmp_path}/taken/watchgate.db")


def test_a_store_that_nobody_has_used_yet_makes_no_file(tmp_path: Path) -> None:
    Store(f"sqlite:///{tmp_path}/later.db").close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_taken_away_is_missed_and_not_made_anew(
    tmp_path: Path, store: Store
) -> None:
    file, aside = tmp_path / "store" / "watchgate.db", tmp_path / "aside.db"
    file.rename(aside)
    with pytest.raises(OperationalError, match="there is no file"):
        revision(store)
    assert not file.exists()
    aside.rename(file)
    assert revision(store) == 1


def test_a_file_that_was_put_in_its_place_is_used(tmp_path: Path, store: Store) -> None:
    other = open_store(f"sqlite:///{tmp_path}/other.db")
    with other.begin() as connection:
        bump_revision(connection)
    other.close()
    assert revision(store) == 1
    (tmp_path / "other.db").rename(tmp_path / "store" / "watchgate.db")
    assert revision(store) == 2


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
