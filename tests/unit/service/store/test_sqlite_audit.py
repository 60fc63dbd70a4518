"""What somebody does to the audit log who has the file of an SQLite store, and not the key."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from service.core.audit import Link
from service.core.audit_check import Anchor, Fault
from service.store import Store, open_store
from service.store.audit import read_links
from tests.unit.service.store.test_audit import TRIGGERS, anchor, record, verify


def path_of(tmp_path: Path) -> Path:
    return tmp_path / "store" / "watchgate.db"


@contextmanager
def tampering(path: Path) -> Iterator[sqlite3.Connection]:
    """Give the file to somebody who may do anything with it, and does not have the key."""
    connection = sqlite3.connect(path)
    for trigger in TRIGGERS:
        connection.execute(f"DROP TRIGGER {trigger}")
    yield connection
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE OR REPLACE audit SET seq = 2 WHERE seq = 3",
        "INSERT OR REPLACE INTO audit SELECT seq, at, 'x', '', '', '', '', '', mac FROM audit",
    ],
)
def test_no_conflict_is_a_way_to_replace_an_entry(store: Store, statement: str) -> None:
    record(store, 3)
    before = list(read_links(store))

    def change() -> None:
        with store.begin() as connection:
            connection.exec_driver_sql(statement)

    with pytest.raises(DBAPIError, match="the audit log is append-only"):
        change()
    assert list(read_links(store)) == before


def test_a_first_entry_that_was_changed_does_not_stop_the_log(store: Store, tmp_path: Path) -> None:
    record(store, 3)
    with tampering(path_of(tmp_path)) as connection:
        connection.execute("UPDATE audit SET actor = 'x' WHERE seq = 1")
    assert record(store, 1) == [4]
    assert [(it.fault, it.first) for it in verify(store, anchor(store)).findings] == [
        (Fault.CHANGED, 1)
    ]


VALUES = (
    st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(min_size=1, max_size=8)
)
Attack = Sequence[tuple[str, tuple[object, ...]]]
"""Statements with their parameters."""
CHANGES = [f"UPDATE audit SET {name} = ? WHERE seq = ?" for name in Link._fields[1:]]  # noqa: S608
NO_TEXTS = [statement.replace("?", "CAST(x'ff41' AS TEXT)", 1) for statement in CHANGES]
"""Bytes that are no UTF-8: Python's driver cannot give them as a text."""
COPY = """
    INSERT INTO audit SELECT ?, at, actor, action, object, before, after, reason, mac
    FROM audit WHERE seq = ?
"""


def attacks(count: int) -> st.SearchStrategy[Attack]:
    """Draw what somebody does to a log of so many entries."""
    place, free = st.integers(1, count), st.integers(-3, 0) | st.integers(count + 1, count + 3)
    numbers = "UPDATE audit SET seq = ? WHERE seq = ?"
    kinds: list[st.SearchStrategy[tuple[str, tuple[object, ...]]]] = [
        st.tuples(st.sampled_from(CHANGES), st.tuples(VALUES, place)),
        st.tuples(st.sampled_from(NO_TEXTS), st.tuples(place)),
        st.tuples(st.just("DELETE FROM audit WHERE seq = ?"), st.tuples(place)),
        st.tuples(st.just("DELETE FROM audit WHERE seq >= ?"), st.tuples(place)),
        st.tuples(st.just("DELETE FROM audit WHERE seq <= ?"), st.tuples(place)),
        st.tuples(st.just(COPY), st.tuples(free, place)),
    ]
    swaps = st.lists(place, min_size=2, max_size=2, unique=True).map(
        lambda two: [(numbers, pair) for pair in ((-9, two[0]), (two[0], two[1]), (two[1], -9))]
    )
    return st.one_of(*kinds).map(lambda one: [one]) | swaps


def rows_of(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Return the table byte by byte, with the types that SQLite has for each value."""
    connection.text_factory = bytes
    names = ", ".join(f"{name}, typeof({name})" for name in Link._fields)
    return connection.execute(f"SELECT {names} FROM audit ORDER BY seq").fetchall()  # noqa: S608


class Prepared:
    """A log that is made once, for all attacks on copies of it."""

    count = 6

    def __init__(self) -> None:
        self._path: Path | None = None
        self.rows: list[tuple[object, ...]] = []
        self.anchor = Anchor(0, b"", None, "")

    def get(self) -> Path | None:
        return self._path

    def make(self, path: Path) -> Path:
        store = open_store(f"sqlite:///{path}")
        record(store, self.count)
        self.anchor = anchor(store)
        store.close()
        connection = sqlite3.connect(path)
        self.rows = rows_of(connection)
        connection.close()
        self._path = path
        return path


PREPARED = Prepared()


@settings(max_examples=60)  # each opens a database; the core's own test tries more
@given(attack=attacks(Prepared.count))
def test_whatever_is_done_to_the_table_is_found(
    tmp_path_factory: pytest.TempPathFactory, attack: Attack
) -> None:
    path = PREPARED.get() or PREPARED.make(tmp_path_factory.mktemp("audit") / "watchgate.db")
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    with tampering(copy) as connection:
        for statement, parameters in attack:
            connection.execute(statement, parameters)
        is_changed = rows_of(connection) != PREPARED.rows
    store = open_store(f"sqlite:///{copy}")
    try:
        assert bool(verify(store, PREPARED.anchor).findings) == is_changed
    finally:
        store.close()


def test_bytes_that_are_no_text_are_found_in_their_entry_alone(
    store: Store, tmp_path: Path
) -> None:
    record(store, 5)
    with tampering(path_of(tmp_path)) as connection:
        connection.execute("UPDATE audit SET reason = CAST(x'ff41' AS TEXT) WHERE seq = 3")
    report = verify(store, anchor(store))
    assert [(it.fault, it.first, it.last) for it in report.findings] == [(Fault.CHANGED, 3, 3)]
    assert report.entries == 5


NO_TEXT = object()
"""Stands for bytes that are no text, in a place that says that it is one."""


@pytest.mark.parametrize("mac", [12, "text", b"0", 10_000_000_000_000, NO_TEXT])
def test_a_head_that_is_no_mac_neither_stops_the_log_nor_stays_unseen(
    store: Store, tmp_path: Path, mac: object
) -> None:
    record(store, 3)
    with tampering(path_of(tmp_path)) as connection:
        if mac is NO_TEXT:
            connection.execute("UPDATE audit SET mac = CAST(x'ff41' AS TEXT) WHERE seq = 3")
        else:
            connection.execute("UPDATE audit SET mac = ? WHERE seq = 3", (mac,))
    assert record(store, 2) == [4, 5]
    first = verify(store, anchor(store)).findings[0]
    assert (first.fault, first.first) == (Fault.CHANGED, 3)
