"""A store goes into a file and comes out of it as it was; nothing else does."""

import gzip
import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.exc import DBAPIError

from detectors.api import Category, Part
from service.core.audit import Entry
from service.core.labels import Label, Meaning
from service.core.points import OperatingPoint
from service.errors import BackupError, ConfigError
from service.store import Store, load_snapshot, open_store, revision
from service.store.audit import AuditLog
from service.store.backup import TABLES, write_backup
from service.store.backup_file import LinesOut
from service.store.counted import CountedTo, keep_counted
from service.store.keys import StoredKey, add_key, revoke_key
from service.store.labels import put_label
from service.store.pepper import pepper_id, pepper_in_use
from service.store.pepper_rotation import retire, switch_to
from service.store.points import Done, propose
from service.store.redigest import redigest
from service.store.restore import Restored, proved_backup, restore
from service.store.schema import RESTORABLE_FROM
from service.store.tables import (
    admin_tokens,
    alert_deliveries,
    alerts,
    audit,
    keys,
    limits,
    peppers,
    projects,
    service_accounts,
    standings,
)
from service.store.worker_tables import coverage_gaps, effects, heartbeats
from tests.real_parts.store import new_store

NOW: Final = 1_700_000_000.123456
PEPPER, NEW_PEPPER = b"the pepper of it", b"another pepper!!"
LOG = AuditLog(b"the key of the log")
LONG: Final = 2_500
"""More rows than a batch holds."""


def fill(store: Store, keys_more: int = 0, log: AuditLog = LOG) -> None:
    """Put something into every table."""
    pepper_in_use(store, [PEPPER])
    with store.begin() as connection:
        for number in range(2):
            key = StoredKey(f"key_{number}", "search", "sk-wg-aaaaaa", NOW, "cli:é\n☃")
            add_key(connection, key, b"%032d" % number, pepper_id(PEPPER))
        more = {"project": "search", "pepper": "", "prefix": "", "created_at": NOW}
        more |= {"created_by": "cli:a", "revision": 1}
        rows = [{"id": f"more_{n}", "digest": b"%d" % n, **more} for n in range(keys_more)]
        if rows:
            connection.execute(insert(keys), rows)
        account: dict[str, Any] = {"id": "sa_1", "project": "search", "name": "bot", "revision": 3}
        made: dict[str, Any] = {
            "entitlements": '["named_user"]',
            "created_at": 0.1,
            "created_by": "cli:a",
        }
        connection.execute(insert(service_accounts).values(account | made))
        limit = {"scope": "key", "subject": "key_1", "model": "", "tokens_per_month": 2**40}
        connection.execute(insert(limits).values(limit | {"revision": 4}))
        put_standing(connection, "search", "watched")
        point = OperatingPoint("op_1", 0, "lexical", Category.ANY, Part.PROMPT, 0.1, "block")
        propose(connection, point, Done(NOW, "cli:a", "a test"))
        kinds = (Category.CYBER,)
        label = Label("ex-1", Part.PROMPT, "cli:a", Meaning.MISUSE, kinds, "é", 0.5)
        put_label(connection, label)
        token: dict[str, Any] = {
            "id": "adm_1",
            "name": "ops",
            "role": "owner",
            "digest": b"\0\xff" * 16,
        }
        token |= {
            "pepper": pepper_id(PEPPER),
            "prefix": "wg-adm",
            "created_at": NOW,
            "created_by": "cli:a",
        }
        connection.execute(insert(admin_tokens).values(token))
        connection.execute(insert(effects).values(verdict_id="v", applied_at=NOW))
        connection.execute(insert(heartbeats).values(worker="screener", at=NOW, lag_s=1e-9))
        gap = {"exchange_id": "ex-1", "kind": "unscreened", "model": "m", "first_seen_at": NOW}
        connection.execute(insert(coverage_gaps).values(gap))
        keep_counted(connection, {("gateway-0", 1): CountedTo(2**40, NOW)})
        put_alert(connection)
        owed = {"alert_id": 1, "url": "http://x", "next_at": 0.0, "failures": 0}
        connection.execute(insert(alert_deliveries).values(owed))
        for number in range(3):
            log.record(connection, Entry(NOW + number, "cli:a", "key.create", "key/1", {"é": 1.5}))


