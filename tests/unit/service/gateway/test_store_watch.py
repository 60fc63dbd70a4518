"""What a gateway makes of a store that comes and goes; a real store, clocks of the test's."""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.core.directory import Snapshot
from service.core.moments import Moment
from service.errors import ConfigError
from service.gateway.store_watch import StoreWatch
from service.store import Store
from service.store.copy import LocalCopy
from service.store.heartbeats import Heartbeat, beat
from service.store.owners import Origin, make_project
from service.store.pepper import pepper_id, pepper_in_use, register
from tests.real_parts.scripted import eventually
from tests.real_parts.store import new_store

PEPPER = b"a pepper of the tests"


class Watched:
    """A watch over a store, and its clocks."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.wall = 1_000_000.0
        self.now = 500.0
        self.prepare_error: Exception | None = None
        self.may_be_new: bool | None = None
        self.watch = self.new_watch()

    def new_watch(self, store: Store | None = None) -> StoreWatch:
        return StoreWatch(
            store or self.store,
            self.prepare,
            LocalCopy(self.folder / "copy" / "gateway-0", [PEPPER]),
            poll_s=0.01,
            peppers={pepper_id(PEPPER)},
            clock=lambda: self.wall,
            ticks=lambda: self.now,
            moment=lambda: Moment(self.wall, "boot", self.now),
        )

    def prepare(self, may_be_new: bool) -> None:
        self.may_be_new = may_be_new
        if self.prepare_error is not None:
            raise self.prepare_error

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.now += seconds

    def beat(self, at: float) -> None:
        with self.store.begin() as connection:
            beat(connection, "screener", at, 1.5)

    def make_project(self, name: str) -> None:
        with self.store.begin() as connection:
            make_project(connection, name, Origin(self.wall, "tests"))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with closing(new_store(tmp_path / "store.db")) as store:
        yield Watched(tmp_path, store)


def absent(folder: Path) -> Store:
    """Return a store that cannot be reached."""
    (folder / "file").touch()
    return Store(f"sqlite:///{folder}/file/store.db")


def test_it_knows_when_the_store_was_last_heard_of(watched: Watched) -> None:
    watched.watch.open()
    assert watched.watch.news.heard_at == 500.0
    watched.passes(1)
    watched.watch.look()
    assert watched.watch.news.heard_at == 501.0


def test_a_sign_of_life_that_appears_is_no_older_than_the_look_before(watched: Watched) -> None:
    watched.watch.open()
    watched.passes(1)
    watched.beat(at=watched.wall - 3600)  # by a clock that is an hour behind
    watched.watch.look()
    assert watched.watch.news.silent_s() == 1.0
    watched.passes(5)
    watched.watch.look()
    assert watched.watch.news.silent_s() == 6.0


def test_of_the_first_sign_of_life_only_its_clock_tells(watched: Watched) -> None:
    watched.beat(at=watched.wall - 40)
    watched.watch.open()
    assert watched.watch.news.silent_s() == 40.0


def test_a_sign_of_life_that_came_while_the_store_was_away_is_as_old_as_it_says(
    watched: Watched,
) -> None:
    watched.watch.open()
    watched.passes(600)
    watched.beat(at=watched.wall - 90)
    watched.watch.look()
    assert watched.watch.news.silent_s() == 90.0


def test_a_store_that_is_away_is_told_once_and_so_is_its_return(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = watched.new_watch(absent(tmp_path))
    watch.open()
    for _ in range(3):
        watch.look()
    (tmp_path / "file").unlink()
    (tmp_path / "file").mkdir()
    with closing(new_store(tmp_path / "file" / "store.db")):
        watch.look()
        watch.look()
    told = [record.getMessage() for record in caplog.records]
    assert told == ["the store cannot be read: OperationalError", "the store is back"]
    assert watch.news.snapshot.revision == 1


def test_settings_that_the_store_refuses_end_a_start(watched: Watched) -> None:
    watched.prepare_error = ConfigError("auth.pepper: another")
    with pytest.raises(ConfigError, match="another"):
        watched.watch.open()


def test_settings_that_the_store_refuses_later_are_told_and_nothing_is_read(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.prepare_error = OSError("away")
    watched.watch.open()
    watched.prepare_error = ConfigError("auth.pepper: another")
    watched.watch.look()
    assert watched.watch.news.heard_at is None
    assert "the store cannot be read: auth.pepper: another" in caplog.text


def test_it_is_prepared_once_the_store_is_there(tmp_path: Path) -> None:
    new = Store(f"sqlite:///{tmp_path}/new.db")
    watch = StoreWatch(
        new, lambda _: new.prepare(), LocalCopy(tmp_path / "copy", [PEPPER]), poll_s=1.0
    )
    watch.open()
    assert watch.news.snapshot.revision == 1
    new.close()


def test_it_starts_from_its_copy_while_the_store_is_away(watched: Watched, tmp_path: Path) -> None:
    watched.make_project("search")
    watched.beat(at=watched.wall - 3)
    watched.watch.open()
    watched.watch.look()
    watched.passes(70)
    assert watched.may_be_new is True
    watch = watched.new_watch(absent(tmp_path))
    watch.open()
    assert watched.may_be_new is False
    assert watch.news.snapshot.projects == watched.watch.news.snapshot.projects
    assert watch.news.heard_at == watched.now - 70
    assert watch.news.silent_s() == 3.0
    assert watch.news.beat == Heartbeat(1_000_000.0 - 3, 1.5)


def test_a_copy_that_cannot_be_written_is_told_once(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "copy").touch()
    watched.watch.open()
    for _ in range(2):
        watched.watch._copy._next_s = 0.0
        watched.watch.look()
    assert caplog.text.count("the local copy of the store cannot be written") == 1
    assert watched.watch.news.snapshot.revision == 1


async def test_a_change_is_handed_over_on_the_event_loop(watched: Watched) -> None:
    got: list[tuple[Snapshot, int]] = []
    watched.watch.open()
    watched.watch.start(lambda snapshot: got.append((snapshot, threading.get_ident())))
    assert [snapshot.revision for snapshot, _ in got] == [1]
    watched.make_project("search")
    await eventually(lambda: len(got) == 2)
    watched.watch.stop()
    assert "search" in got[1][0].projects
    assert {thread for _, thread in got} == {threading.get_ident()}


async def test_a_store_that_hangs_is_heard_of_once_it_goes_on(watched: Watched) -> None:
    """Another process holds the file, for which SQLite waits for ten seconds."""
    watched.watch.open()
    holder = sqlite3.connect(watched.folder / "store.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    watched.passes(1)
    watched.watch.start(lambda _: None)
    assert watched.watch.news.heard_at == 500.0
    holder.execute("COMMIT")
    holder.close()
    await eventually(lambda: watched.watch.news.heard_at == 501.0)
    watched.watch.stop()


def test_what_is_said_of_the_store_never_holds_its_address(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        watched.new_watch(absent(tmp_path)).open()
    assert str(tmp_path) not in caplog.text


def test_a_pepper_that_came_after_the_gateway_is_told_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    pepper_in_use(watched.store, [PEPPER])
    watched.watch.look()
    assert caplog.messages == []
    newer = b"a newer pepper of the tests"
    with watched.store.begin() as connection:
        register(connection, newer, watched.wall)
    for _ in range(3):
        watched.watch.look()
    (told,) = caplog.messages
    assert f"does not hold ({pepper_id(newer)})" in told
    assert "restart it" in told
