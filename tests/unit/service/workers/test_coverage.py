from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from detectors.api import Part
from service.core.coverage import Bounds, Coverage
from service.errors import BadRecord
from service.events.log import Lag, Position, Received, Record, Topic
from service.events.schema import Closed, Opened, Verdict
from service.events.shipper import last_positions
from service.store import Store
from service.store.coverage import list_gaps
from service.store.keys import StoredKey, add_key
from service.store.tables import keys
from service.telemetry.metrics import Metrics
from service.workers.coverage import Reconciler, SettlingReader
from service.workers.loop import REPLAY
from tests.real_parts.store import new_store
from tests.unit.service.workers.screening_parts import NOW, closed, opened, received

BOUNDS = Bounds(unscreened_s=(300.0, 300.0, 60.0), open_s=1860.0)
ARRIVAL_S = 120.0
LATE = NOW + 10_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = new_store(tmp_path / "watchgate.db")
    yield one
    one.close()


class Desk:
    """A reconciler whose clock the test sets."""

    def __init__(self, store: Store) -> None:
        self.now = NOW
        self.registry = CollectorRegistry()
        self.store = store
        self.reconciler = Reconciler(
            Coverage(BOUNDS), store, Metrics(self.registry), lambda: self.now, arrival_s=ARRIVAL_S
        )
        self.reconciler.declare(["m"])

    def read(self, *records: Received) -> None:
        """Handle a batch, and let the turn end."""
        self.reconciler.handle(records)
        self.reconciler.check(records)
        self.reconciler.cut()

    def idle(self, now: float) -> list[tuple[str, str]]:
        """Find nothing more to read at a time; return the gaps that are kept as open."""
        self.now = now
        self.reconciler.check(())
        self.reconciler.cut()
        return self.open_gaps()

    def open_gaps(self) -> list[tuple[str, str]]:
        with self.store.read() as connection:
            return [(one.gap.exchange_id, one.gap.kind) for one in list_gaps(connection)]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"watchgate_{name}", labels)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def verdict(
    part: Part, exchange_id: str = "ex-1", *, completes: bool = True, at: float = NOW
) -> Received:
    facts = msgspec.to_builtins(opened(exchange_id, at=at))
    event = msgspec.convert(
        facts
        | {
            "kind": "verdict",
            "id": f"v-{exchange_id}-{part}",
            "part": part,
            "detector": "words",
            "version": "1",
            "digest": "00",
            "completes": completes,
        },
        Verdict,
    )
    return received(event, log="screener-0")


def covered(exchange_id: str = "ex-1") -> list[Received]:
    return [
        received(opened(exchange_id)),
        received(closed(exchange_id)),
        verdict(Part.PROMPT, exchange_id),
        verdict(Part.ANSWER, exchange_id),
    ]


def test_a_covered_exchange_is_counted_and_leaves_no_gap(desk: Desk) -> None:
    desk.read(*covered())
    assert desk.idle(LATE) == []
    assert desk.metric("exchanges_screened_total", model="m") == 1
    assert desk.metric("coverage_gap_exchanges", model="m", kind="unscreened") == 0


def test_how_long_screening_took_is_counted_from_the_end_of_the_exchange(desk: Desk) -> None:
    desk.read(*covered()[:3], verdict(Part.ANSWER, at=NOW + 7))
    assert desk.metric("screening_delay_seconds_count", model="m") == 1
    assert desk.metric("screening_delay_seconds_sum", model="m") == pytest.approx(17)


def test_what_is_not_screened_within_its_bound_counts_as_late_once(desk: Desk) -> None:
    desk.read(*covered()[:3])
    desk.idle(LATE)
    assert desk.metric("screening_delay_seconds_sum", model="m") == pytest.approx(300)
    desk.read(verdict(Part.ANSWER, at=LATE))
    assert desk.metric("screening_delay_seconds_count", model="m") == 1


def test_a_verdict_that_completes_nothing_covers_nothing(desk: Desk) -> None:
    desk.read(*covered()[:3], verdict(Part.ANSWER, completes=False))
    assert desk.idle(LATE) == [("ex-1", "unscreened")]
    assert desk.metric("coverage_gap_exchanges", model="m", kind="unscreened") == 1


def test_a_gap_opens_at_the_tiers_bound(desk: Desk) -> None:
    desk.read(*covered()[:3])
    assert desk.idle(NOW - 10 + 299) == []
    assert desk.idle(NOW - 10 + 301) == [("ex-1", "unscreened")]