def put_standing(connection: Connection, account: str, state: str) -> None:
    row = {"account": account, "state": state, "reason": "r", "since": 1.0, "by": "cli:a"}
    connection.execute(insert(standings).values(row | {"revision": 1}))


def put_alert(connection: Connection) -> None:
    names = ("raised_at", "last_at", "first_exchange_at", "last_exchange_at", "score", "threshold")
    row = dict.fromkeys(names, 0.5) | {"fingerprint": "f", "labels": "{}", "count": 1}
    connection.execute(insert(alerts).values(row | {"last_exchange_id": "ex-1"}))


def rows_of(store: Store) -> Mapping[str, Sequence[Any]]:
    """Return all rows of each table; databases do not agree on the order of texts."""
    with store.read() as connection:
        found = {it.name: connection.execute(select(it)).all() for it in TABLES}
    return {name: sorted(map(tuple, rows), key=str) for name, rows in found.items()}


def silent(_table: str, _rows: int) -> None: ...


def backup_of(store: Store, pepper: bytes = PEPPER) -> io.BytesIO:
    file = io.BytesIO()
    write_backup(store, file, pepper, NOW, silent)
    return file


def put_back(
    store: Store,
    file: io.BytesIO,
    given: Sequence[bytes] = (PEPPER,),
    *,
    replace: bool = False,
) -> Restored:
    backup = proved_backup(file, given)
    with store.begin() as connection:
        return restore(connection, backup, given, epoch="new", replace=replace, progress=silent)


def lines_of(file: io.BytesIO) -> list[bytes]:
    return gzip.decompress(file.getvalue()).splitlines(keepends=True)


def packed(lines: Sequence[bytes]) -> io.BytesIO:
    return io.BytesIO(gzip.compress(b"".join(lines)))


