import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from service.errors import BadRecord, JournalBroken, JournalFull
from service.events.log import Lag, Position, Received, Record, Topic
from service.workers.loop import HANDLER_FAILED, Loop, dead_letter, original_of
from tests.real_parts.serving import until

CONTENT = bytes(range(256))
"""No text in any encoding: dead letters keep bytes."""


def record(number: int) -> Record:
    return Record(
        Topic.EXCHANGES, b"acme", "opened", f"ex-{number}", b"{}", content=CONTENT, key_id="k1"
    )


def received(number: int) -> Received:
    return Received(record(number), Position("gateway-0", 1, number))


class OneLog:
    """A log of one part: gives batches, and remembers what was acknowledged."""

    def __init__(self, *batches: Sequence[Received]) -> None:
        self._batches = list(batches)
        self.committed = 0
        self.commits: list[int] = []

    def poll(self, timeout_s: float) -> Sequence[Received]:  # noqa: ARG002  (it does not wait)
        return self._batches.pop(0) if self._batches else ()

    def commit(self, positions: Iterable[Position]) -> None:
        self.committed = max([self.committed, *(position.offset for position in positions)])
        self.commits.append(self.committed)

    def lag(self) -> Lag:
        return Lag({})

    def close(self) -> None:
        pass


class Letters:
    """A journal for dead letters that fails as often as it is told to."""

    def __init__(self, *failures: Exception) -> None:
        self.written: list[Record] = []
        self._failures = list(failures)

    def append_all(self, records: Sequence[Record]) -> Sequence[Position]:
        if self._failures:
            raise self._failures.pop(0)
        self.written += records
        return [Position("screener-0", 1, n) for n in range(len(records))]

    def close(self) -> None:
        pass


class Away(Exception):
    """What a handler may wait for."""


class Handler:
    """Notes what it did; what it does for a record may be told."""

    transient: tuple[type[Exception], ...] = (Away,)

    def __init__(self, act: Callable[[str], None] = lambda _id: None) -> None:
        self._act = act
        self.done: list[str] = []
        self.calls = 0

    def handle(self, batch: Sequence[Received]) -> None:
        self.calls += 1
        for one in batch:
            self._act(one.record.id)
        self.done += [one.record.id for one in batch]


class Watcher:
    def __init__(self) -> None:
        self.turns: list[int] = []
        self.put_aside: list[tuple[Topic, str]] = []
        self.pauses: list[Exception] = []

    def on_turn(self, done: Sequence[Received]) -> None:
        self.turns.append(len(done))

    def on_dead_letter(self, topic: Topic, reason: str) -> None:
        self.put_aside.append((topic, reason))

    def on_pause(self, error: Exception) -> None:
        self.pauses.append(error)


class Running:
    """A loop in a thread, with its parts."""

    def __init__(self, log: OneLog, handler: Handler, letters: Letters | None = None) -> None:
        self.watcher = Watcher()
        self.letters = letters or Letters()
        self.stop = threading.Event()
        self.error: Exception | None = None
        self._loop = Loop(
            group="screener",
            reader=log,
            handler=handler,
            dead_letters=self.letters,
            watcher=self.watcher,
            clock=lambda: 77.0,
        )
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self._loop.run(self.stop)
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            self.error = error


@contextmanager
def running(log: OneLog, handler: Handler, letters: Letters | None = None) -> Iterator[Running]:
    one = Running(log, handler, letters)
    one.thread.start()
    try:
        yield one
    finally:
        one.stop.set()
        one.thread.join(20)
        assert not one.thread.is_alive()


def run_through(log: OneLog, handler: Handler, letters: Letters | None = None) -> Running:
    """Run until the log has nothing more to give."""
    with running(log, handler, letters) as one:
        until(lambda: 0 in one.watcher.turns or one.error is not None)
    return one


def failing(bad_id: str, error: Exception) -> Callable[[str], None]:
    def act(record_id: str) -> None:
        if record_id == bad_id:
            raise error

    return act


def test_records_are_acknowledged_only_after_their_effects() -> None:
    log = OneLog([received(1), received(2)])
    seen: list[int] = []
    handler = Handler(lambda _id: seen.append(log.committed))
    run_through(log, handler)
    assert handler.done == ["ex-1", "ex-2"]
    assert seen == [0, 0]
    assert log.committed == 2


def test_a_worker_that_dies_in_its_effects_has_acknowledged_nothing() -> None:
    log = OneLog([received(1), received(2)])

    def die(_id: str) -> None:
        raise SystemExit

    one = Running(log, Handler(die))
    with pytest.raises(SystemExit):
        one._loop.run(one.stop)
    assert log.committed == 0


