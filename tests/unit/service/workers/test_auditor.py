from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy import text

from service.core.audit import Action, Entry, Head
from service.core.audit_check import Anchor as Told
from service.core.audit_check import ChainCheck
from service.errors import BadRecord, ConfigError, JournalFull
from service.events.audit import Anchor, Denied, to_event, to_record
from service.events.journal import Journal, Limits
from service.events.log import Position, Received, Record, Topic
from service.store import Store
from service.store.audit import AuditLog, read_links
from service.workers.auditor import ANCHOR_S, DAY_S, Auditor, Shown, last_anchored
from tests.real_parts.store import new_store

KEY = b"a key of the chain, long enough"
NOW = 1_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = new_store(tmp_path / "watchgate.db")
    yield opened
    opened.close()


class Events:
    """An event log in memory, which may be full."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.is_full = False

    def append_all(self, records: Sequence[Record]) -> Sequence[Position]:
        if self.is_full:
            raise JournalFull("no room")
        self.records += records
        return [Position("test", 1, len(self.records))]

    def close(self) -> None:
        pass


class Desk:
    """An auditor whose clock the test sets."""

    def __init__(
        self,
        store: Store,
        events: Events | None = None,
        every_s: float = DAY_S,
        anchored: Head | None = None,
    ) -> None:
        self.now = NOW
        self.store = store
        self.events = events or Events()
        self.registry = CollectorRegistry()
        self.auditor = Auditor(
            store,
            KEY,
            self.events,
            clock=lambda: self.now,
            anchor_every_s=every_s,
            anchored=anchored,
            shown=Shown(
                Gauge("head", "…", registry=self.registry),
                Gauge("age", "…", registry=self.registry),
                Counter("breaks", "…", registry=self.registry),
            ),
        )

    def check_after(self, seconds: float) -> None:
        self.now += seconds
        self.auditor.check()

    def anchors(self) -> list[Anchor]:
        events = [to_event(record) for record in self.events.records]
        return [event for event in events if isinstance(event, Anchor)]

    def shown(self, name: str) -> float | None:
        return self.registry.get_sample_value(name)


def denied(number: int) -> Denied:
    return Denied(
        id=f"dn-{number}",
        at=NOW,
        key="key_1",
        project="acme",
        account="acme",
        model="m",
        surface="chat",
        reasons=("model_not_allowed",),
        count=3,
        first_at=NOW - 9,
        last_at=NOW - 1,
    )


def received(event: Denied | Anchor) -> Received:
    return Received(to_record(event), Position("gateway-0", 1, 1))


def record(store: Store, count: int = 1) -> None:
    log = AuditLog(KEY)
    for _ in range(count):
        with store.begin() as connection:
            log.record(connection, Entry(NOW, "cli:ann", Action.KEY_CREATE, "key/key_1"))


def test_a_refusal_becomes_an_entry_with_all_that_is_known_of_it(store: Store) -> None:
    Desk(store).auditor.handle([received(denied(1))])
    (entry,) = read_links(store)
    assert (entry.actor, entry.action, entry.object) == ("gateway", "access.denied", "key/key_1")
    assert (entry.at, entry.before, entry.reason) == (NOW, None, None)
    assert msgspec.json.decode(entry.after or "") == {
        "project": "acme",
        "account": "acme",
        "model": "m",
        "surface": "chat",
        "reasons": ["model_not_allowed"],
        "count": 3,
        "first_at": NOW - 9,
        "last_at": NOW - 1,
    }


def test_a_refusal_that_comes_again_is_told_once(store: Store) -> None:
    desk = Desk(store)
    desk.auditor.handle([received(denied(1)), received(denied(2)), received(denied(1))])
    desk.auditor.handle([received(denied(2)), received(denied(3))])
    Desk(store).auditor.handle([received(denied(number)) for number in (1, 2, 3)])
    assert [one.seq for one in read_links(store)] == [1, 2, 3]


def test_its_own_anchors_are_passed_over(store: Store) -> None:
    Desk(store).auditor.handle([received(Anchor(at=NOW, seq=1, mac="00" * 32))])
    assert list(read_links(store)) == []


def test_a_batch_with_a_bad_record_has_no_effect(store: Store) -> None:
    bad = Received(Record(Topic.AUDIT, b"a", "denied", "x", b"{"), Position("gateway-0", 1, 1))
    with pytest.raises(BadRecord):
        Desk(store).auditor.handle([received(denied(1)), bad])
    assert list(read_links(store)) == []


def test_the_head_is_anchored_when_it_moved_and_at_most_every_few_seconds(store: Store) -> None:
    desk = Desk(store)
    desk.check_after(0)
    assert desk.anchors() == []  # an empty log has no head to tell
    record(store, 2)
    desk.check_after(ANCHOR_S - 1)
    assert desk.anchors() == []
    desk.check_after(1)
    last = list(read_links(store))[-1]
    assert desk.anchors() == [Anchor(at=desk.now, seq=2, mac=last.mac.hex())]
    for _ in range(3):
        desk.check_after(ANCHOR_S)
    assert len(desk.anchors()) == 1
    record(store)
    desk.check_after(ANCHOR_S)
    assert [it.seq for it in desk.anchors()] == [2, 3]
    assert (desk.shown("head"), desk.shown("age"), desk.shown("breaks_total")) == (3, 0, 0)


def test_a_head_that_stays_is_anchored_again_before_the_event_log_forgets_it(store: Store) -> None:
    record(store)
    desk = Desk(store, every_s=1000)
    desk.check_after(0)
    desk.check_after(999)
    assert len(desk.anchors()) == 1
    desk.check_after(ANCHOR_S)
    assert [it.seq for it in desk.anchors()] == [1, 1]


def test_each_start_tells_the_head(store: Store) -> None:
    record(store)
    events = Events()
    for _ in range(2):
        Desk(store, events).check_after(0)
    assert len(events.records) == 2


def test_a_clock_that_is_set_back_keeps_no_anchor_from_being_made(store: Store) -> None:
    record(store)
    desk = Desk(store)
    desk.check_after(0)
    desk.check_after(-DAY_S)
    assert len(desk.anchors()) == 2


def test_an_event_log_without_room_is_tried_again(store: Store) -> None:
    record(store)
    desk = Desk(store)
    desk.events.is_full = True
    desk.check_after(0)
    assert desk.anchors() == []
    desk.events.is_full = False
    desk.check_after(ANCHOR_S)
    assert [it.seq for it in desk.anchors()] == [1]


def test_anchors_vouch_for_the_log(store: Store) -> None:
    desk = Desk(store)
    for _ in range(4):
        record(store, 2)
        desk.check_after(ANCHOR_S)
    told = [Told(it.seq, bytes.fromhex(it.mac), it.at, "test") for it in desk.anchors()]
    check = ChainCheck(KEY, told)
    for one in read_links(store):
        check.see(one)
    report = check.end()
    assert (report.findings, report.anchors, report.anchored_to) == ((), 4, 8)


PUT_IN = "INSERT INTO audit SELECT {}, at, 'x', '', '', '', '', '', mac FROM audit WHERE seq = 1"
TAMPERINGS = {
    "its last entry was changed": ["UPDATE audit SET mac = x'00' WHERE seq = 3"],
    "its end was cut off": ["DELETE FROM audit WHERE seq > 2"],
    "it was cut and went on": [
        "DELETE FROM audit WHERE seq = 3",
        PUT_IN.format(3),
    ],
    "an entry was put in without the key": [PUT_IN.format(4)],
}


@pytest.mark.parametrize("statements", TAMPERINGS.values(), ids=TAMPERINGS)
def test_it_is_seen_at_once_when_the_log_does_not_go_on_from_where_it_was(
    store: Store, statements: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    record(store, 3)
    desk = Desk(store)
    desk.check_after(0)
    assert desk.shown("breaks_total") == 0
    with store.begin() as connection:
        for trigger in ("audit_no_update", "audit_no_delete", "audit_appends"):
            connection.execute(text(f"DROP TRIGGER {trigger}"))
        for statement in statements:
            connection.execute(text(statement))
    desk.check_after(ANCHOR_S)
    assert desk.shown("breaks_total") == 1
    assert "run watchgate audit verify" in caplog.text
    desk.check_after(ANCHOR_S)
    assert desk.shown("breaks_total") == 1


def test_what_was_changed_while_nobody_followed_the_log_is_seen_at_the_start(store: Store) -> None:
    record(store, 3)
    desk = Desk(store)
    desk.check_after(0)
    (anchor,) = desk.anchors()
    record(store, 2)
    head = Head(anchor.seq, bytes.fromhex(anchor.mac))
    again = Desk(store, anchored=head)
    again.check_after(0)
    assert again.shown("breaks_total") == 0
    assert [it.seq for it in again.anchors()] == [5]

    with store.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_no_update"))
        connection.execute(text("UPDATE audit SET actor = 'x' WHERE seq = 4"))
    after = Desk(store, anchored=head)
    after.check_after(0)
    assert after.shown("breaks_total") == 1


def test_the_head_that_a_journal_was_told_last_is_known_again(tmp_path: Path) -> None:
    folder = tmp_path / "enforcer-0"
    assert last_anchored(folder) is None
    journal = Journal(folder, limits=Limits(reserve_bytes=2**20))
    anchors = [to_record(Anchor(at=NOW, seq=seq, mac=f"{seq:064x}")) for seq in (1, 2, 3)]
    journal.append_all([*anchors, to_record(denied(1))])
    assert last_anchored(folder) == Head(3, bytes(31) + b"\x03")
    journal.close()


def test_it_does_not_start_under_another_key(store: Store) -> None:
    with store.begin() as connection:
        AuditLog(b"another key, long enough too").record(
            connection, Entry(NOW, "cli:ann", Action.KEY_CREATE, "key/key_1")
        )
    with pytest.raises(ConfigError, match=r"^audit.key: "):
        Desk(store)
