"""The shipper's loop, against a log in memory and a destination that fails as it is told."""

import threading
from collections.abc import Callable, Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from service.errors import ShipFailed
from service.events.log import Lag, Position, Received, Record, Topic
from service.events.shipper import Shipper, last_positions, pause_s


class MemoryReader:
    """Reads a list, a few records at a time; remembers what was acknowledged."""

    def __init__(self, records: Sequence[Received], when_empty: Callable[[], None]) -> None:
        self._records = records
        self._when_empty = when_empty
        self._next = 0
        self.committed: list[Position] = []

    def poll(self, timeout_s: float) -> Sequence[Received]:  # noqa: ARG002
        found = self._records[self._next : self._next + 3]
        self._next += len(found)
        if not found:
            self._when_empty()
        return found

    def commit(self, positions: Iterable[Position]) -> None:
        self.committed += positions

    def lag(self) -> Lag:
        return Lag({Topic.EXCHANGES: len(self._records) - self._next})

    def close(self) -> None:
        """Nothing is open."""


class FailingSink:
    """Fails as many times as it is told, then takes everything."""

    def __init__(self, failures: int, on_failure: Callable[[], None] = lambda: None) -> None:
        self._failures = failures
        self._on_failure = on_failure
        self.taken: list[Received] = []
        self.offered: list[Sequence[Received]] = []

    def ship(self, records: Sequence[Received]) -> None:
        self.offered.append(records)
        if self._failures:
            self._failures -= 1
            self._on_failure()
            raise ShipFailed("KafkaTimeoutError")
        self.taken += records

    def close(self) -> None:
        """Nothing is open."""


class Counts:
    def __init__(self) -> None:
        self.shipped = 0
        self.errors: list[str] = []

    def on_shipped(self, records: Sequence[Received]) -> None:
        self.shipped += len(records)

    def on_error(self, reason: str) -> None:
        self.errors.append(reason)


def received(count: int) -> list[Received]:
    return [
        Received(
            Record(Topic.EXCHANGES, b"account", "opened", f"e{number}", b"{}"),
            Position("gateway-0", 1, number),
        )
        for number in range(1, count + 1)
    ]


def test_every_record_is_shipped_in_order_and_acknowledged() -> None:
    stop, counts = threading.Event(), Counts()
    reader, sink = MemoryReader(received(10), stop.set), FailingSink(0)
    shipper = Shipper(reader, sink, counts)

    shipper.run(stop)

    assert sink.taken == received(10)
    assert reader.committed[-1] == Position("gateway-0", 1, 10)
    assert counts.shipped == 10
    assert shipper.connected


def test_a_batch_that_failed_is_sent_again_whole_before_anything_later() -> None:
    stop, counts = threading.Event(), Counts()
    reader, sink = MemoryReader(received(5), stop.set), FailingSink(2)

    Shipper(reader, sink, counts).run(stop)

    assert sink.offered == [received(3)] * 3 + [received(5)[3:]]
    assert sink.taken == received(5)
    assert counts.errors == ["KafkaTimeoutError"] * 2


def test_what_was_not_shipped_is_not_acknowledged() -> None:
    stop = threading.Event()
    reader = MemoryReader(received(5), stop.set)
    shipper = Shipper(reader, FailingSink(99, on_failure=stop.set))

    shipper.run(stop)

    assert reader.committed == []
    assert not shipper.connected


def test_a_shipper_that_was_stopped_before_it_began_does_nothing() -> None:
    stop = threading.Event()
    stop.set()
    sink = FailingSink(0)

    Shipper(MemoryReader(received(5), stop.set), sink).run(stop)

    assert sink.offered == []


def test_the_last_position_of_each_part_stands_for_those_before_it() -> None:
    positions = [
        Position("a", 1, 1),
        Position("b", 1, 4),
        Position("a", 1, 2),
        Position("a", 2, 3),
    ]
    records = [Received(received(1)[0].record, position) for position in positions]

    assert sorted(last_positions(records)) == sorted(positions[1:])


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_a_pause_grows_with_the_failures_and_stays_under_a_second(
    failures: int, chance: float
) -> None:
    assert 0.025 <= pause_s(failures, chance) <= 1.0
    assert pause_s(failures, 0.0) <= pause_s(failures, chance) <= 2 * pause_s(failures, 0.0)
    assert pause_s(failures, 0.0) <= pause_s(failures + 1, 0.0)