@pytest.fixture(scope="module")
def one_backup(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A backup, for tests that need no store."""
    store = new_store(tmp_path_factory.mktemp("one") / "watchgate.db")
    fill(store)
    data = backup_of(store).getvalue()
    store.close()
    return data


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new store of another installation: each is made with secrets of its own."""
    path = tmp_path_factory.mktemp("another") / "watchgate.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def other(tmp_path: Path, another: Path) -> Iterator[Store]:
    """A store of another installation; an SQLite file, whatever `store` is."""
    path = tmp_path / "other" / "watchgate.db"
    path.parent.mkdir(mode=0o700)
    opened = open_store(f"sqlite:///{shutil.copy(another, path)}")
    yield opened
    opened.close()


def test_every_table_comes_back_as_it_was(store: Store, other: Store) -> None:
    fill(store)
    assert all(rows_of(store).values()), "a table is empty: this test should fill it"
    restored = put_back(other, backup_of(store))
    assert rows_of(other) == rows_of(store)
    assert restored.rows == {name: len(rows) for name, rows in rows_of(store).items()}
    assert restored.keys_dropped == restored.audit_dropped == 0


def test_it_comes_back_on_the_database_that_it_came_from(store: Store, other: Store) -> None:
    fill(other)
    put_back(store, backup_of(other))
    assert rows_of(store) == rows_of(other)
    with store.begin() as connection:
        connection.execute(alerts.update().values(resolved_at=NOW))
        put_alert(connection)
        assert len(connection.execute(select(alerts)).all()) == 2


def test_more_rows_than_a_batch_holds_come_back_too(store: Store, other: Store) -> None:
    fill(store, keys_more=LONG)
    said: list[tuple[str, int]] = []
    file = io.BytesIO()
    write_backup(store, file, PEPPER, NOW, lambda table, rows: said.append((table, rows)))
    assert [rows for table, rows in said if table == "keys"] == [1000, 2000, LONG + 2]
    put_back(other, file)
    assert rows_of(other) == rows_of(store)


def test_a_backup_is_of_one_moment_whoever_writes_meanwhile(store: Store) -> None:
    fill(store)
    began, file = threading.Event(), io.BytesIO()

    def write() -> None:
        began.wait()
        for number in range(10):
            with store.begin() as connection:
                key = StoredKey(f"late_{number}", f"project {number}", "sk", NOW, "cli:a")
                add_key(connection, key, b"late %d" % number)

    writer = threading.Thread(target=write)
    writer.start()
    write_backup(store, file, PEPPER, NOW, lambda *_: began.set())
    writer.join()
    lines = lines_of(file)
    assert b"late_" not in b"".join(lines)
    assert json.loads(lines[0])["revision"] < revision(store)
    assert len(load_snapshot(store, NOW).keys) == 12


def test_gateways_load_everything_anew_after_a_restore(store: Store, other: Store) -> None:
    fill(store)
    before, there = load_snapshot(other, NOW), load_snapshot(store, NOW)
    put_back(other, backup_of(store))
    after = load_snapshot(other, NOW)
    assert after.epoch == "new"
    assert after.revision > max(there.revision, before.revision)
    assert after.keys == there.keys


def test_end_users_are_the_same_accounts_after_a_restore(store: Store, other: Store) -> None:
    fill(store)
    secret = load_snapshot(store, NOW).end_user_secret
    assert load_snapshot(other, NOW).end_user_secret != secret
    put_back(other, backup_of(store))
    assert load_snapshot(other, NOW).end_user_secret == secret


def test_the_header_says_what_the_backup_is_of(store: Store) -> None:
    fill(store)
    first, *_, end, last = lines_of(backup_of(store))
    header = json.loads(first)
    assert header["watchgate_backup"] == 1
    assert header["made_at"] == NOW
    assert header["revision"] == revision(store)
    assert header["pepper"] == pepper_id(PEPPER)
    assert header["audit"]["seq"] == 3
    assert json.loads(end)["rows"]["keys"] == 2
    assert set(json.loads(last)) == {"mac"}


@pytest.mark.parametrize("table", [keys, admin_tokens, alerts])
def test_a_store_in_use_is_not_replaced_unless_asked(
    store: Store, other: Store, table: Table
) -> None:
    fill(store)
    file = backup_of(store)
    with other.begin() as connection:
        if table is keys:
            add_key(connection, StoredKey("k", "p", "sk", NOW, "cli:a"), b"d" * 32)
        elif table is alerts:
            put_alert(connection)
        else:
            values = {"name": "n", "role": "r", "prefix": "p", "created_at": 1.0}
            values |= {"id": "a", "digest": b"d", "pepper": "", "created_by": "b"}
            connection.execute(insert(admin_tokens).values(values))
    before = rows_of(other)
    with pytest.raises(BackupError, match=f"has {table.name.replace('_', ' ')} already.*--replace"):
        put_back(other, file)
    assert rows_of(other) == before
    put_back(other, file, replace=True)
    assert rows_of(other)["admin_tokens"] == rows_of(store)["admin_tokens"]


def test_a_backup_that_is_cut_off_anywhere_is_refused(one_backup: bytes) -> None:
    for length in range(0, len(one_backup), 97):
        with pytest.raises(BackupError, match=r"cut off|no backup|damaged|not what was written"):
            proved_backup(io.BytesIO(one_backup[:length]), [PEPPER])
    lines = lines_of(io.BytesIO(one_backup))
    for count in range(len(lines)):
        with pytest.raises(BackupError, match=r"no backup|not what was written"):
            proved_backup(packed(lines[:count]), [PEPPER])


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [*lines[:-2], lines[-1]],
        lambda lines: [*lines, b"{}\n"],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines[:5], lines[5].replace(b'"', b" ", 2), *lines[6:]],
        lambda lines: [lines[0].replace(b'"revision":', b'"revision":1'), *lines[1:]],
        lambda lines: [lines[0], *reversed(lines[1:-1]), lines[-1]],
    ],
    ids=["line gone", "end gone", "line added", "digest twice", "changed", "header", "order"],
)
def test_a_backup_that_was_changed_is_refused(
    one_backup: bytes, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    with pytest.raises(BackupError, match="it is not what was written"):
        proved_backup(packed(change(lines_of(io.BytesIO(one_backup)))), [PEPPER])


def test_a_backup_that_changes_after_it_was_proved_restores_nothing(
    other: Store, one_backup: bytes
) -> None:
    file, before = io.BytesIO(one_backup), rows_of(other)
    proved = proved_backup(file, [PEPPER])
    lines = [line.replace(b'"search"', b'"stolen"') for line in lines_of(file)]
    file.seek(0)
    file.write(packed(lines).getvalue())
    file.truncate()
    with pytest.raises(BackupError, match="not what was written"), other.begin() as connection:
        restore(connection, proved, [PEPPER], epoch="new", replace=False, progress=silent)
    assert rows_of(other) == before


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_bit_of_a_backup_can_be_turned(one_backup: bytes, place: float, bit: int) -> None:
    data = bytearray(one_backup)
    at = int(place * len(data))
    data[at] ^= 1 << bit
    try:
        proved_backup(io.BytesIO(bytes(data)), [PEPPER])
    except BackupError:
        return
    assert gzip.decompress(bytes(data)) == gzip.decompress(one_backup)  # gzip's own header


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no backup"),
        (b"not gzip", "no backup"),
        (gzip.compress(b"", mtime=0), "no backup"),
        (gzip.compress(b"[]\n", mtime=0), "no backup"),
        (gzip.compress(b"{}\n", mtime=0), "no backup"),
        (gzip.compress(b'{"watchgate_backup": 1}\n', mtime=0), "no backup"),
        (gzip.compress(b'{"watchgate\xe2": 1}\n', mtime=0), "no backup"),
        (gzip.compress(b'{"watchgate_backup": 2}\n', mtime=0), "its format is 2 .* knows 1"),
        (gzip.compress(b'{"watchgate_backup": 1', mtime=0), "damaged"),
    ],
)
def test_another_file_is_no_backup(data: bytes, words: str) -> None:
    with pytest.raises(BackupError, match=words):
        proved_backup(io.BytesIO(data), [PEPPER])