def test_while_there_is_always_something_to_read_not_every_turn_is_acknowledged() -> None:
    log = OneLog(*([received(n)] for n in range(1, 201)))
    run_through(log, Handler())
    assert log.committed == 200
    assert len(set(log.commits)) < 200


def test_a_poisonous_record_is_put_aside_and_its_neighbours_are_handled() -> None:
    log = OneLog([received(1), received(2), received(3)], [received(4)])
    handler = Handler(failing("ex-2", BadRecord("undecodable", "no JSON")))
    one = run_through(log, handler)
    assert handler.done == ["ex-1", "ex-3", "ex-4"]
    assert one.watcher.put_aside == [(Topic.EXCHANGES, "undecodable")]
    assert log.committed == 4


def test_a_dead_letter_tells_reason_and_position_and_holds_the_record_byte_by_byte() -> None:
    letter = dead_letter(received(7), "screener", "undecodable", 77.0)
    assert letter.topic is Topic.DEAD_LETTERS
    assert letter.key == b"acme"
    assert b'"reason":"undecodable"' in letter.body
    assert b'"group":"screener"' in letter.body
    assert b'"log":"gateway-0","part":1,"offset":7' in letter.body
    assert original_of(letter) == record(7)


def test_what_is_no_dead_letter_cannot_be_replayed() -> None:
    with pytest.raises(BadRecord):
        original_of(record(1))


def test_what_fails_unforeseen_is_tried_again_and_then_put_aside() -> None:
    attempts: list[str] = []

    def fail(record_id: str) -> None:
        attempts.append(record_id)
        raise KeyError("nobody thought of this")

    log = OneLog([received(1)])
    one = run_through(log, Handler(fail))
    assert len(attempts) > 2
    assert one.watcher.put_aside == [(Topic.EXCHANGES, HANDLER_FAILED)]
    assert original_of(one.letters.written[0]) == record(1)
    assert log.committed == 1


def test_what_fails_once_is_not_put_aside() -> None:
    failures = [KeyError()]

    def fail_once(_id: str) -> None:
        if failures:
            raise failures.pop()

    log = OneLog([received(1)])
    handler = Handler(fail_once)
    one = run_through(log, handler)
    assert handler.done == ["ex-1"]
    assert one.watcher.put_aside == []


def test_what_passes_is_waited_out_and_nothing_is_lost_or_put_aside() -> None:
    failures = [Away() for _ in range(4)]

    def away(_id: str) -> None:
        if failures:
            raise failures.pop()

    log = OneLog([received(1), received(2)], [received(3)])
    handler = Handler(away)
    one = run_through(log, handler)
    assert handler.done == ["ex-1", "ex-2", "ex-3"]
    assert len(one.watcher.pauses) == 4
    assert one.watcher.put_aside == []
    assert log.committed == 3


def test_a_stop_while_a_batch_waits_leaves_it_unacknowledged() -> None:
    def away(_id: str) -> None:
        raise Away

    log = OneLog([received(1)])
    with running(log, Handler(away)) as one:
        until(lambda: len(one.watcher.pauses) >= 2)
    assert log.committed == 0
    assert one.letters.written == []


def test_of_a_batch_that_is_handled_one_by_one_a_stop_keeps_what_was_done() -> None:
    def third_waits(record_id: str) -> None:
        if record_id == "ex-2":
            raise BadRecord("undecodable")
        if record_id == "ex-3":
            raise Away

    log = OneLog([received(n) for n in (1, 2, 3, 4)])
    handler = Handler(third_waits)
    with running(log, handler) as one:
        until(lambda: bool(one.watcher.pauses))
    assert handler.done == ["ex-1"]
    assert len(one.letters.written) == 1
    assert log.committed == 2


def test_a_dead_letter_waits_for_room_in_the_journal() -> None:
    log = OneLog([received(1)])
    handler = Handler(failing("ex-1", BadRecord("undecodable")))
    one = run_through(log, handler, Letters(JournalFull("full"), JournalFull("full")))
    assert len(one.watcher.pauses) == 2
    assert len(one.letters.written) == 1
    assert log.committed == 1


def test_a_record_is_not_acknowledged_when_its_dead_letter_cannot_be_kept() -> None:
    log = OneLog([received(1)])
    handler = Handler(failing("ex-1", BadRecord("undecodable")))
    one = run_through(log, handler, Letters(JournalBroken("a sync failed")))
    assert isinstance(one.error, JournalBroken)
    assert log.committed == 0