def test_a_late_verdict_closes_the_gap(desk: Desk) -> None:
    desk.read(*covered()[:3])
    desk.idle(LATE)
    desk.read(verdict(Part.ANSWER, at=LATE))
    assert desk.open_gaps() == []
    desk.idle(LATE + 2)
    assert desk.metric("coverage_gap_exchanges", model="m", kind="unscreened") == 0


def test_a_late_verdict_closes_a_gap_that_an_earlier_process_kept(desk: Desk) -> None:
    desk.read(*covered()[:3])
    assert desk.idle(LATE) == [("ex-1", "unscreened")]
    heir = Desk(desk.store)
    heir.idle(LATE + 1)
    assert heir.metric("coverage_gap_exchanges", model="m", kind="unscreened") == 1
    heir.read(verdict(Part.ANSWER, at=LATE))
    assert heir.open_gaps() == []


def test_who_catches_up_does_not_take_what_is_yet_to_be_read_for_lost(desk: Desk) -> None:
    desk.now = LATE  # hours after the events
    desk.read(*covered()[:2])
    desk.now = LATE + 2
    desk.read(received(opened("ex-2", at=NOW)))
    desk.now = LATE + 4
    desk.read(*covered()[2:])
    assert desk.idle(LATE + 6) == [("ex-2", "unrecorded")]


def test_an_end_whose_beginning_was_acknowledged_before_is_no_gap(desk: Desk) -> None:
    desk.read(received(closed("ex-old", opened_at=NOW - 600)))
    assert desk.idle(LATE) == []


def test_an_end_whose_beginning_is_lost_is_a_gap(desk: Desk) -> None:
    desk.read(*covered("ex-1"))
    at = NOW + 10 * ARRIVAL_S
    end = received(closed("ex-2", at=at, opened_at=at - 1, served_number=2))
    desk.read(end, verdict(Part.PROMPT, "ex-2"), verdict(Part.ANSWER, "ex-2"))
    assert desk.idle(LATE) == [("ex-2", "unrecorded")]


def test_a_record_that_is_replayed_long_after_makes_no_gap(desk: Desk) -> None:
    desk.read(received(opened("ex-old", at=NOW - 9000), log=f"{REPLAY}-0"))
    assert desk.idle(LATE) == []


def test_a_record_that_cannot_be_read_is_bad(desk: Desk) -> None:
    bad = Received(Record(Topic.EXCHANGES, b"a", "opened", "x", b"{"), Position("gateway-0", 1, 1))
    with pytest.raises(BadRecord):
        desk.read(bad)


def test_gaps_that_could_not_be_kept_are_kept_later_and_hold_back_what_was_read(
    desk: Desk, store: Store
) -> None:
    desk.read(*covered()[:3])
    desk.now = LATE
    with store.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE coverage_gaps RENAME TO away")
    with pytest.raises(OperationalError):
        desk.reconciler.check(())
    assert desk.reconciler.cut() == 0
    with store.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO coverage_gaps")
    assert desk.idle(LATE + 2) == [("ex-1", "unscreened")]
    assert desk.reconciler.cut() == 1


def test_a_gap_is_reported_once_a_second_whatever_the_clock_does(desk: Desk) -> None:
    desk.idle(NOW)
    desk.read(*covered()[:3])
    desk.now = NOW - 86400.0  # set back by a day
    desk.reconciler.check(())
    assert desk.idle(LATE) == [("ex-1", "unscreened")]


class Positions:
    """A reader that gives batches and remembers what was acknowledged."""

    def __init__(self, *batches: Sequence[Received]) -> None:
        self._batches = list(batches)
        self.committed: dict[str, int] = {}
        self.closed = False

    def poll(self, timeout_s: float) -> Sequence[Received]:  # noqa: ARG002
        return self._batches.pop(0) if self._batches else ()

    def commit(self, positions: Iterable[Position]) -> None:
        for position in positions:
            assert position.offset > self.committed.get(position.log, 0)
            self.committed[position.log] = position.offset

    def lag(self) -> Lag:
        return Lag({})

    def close(self) -> None:
        self.closed = True


def at(offset: int, event: Opened | Closed) -> Received:
    return received(event, offset=offset)


def verdict_at(offset: int, part: Part, exchange_id: str) -> Received:
    one = verdict(part, exchange_id)
    return Received(one.record, Position("screener-0", 1, offset))


def turn(reader: SettlingReader, desk: Desk) -> None:
    """Do what the loop does in one turn."""
    records = reader.poll(0)
    if records:
        desk.reconciler.handle(records)
    reader.commit(last_positions(records))
    desk.reconciler.check(records)


def settling(log: Positions, desk: Desk) -> SettlingReader:
    return SettlingReader(log, lambda: desk.reconciler.turn, desk.reconciler.cut)