def test_a_backup_under_another_pepper_is_refused_with_its_id(one_backup: bytes) -> None:
    with pytest.raises(BackupError, match=f"under pepper {pepper_id(PEPPER)}.*auth.pepper"):
        proved_backup(io.BytesIO(one_backup), [NEW_PEPPER])


def test_keys_under_a_pepper_that_is_not_given_are_not_restored(store: Store, other: Store) -> None:
    fill(store)
    switched(store)
    before = rows_of(other)
    with pytest.raises(ConfigError, match="another pepper"):
        put_back(other, backup_of(store, NEW_PEPPER), [NEW_PEPPER])
    assert rows_of(other) == before
    put_back(other, backup_of(store, NEW_PEPPER), [NEW_PEPPER, PEPPER])


@pytest.mark.parametrize("schema", ["0001", "9999"])
def test_a_backup_of_another_schema_is_refused_with_the_version_that_made_it(
    one_backup: bytes, schema: str
) -> None:
    anew = resigned(one_backup, lambda it: it | {"schema": schema, "version": "9.8"})
    with pytest.raises(BackupError, match=rf"schema {schema}.*with Watchgate 9\.8, then upgrade"):
        proved_backup(anew, [PEPPER])


def test_a_backup_from_before_a_column_was_added_fits_if_it_may_be_empty(
    other: Store, one_backup: bytes
) -> None:
    with pytest.raises(BackupError, match="does not know"):
        put_back(other, of_older_schema(one_backup, without="created_by"))
    older = of_older_schema(one_backup, without="last_used_at")
    assert put_back(other, older).rows["keys"] == 2


