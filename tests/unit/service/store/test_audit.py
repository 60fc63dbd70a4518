"""The audit log in a real database, and what somebody who can write there does to it."""

import pytest
from sqlalchemy.exc import DBAPIError

from service.core.audit import START, Action, Entry, Head
from service.core.audit_check import Anchor, ChainCheck, Fault, Report
from service.errors import ConfigError
from service.store import Store
from service.store.audit import AuditLog, check_audit_key, head_of, mac_at, read_links

KEY = b"a key of the chain, long enough"
OTHER = b"another key, long enough as well"
TRIGGERS = ("audit_no_update", "audit_no_delete", "audit_appends")


def entry(number: int) -> Entry:
    after = {"number": number, "share": number / 7, "name": "gr\u00fcn \u0001 \N{GRINNING FACE}"}
    return Entry(1e9 + number / 3, "cli:ann", Action.LIMIT_SET, f"project/{number}", None, after)


def record(store: Store, count: int, key: bytes = KEY) -> list[int]:
    log = AuditLog(key)
    numbers = []
    for number in range(count):
        with store.begin() as connection:
            numbers.append(log.record(connection, entry(number)))
    return numbers


def head(store: Store) -> Head:
    with store.read() as connection:
        return head_of(connection)


def verify(store: Store, *anchors: Anchor, key: bytes = KEY) -> Report:
    check = ChainCheck(key, anchors)
    for found in read_links(store):
        check.see(found)
    return check.end()


def anchor(store: Store) -> Anchor:
    return Anchor(*head(store), None, "--anchor")


def test_entries_come_out_as_they_went_in_and_follow_each_other(store: Store) -> None:
    assert record(store, 5) == [1, 2, 3, 4, 5]
    found = list(read_links(store))
    assert [one.seq for one in found] == [1, 2, 3, 4, 5]
    spelled = '{"name":"gr\u00fcn \\u0001 \U0001f600","number":1,"share":0.14285714285714285}'
    assert found[1].after == spelled
    assert head(store) == Head(5, found[-1].mac)
    assert verify(store, anchor(store)).findings == ()


def test_any_part_of_the_log_can_be_read(store: Store) -> None:
    record(store, 7)
    assert [one.seq for one in read_links(store, page=2)] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.seq for one in read_links(store, after=2, up_to=6, page=3)] == [3, 4, 5, 6]
    assert list(read_links(store, after=7)) == []


def test_an_empty_log_has_a_head(store: Store) -> None:
    assert head(store) == Head(0, START)
    assert list(read_links(store)) == []
    with store.read() as connection:
        assert mac_at(connection, 1) is None


def test_an_entry_stays_only_if_its_transaction_does(store: Store) -> None:
    record(store, 1)
    log = AuditLog(KEY)

    def fail_after_an_entry() -> None:
        with store.begin() as connection:
            log.record(connection, entry(2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_an_entry()
    assert head(store).seq == 1
    assert record(store, 1) == [2]
    assert verify(store, anchor(store)).findings == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'x' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 3",
        "INSERT INTO audit SELECT seq + 7, at, actor, '', '', '', '', '', mac FROM audit",
        "INSERT INTO audit SELECT 0, at, actor, '', '', '', '', '', mac FROM audit",
    ],
)
def test_the_database_itself_refuses_what_is_no_appending(store: Store, statement: str) -> None:
    record(store, 3)
    before = list(read_links(store))

    def change() -> None:
        with store.begin() as connection:
            connection.exec_driver_sql(statement)

    with pytest.raises(DBAPIError, match="the audit log is append-only"):
        change()
    assert list(read_links(store)) == before


def test_a_log_is_not_gone_on_with_under_another_key(store: Store) -> None:
    record(store, 2)
    with pytest.raises(ConfigError, match=r"^audit.key: .*under another key"):
        record(store, 1, OTHER)
    assert head(store).seq == 2
    with store.read() as connection:
        check_audit_key(connection, KEY)
        with pytest.raises(ConfigError, match="another key"):
            check_audit_key(connection, OTHER)


def test_a_log_of_one_entry_is_not_gone_on_with_under_another_key(store: Store) -> None:
    record(store, 1)
    with pytest.raises(ConfigError, match="another key"):
        record(store, 1, OTHER)


ATTACKS = [
    ("UPDATE audit SET actor = 'x' WHERE seq = 2", (Fault.CHANGED, 2)),
    ("UPDATE audit SET at = at + 1 WHERE seq = 3", (Fault.CHANGED, 3)),
    ("DELETE FROM audit WHERE seq = 2", (Fault.MISSING, 2)),
    ("DELETE FROM audit WHERE seq = 4", (Fault.CUT, 4)),
]


@pytest.mark.parametrize(("statement", "fault"), ATTACKS)
def test_what_is_changed_past_the_triggers_is_found(
    store: Store, statement: str, fault: tuple[Fault, int]
) -> None:
    record(store, 4)
    known = anchor(store)
    with store.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER USER")
        else:
            for trigger in TRIGGERS:
                connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
        connection.exec_driver_sql(statement)
    first = verify(store, known).findings[0]
    assert (first.fault, first.first) == fault
