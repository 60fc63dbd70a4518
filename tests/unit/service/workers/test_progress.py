import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import structs

from service.events.log import Lag, Position, Received, Topic
from service.store.heartbeats import read_heartbeats
from service.workers.progress import Progress, Pulse
from tests.real_parts.serving import until
from tests.real_parts.store import new_store
from tests.unit.service.workers.screening_parts import NOW, opened, received


class Source:
    """A reader that gives what the test put in."""

    def __init__(self) -> None:
        self.next: list[Received] = []
        self.connected = True
        self.committed: list[Position] = []
        self.counts = 0

    def poll(self, timeout_s: float) -> Sequence[Received]:  # noqa: ARG002
        records, self.next = self.next, []
        return records

    def commit(self, positions: Iterable[Position]) -> None:
        self.committed += positions

    def lag(self) -> Lag:
        self.counts += 1
        return Lag({Topic.EXCHANGES: 7})

    def close(self) -> None:
        pass


class Watched:
    def __init__(self) -> None:
        self.now = NOW
        self.source = Source()
        self.counted: list[tuple[Topic, int]] = []
        self.progress = Progress(
            self.source, lambda: self.now, lambda topic, n: self.counted.append((topic, n))
        )


def test_the_lag_is_the_age_of_the_oldest_record_in_hand() -> None:
    one = Watched()
    one.source.next = [
        received(opened("b", at=NOW - 3)),
        received(opened("a", at=NOW - 40)),
        received(opened("c", at=NOW - 1)),
    ]
    one.progress.poll(0)
    assert one.progress.lag_s() == 40
    one.now += 100  # still in hand: it takes long, or waits
    assert one.progress.lag_s() == 140


def test_with_nothing_to_read_there_is_no_lag_but_for_the_time_since_the_last_look() -> None:
    one = Watched()
    one.source.next = [received(opened(at=NOW - 40))]
    one.progress.poll(0)
    one.progress.poll(0)
    assert one.progress.lag_s() == 0
    one.now += 5
    assert one.progress.lag_s() == 5


def test_a_log_that_is_away_is_not_one_with_nothing_to_read() -> None:
    one = Watched()
    one.source.connected = False
    one.now += 70
    one.progress.poll(0)
    assert one.progress.lag_s() == 70


def test_a_record_that_cannot_be_read_is_as_old_as_its_reading() -> None:
    one = Watched()
    broken = received(opened())
    structs.force_setattr(broken.record, "body", b"{")
    one.source.next = [broken]
    one.progress.poll(0)
    assert one.progress.lag_s() == 0


def test_what_is_yet_to_be_read_is_counted_now_and_then_not_at_each_turn() -> None:
    one = Watched()
    for _ in range(100):
        one.progress.poll(0)
    assert one.counted[0] == (Topic.EXCHANGES, 7)
    assert one.source.counts < 10


def test_one_transaction_gives_the_signs_of_life_of_all_groups(tmp_path: Path) -> None:
    store = new_store(tmp_path / "watchgate.db")
    slow, idle = Watched(), Watched()
    slow.source.next = [received(opened(at=NOW - 90))]
    slow.progress.poll(0)
    pulse = Pulse(store, lambda: NOW, interval_s=0.01)
    pulse.add("slow", slow.progress)
    pulse.add("idle", idle.progress)
    stop = threading.Event()
    thread = threading.Thread(target=pulse.run, args=[stop])
    thread.start()

    def beats() -> dict[str, float]:
        with store.read() as connection:
            return {name: beat.lag_s for name, beat in read_heartbeats(connection).items()}

    try:
        until(lambda: beats() == {"slow": 90.0, "idle": 0.0})
        with store.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE heartbeats RENAME TO away")
        with store.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO heartbeats")
            connection.exec_driver_sql("DELETE FROM heartbeats")
        until(lambda: beats() == {"slow": 90.0, "idle": 0.0})
    finally:
        stop.set()
        thread.join(20)
        store.close()