def of_older_schema(backup: bytes, without: str) -> io.BytesIO:
    """Return a backup from before the keys had a column."""
    lines = [json.loads(it) for it in lines_of(io.BytesIO(backup))[:-1]]
    lines[0]["schema"] = RESTORABLE_FROM
    heads = [n for n, line in enumerate(lines) if "table" in line or "rows" in line]
    start = next(n for n in heads if lines[n]["table"] == "keys")
    end = next(n for n in heads if n > start)
    place = lines[start]["columns"].index(without)
    del lines[start]["columns"][place]
    for row in lines[start + 1 : end]:
        del row[place]
    return signed(lines)


def test_columns_that_are_not_known_are_refused(other: Store, one_backup: bytes) -> None:
    anew = resigned(one_backup, lambda it: it | {"columns": [*it["columns"], "x"]}, line=1)
    with pytest.raises(BackupError, match="does not know"):
        put_back(other, anew)


def resigned(
    backup: bytes, change: Callable[[dict[str, Any]], dict[str, Any]], line: int = 0
) -> io.BytesIO:
    """Change a line, as a version of Watchgate with the same pepper might write it."""
    lines = [json.loads(one) for one in lines_of(io.BytesIO(backup))[:-1]]
    lines[line] = change(lines[line])
    return signed(lines)


def signed(lines: Sequence[Any]) -> io.BytesIO:
    anew = io.BytesIO()
    out = LinesOut(anew, PEPPER, NOW)
    out.put(*lines)
    out.end()
    return anew


def switched(store: Store) -> None:
    with store.begin() as connection:
        switch_to(connection, NEW_PEPPER, NOW)


def test_keys_that_were_revoked_since_stay_revoked(store: Store) -> None:
    fill(store)
    file = backup_of(store)
    with store.begin() as connection:
        revoke_key(connection, "key_1", NOW + 5)
        connection.execute(projects.update().values(disabled_at=NOW))
        connection.execute(admin_tokens.update().values(expires_at=NOW + 9))
    restored = put_back(store, file, replace=True)
    assert restored.stricter == {
        "organisations": 0,
        "projects": 1,
        "service_accounts": 0,
        "keys": 1,
        "admin_tokens": 1,
        "peppers": 0,
        "standings": 0,
    }
    with store.read() as connection:
        found = {row.id: row.revoked_at for row in connection.execute(select(keys))}
        assert found == {"key_0": None, "key_1": NOW + 5}
        assert connection.execute(select(projects.c.disabled_at)).scalar() == NOW
        assert connection.execute(select(admin_tokens.c.expires_at)).scalar() == NOW + 9


def test_what_the_backup_has_as_ended_is_not_brought_back_by_the_store(store: Store) -> None:
    fill(store)
    with store.begin() as connection:
        revoke_key(connection, "key_1", NOW)
    file = backup_of(store)
    with store.begin() as connection:
        connection.execute(keys.update().values(revoked_at=None))
    put_back(store, file, replace=True)
    assert {it.revoked_at for it in load_snapshot(store, NOW).keys.values()} == {None, NOW}


def test_of_two_standings_the_worse_stays(store: Store) -> None:
    fill(store)
    file_states = {"a": "good", "b": "suspended", "c": "throttled", "search": "watched"}
    with store.begin() as connection:
        for account in "abc":
            put_standing(connection, account, file_states[account])
    file = backup_of(store)
    now = {"a": "suspended", "b": "good", "c": "watched", "d": "throttled", "e": "good"}
    with store.begin() as connection:
        connection.execute(standings.delete())
        for account, state in now.items():
            put_standing(connection, account, state)
    restored = put_back(store, file, replace=True)
    with store.read() as connection:
        found = {row.account: row.state for row in connection.execute(select(standings))}
    assert found == {
        "a": "suspended",
        "b": "suspended",
        "c": "throttled",
        "d": "throttled",
        "search": "watched",
    }
    assert restored.stricter["standings"] == 2


