"""What the version after this one makes of the store: this one goes on with it, and loses nothing.

The next version is made up here: each table has one more column, and there is one table more.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from scripts.example_events import example, record_of
from service.cli import main
from service.core.callers import Caller, authenticate, digest_key
from service.core.directory import NOTHING, Standing
from service.errors import ConfigError
from service.events import schema
from service.events.log import Position, Received
from service.store import Store, load_snapshot, open_store
from service.store.alerts import list_alerts
from service.store.pepper_files import peppers_in
from service.store.schema import HEAD
from service.workers.enforcer import Enforcer
from tests.real_parts.versions import ADDED, EARLIER, FROZEN, Frozen, migrate_further


@pytest.fixture
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Frozen:
    """An installation of this version or the last, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Frozen(FROZEN[-1], tmp_path)


@pytest.fixture
def migrated(frozen: Frozen) -> Frozen:
    """The same, once a process of the next version has opened the store."""
    open_store(frozen.store_url).close()
    migrate_further(frozen.data_dir / "watchgate.db", HEAD)
    return frozen


@pytest.fixture
def store(migrated: Frozen) -> Iterator[Store]:
    with closing(open_store(migrated.store_url)) as opened:
        yield opened


def changed(frozen: Frozen, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(frozen.data_dir / "watchgate.db")) as connection:
        connection.execute(statement, values)
        connection.execute("UPDATE meta SET revision = revision + 1")
        connection.commit()


def test_callers_of_a_newer_store_are_known(migrated: Frozen, store: Store) -> None:
    (pepper,) = peppers_in(migrated.data_dir)
    digest = digest_key(pepper, migrated.secret("good"))
    found = authenticate(load_snapshot(store, 0.0), digest, time.time())
    assert isinstance(found, Caller)
    assert found.project == "search"


COMMANDS: Final = (
    "projects set search --max-tokens 100",
    "keys set {narrow} --name slim",
    "keys rotate {narrow}",
    "keys revoke {good}",
    "limits set --project search --tokens-per-min 1000",
    "accounts reinstate loud --reason done",
    "accounts suspend loud --reason again",
    "points propose {point} --threshold 0.8 --never-expires --reason more",
    "points promote {point} --reason more",
    "points rollback {point} --reason less",
)


def test_what_is_changed_by_this_version_keeps_what_the_next_has_added(
    migrated: Frozen, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    before = added_by_row(migrated)
    names = {"point": next(iter(load_snapshot(store, 0.0).points))}
    names |= ids_by_name(migrated)
    for command in COMMANDS:
        assert main(command.format(**names).split()) == 0, capsys.readouterr().err
    verdict = example(schema.Verdict, id="v-2", crossed=(example(schema.Crossing, action="page"),))
    received = Received(record_of(verdict), Position("screener-0", 1, 9))
    Enforcer(store, clock=time.time).handle([received])
    with store.read() as connection:
        assert sum(it.count for it in list_alerts(connection)) == 2
    after = added_by_row(migrated)
    assert len({table for table, _ in before}) > 10
    assert {row: after.get(row) for row in before} == dict.fromkeys(before, EARLIER)
    assert main(["audit", "verify"]) == 0


def added_by_row(frozen: Frozen) -> Mapping[tuple[str, Any], str]:
    """Return what the added column of each row holds."""
    found: dict[tuple[str, Any], str] = {}
    with closing(sqlite3.connect(frozen.data_dir / "watchgate.db")) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in names:
            columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
            if ADDED in [column[1] for column in columns]:
                rows = connection.execute(f"SELECT rowid, {ADDED} FROM {table}")  # noqa: S608
                found |= {(table, row): value for row, value in rows}
    return found


def ids_by_name(frozen: Frozen) -> Mapping[str, str]:
    with closing(sqlite3.connect(frozen.data_dir / "watchgate.db")) as connection:
        return dict(connection.execute("SELECT name, id FROM keys").fetchall())


def test_a_store_that_is_not_for_this_version_is_refused_with_what_to_install(
    frozen: Frozen, capsys: pytest.CaptureFixture[str]
) -> None:
    open_store(frozen.store_url).close()
    migrate_further(frozen.data_dir / "watchgate.db", "8999")
    with pytest.raises(ConfigError, match=r"install Watchgate 9\.1\.0"):
        open_store(frozen.store_url)
    for command in ("screener", "enforcer", "gateway", "console", "keys list", "store backup x"):
        assert main(command.split()) == 2, command
        said = capsys.readouterr().err
        assert "install Watchgate 9.1.0" in said
        assert "Traceback" not in said


def test_a_newer_store_is_neither_backed_up_nor_replaced_by_what_does_not_know_all_of_it(
    migrated: Frozen, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["store", "backup", "somewhere"]) == 1
    assert "use Watchgate 9.1.0 for backups" in capsys.readouterr().err
    assert not Path("somewhere").exists()
    before = added_by_row(migrated)
    assert main(["store", "restore", "--replace", str(migrated.backup)]) == 1
    assert "use Watchgate 9.1.0 for backups" in capsys.readouterr().err
    assert added_by_row(migrated) == before


def test_rules_of_which_not_all_are_known_let_nothing_through_and_are_not_lost(
    migrated: Frozen, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = f'{{"max_tokens":5,"{ADDED}":1}}'
    ids = ids_by_name(migrated)
    changed(migrated, "UPDATE keys SET rules = ? WHERE id = ?", rules, ids["good"])
    snapshot = load_snapshot(store, 0.0)
    assert {it.id: it.rules for it in snapshot.keys.values()}[ids["good"]] == NOTHING
    assert snapshot.projects["search"].rules.max_tokens == 512
    for command in ("keys set {good} --name x", "keys rotate {good}"):
        assert main(command.format(**ids).split()) != 0
        assert "of a newer version" in capsys.readouterr().err
    assert main(["keys", "list"]) == 0
    assert main(["keys", "show", ids["good"], "--json"]) == 0
    assert '"models":[]' in capsys.readouterr().out.replace(" ", "")
    assert main(["keys", "revoke", ids["good"]]) == 0
    with closing(sqlite3.connect(migrated.data_dir / "watchgate.db")) as connection:
        query = "SELECT rules FROM keys WHERE id = ?"
        assert connection.execute(query, [ids["good"]]).fetchone() == (rules,)


def test_one_row_that_is_not_known_does_not_keep_the_others_from_gateways(
    migrated: Frozen, store: Store
) -> None:
    point = next(iter(load_snapshot(store, 0.0).points))
    changed(migrated, "UPDATE standings SET state = ?", ADDED)
    changed(migrated, "UPDATE limits SET scope = ?", ADDED)
    changed(migrated, "UPDATE points SET category = ?", ADDED)
    snapshot = load_snapshot(store, 0.0)
    assert snapshot.standings == {"loud": Standing.SUSPENDED}
    assert snapshot.limits == {}
    assert snapshot.points == {}
    assert len(snapshot.keys) == 3
    assert main(["points", "list"]) == 0
    assert main(["points", "retire", point, "--reason", "x"]) != 0