def test_a_position_is_acknowledged_when_all_before_it_is_settled(desk: Desk) -> None:
    log = Positions(
        [at(1, opened("a")), at(2, opened("b")), at(3, closed("a"))],
        [verdict_at(1, Part.PROMPT, "a"), verdict_at(2, Part.ANSWER, "a")],
        [at(4, closed("b", served_number=2))],
        [verdict_at(3, Part.PROMPT, "b"), verdict_at(4, Part.ANSWER, "b")],
    )
    reader = settling(log, desk)
    for _ in range(3):
        turn(reader, desk)
        assert log.committed == {}
    turn(reader, desk)
    assert log.committed == {"gateway-0": 4, "screener-0": 4}


def test_an_exchange_that_never_ends_is_let_go_once_its_gap_is_kept(desk: Desk) -> None:
    log = Positions([at(1, opened("a"))], [at(2, opened("b"))])
    reader = settling(log, desk)
    turn(reader, desk)
    turn(reader, desk)
    assert log.committed == {}
    desk.idle(LATE)
    turn(reader, desk)
    assert log.committed == {"gateway-0": 2}
    assert not reader._held


def test_of_what_is_held_back_no_more_is_remembered_than_a_position_a_turn(desk: Desk) -> None:
    batches = [[at(1, opened("goes-on"))]]
    for n in range(100):
        first = 2 + 40 * n
        batches.append([at(first + i, opened(f"ex-{n}-{i}")) for i in range(40)])
    reader = settling(Positions(*batches), desk)
    for _ in batches:
        turn(reader, desk)
    assert sum(len(positions) for _, positions in reader._held) == len(batches)


def test_closing_closes_the_log(desk: Desk) -> None:
    log = Positions()
    settling(log, desk).close()
    assert log.closed


def test_a_key_is_known_to_have_been_used_once_its_exchange_was_read(desk: Desk) -> None:
    with desk.store.begin() as connection:
        stored = StoredKey("key_acme", "acme", "sk-wg-", 0.0, "cli:ann", None)
        add_key(connection, stored, b"digest", "pepper")
    desk.read(received(opened("ex-1", at=7200.0 + 5)))
    with desk.store.read() as connection:
        assert connection.execute(select(keys.c.last_used_at)).scalar() == 7200.0


def offsets(*records: Received, first: int = 1) -> list[Received]:
    """Return records one after another in their logs."""
    last: dict[str, int] = {}
    found = []
    for one in records:
        log = one.position.log
        last[log] = last.get(log, first - 1) + 1
        found.append(Received(one.record, Position(log, 1, last[log])))
    return found


def test_what_a_killed_process_counted_is_not_counted_again(store: Store) -> None:
    records = offsets(*covered("a"), *covered("b"), *covered("c"))
    killed = Desk(store)
    killed.read(*records[:6])  # of "b" nothing is screened yet
    assert killed.metric("exchanges_screened_total", model="m") == 1
    again = Desk(store)
    again.read(*records)
    assert again.metric("exchanges_screened_total", model="m") == 2
    assert again.metric("screening_delay_seconds_count", model="m") == 2


def test_what_was_read_and_not_yet_counted_when_the_process_was_killed_is_counted(
    store: Store,
) -> None:
    records = offsets(*covered("a"))
    Desk(store).reconciler.handle(records)
    again = Desk(store)
    again.read(*records)
    assert again.metric("exchanges_screened_total", model="m") == 1


def test_a_log_that_was_taken_away_and_begun_anew_is_counted(store: Store) -> None:
    Desk(store).read(*offsets(*covered("a"), first=1000))
    later = NOW + 60
    anew = offsets(
        received(opened("b", at=later)),
        received(closed("b", at=later)),
        verdict(Part.PROMPT, "b", at=later),
        verdict(Part.ANSWER, "b", at=later),
    )
    again = Desk(store)
    again.read(*anew)
    assert again.metric("exchanges_screened_total", model="m") == 1


def test_while_the_store_is_away_nothing_is_counted_or_acknowledged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Positions(offsets(*covered("a")))
    reader = settling(log, desk)

    def away() -> None:
        raise OperationalError("", {}, Exception())

    with monkeypatch.context() as patched:
        patched.setattr(desk.store, "begin", away)
        records = reader.poll(0)
        desk.reconciler.handle(records)
        reader.commit(last_positions(records))
        assert desk.metric("exchanges_screened_total", model="m") == 0
        assert log.committed == {}
    reader.commit(last_positions(records))
    assert desk.metric("exchanges_screened_total", model="m") == 1
    assert log.committed == {"gateway-0": 2, "screener-0": 2}