def test_keys_that_the_backup_does_not_know_are_counted(store: Store) -> None:
    fill(store)
    file = backup_of(store)
    with store.begin() as connection:
        add_key(connection, StoredKey("late", "search", "sk", NOW, "cli:a"), b"late" * 8)
    assert put_back(store, file, replace=True).keys_dropped == 1


def test_a_rotation_since_the_backup_is_not_undone(store: Store) -> None:
    fill(store)
    file = backup_of(store)
    switched(store)
    anew = {b"%032d" % number: b"new digest %d" % number for number in range(2)}
    assert redigest(store, anew, pepper_id(NEW_PEPPER)) == 2
    assert redigest(store, {b"\0\xff" * 16: b"token"}, pepper_id(NEW_PEPPER), admin_tokens) == 1
    with store.begin() as connection:
        retire(connection, pepper_id(PEPPER), NOW)
    put_back(store, file, [NEW_PEPPER, PEPPER], replace=True)
    assert set(load_snapshot(store, NOW).keys) == set(anew.values())
    assert pepper_in_use(store, [NEW_PEPPER]) == NEW_PEPPER
    with store.read() as connection:
        for table in (keys, admin_tokens):
            found = set(connection.execute(select(table.c.pepper)).scalars())
            assert found == {pepper_id(NEW_PEPPER)}
        assert connection.execute(select(admin_tokens.c.digest)).scalar() == b"token"
        assert len(connection.execute(select(peppers)).all()) == 2


def test_the_audit_log_that_goes_on_from_the_backups_stays(store: Store) -> None:
    fill(store)
    file = backup_of(store)
    with store.begin() as connection:
        LOG.record(connection, Entry(NOW, "cli:a", "key.revoke", "key/1"))
    before = rows_of(store)["audit"]
    restored = put_back(store, file, replace=True)
    assert (restored.audit_kept, restored.audit_dropped) == (True, 0)
    assert rows_of(store)["audit"] == before


def test_another_audit_log_is_replaced_and_counted(store: Store, other: Store) -> None:
    fill(store)
    fill(other, log=AuditLog(b"another key of a log"))
    file = backup_of(other)
    with store.begin() as connection:
        LOG.record(connection, Entry(NOW, "cli:a", "key.revoke", "key/1"))
    restored = put_back(store, file, replace=True)
    assert (restored.audit_kept, restored.audit_dropped) == (False, 4)
    assert rows_of(store)["audit"] == rows_of(other)["audit"]


def test_the_audit_log_is_append_only_after_a_restore_too(store: Store, other: Store) -> None:
    fill(other)
    put_back(store, backup_of(other))
    for change in (audit.delete(), audit.update().values(actor="x")):
        with pytest.raises(DBAPIError, match="append-only"), store.begin() as connection:
            connection.execute(change)
    with store.begin() as connection:
        assert LOG.record(connection, Entry(NOW, "cli:a", "store.restore", "store")) == 4


def test_a_restore_that_fails_leaves_all_as_it_was(store: Store) -> None:
    fill(store)
    file = backup_of(store)
    before, head = rows_of(store), load_snapshot(store, NOW)

    def fail(table: str, _rows: int) -> None:
        if table == "keys":
            raise OSError("the disk is gone")

    backup = proved_backup(file, [PEPPER])
    with pytest.raises(OSError, match="the disk"), store.begin() as connection:
        restore(connection, backup, [PEPPER], epoch="new", replace=True, progress=fail)
    assert rows_of(store) == before
    assert load_snapshot(store, NOW) == head
    with pytest.raises(DBAPIError, match="append-only"), store.begin() as connection:
        connection.execute(audit.delete())


def test_a_restore_can_be_done_twice(store: Store) -> None:
    fill(store)
    file = backup_of(store)
    put_back(store, file, replace=True)
    first = rows_of(store)
    put_back(store, file, replace=True)
    assert rows_of(store) == first
