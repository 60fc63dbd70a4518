"""Joining and committing: what a reader may forget, and what it must be able to read again."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from service.events.kafka import wire
from service.events.kafka.joiner import REACH
from service.events.kafka.partition import Partition
from service.events.log import Position, Received, Record, Topic

MAX_BYTES = 1_500
LARGE, SMALL = 2_500, 10

Header = list[tuple[str, bytes]]


def record(name: str, size: int = SMALL) -> Record:
    return Record(Topic.EXCHANGES, b"account", "opened", name, b'"%s"' % (b"x" * size))


def messages(log: str, offset: int, size: int = SMALL, machine: str = "") -> list[wire.Message]:
    one = Received(record(f"{log}-{offset}", size), Position(log, 1, offset))
    return list(wire.messages(one, MAX_BYTES, machine))


@dataclass
class Reader:
    """Reads a partition from its committed offset, as a KafkaReader would."""

    topic: Sequence[wire.Message]
    committed: int = 0
    partition: Partition = field(init=False)
    offset: int = field(init=False)

    def __post_init__(self) -> None:
        self.crash()

    def crash(self) -> None:
        self.partition = Partition("exchanges", 0, Topic.EXCHANGES)
        self.offset = self.committed

    def read(self, count: int | None = None) -> list[Received]:
        end = len(self.topic) if count is None else min(len(self.topic), self.offset + count)
        found = []
        for offset in range(self.offset, end):
            message = self.topic[offset]
            found.append(self.partition.take(offset, message.key, message.value, message.headers))
        self.offset = max(end, self.offset)
        return [one for one in found if one is not None]

    def commit(self, position: Position) -> None:
        self.partition.acknowledge(position.offset)
        due = self.partition.due()
        if due is not None:
            assert due > self.committed
            self.committed = self.partition.committed = due


def ids(received: Sequence[Received]) -> list[str]:
    return [one.record.id for one in received]


def test_journals_of_one_name_on_two_machines_are_two() -> None:
    here = messages("gateway-0", 1, LARGE, "0123456789abcdef")
    there = messages("gateway-0", 7, LARGE, "fedcba9876543210")
    mixed = [here[0], there[0], *here[1:], *there[1:], *messages("gateway-0", 9, machine="0" * 16)]
    assert [it.record.id for it in Reader(mixed).read()] == [
        "gateway-0-1",
        "gateway-0-7",
        "gateway-0-9",
    ]


def test_a_part_that_comes_again_keeps_what_came_before() -> None:
    first, *rest = messages("a", 1, LARGE)
    [other] = messages("b", 1)
    partition = Partition("exchanges", 0, Topic.EXCHANGES)
    found = [
        partition.take(offset, it.key, it.value, it.headers)
        for offset, it in (
            (0, first),
            (REACH - 1, first),
            (REACH + 5, other),
            *enumerate(rest, REACH + 6),
        )
    ]
    assert [it.record.id for it in found if it is not None] == ["b-1", "a-1"]
    assert partition.abandoned == 0


def test_what_was_half_sent_before_origins_named_machines_is_not_waited_for() -> None:
    old, new = messages("a", 1, LARGE), messages("a", 1, LARGE, "0" * 16)
    partition = Partition("exchanges", 0, Topic.EXCHANGES)
    found = [
        partition.take(offset, it.key, it.value, it.headers)
        for offset, it in enumerate([old[0], *new])
    ]
    assert [it.record.id for it in found if it is not None] == ["a-1"]
    partition.acknowledge(len(new))
    assert partition.due() == len(new) + 1


def test_what_a_machine_that_is_gone_left_in_parts_is_not_waited_for_without_end() -> None:
    gone, partition = messages("a", 1, LARGE)[0], Partition("exchanges", 0, Topic.EXCHANGES)
    assert partition.take(0, gone.key, gone.value, gone.headers) is None
    [other] = messages("b", 1)
    for offset, due in ((REACH, None), (REACH + 1, REACH + 2)):
        assert partition.take(offset, other.key, other.value, other.headers) is not None
        partition.acknowledge(offset)
        assert partition.due() == due
    assert partition.abandoned == 1


def test_parts_are_joined_when_the_last_one_came() -> None:
    reader = Reader(messages("a", 1, LARGE))
    last = len(reader.topic) - 1

    assert reader.read(last) == []
    (found,) = reader.read()

    assert found.record == record("a-1", LARGE)
    assert found.position == Position("exchanges", 0, last)


def test_parts_of_two_journals_may_lie_between_each_other() -> None:
    mixed = [
        message
        for pair in zip(messages("a", 1, LARGE), messages("b", 1, LARGE), strict=True)
        for message in pair
    ]

    assert ids(Reader(mixed).read()) == ["a-1", "b-1"]


def test_a_record_sent_again_after_some_parts_is_joined_once() -> None:
    whole = messages("a", 1, LARGE)

    found = Reader([*whole[:2], *whole, *messages("a", 2)]).read()

    assert ids(found) == ["a-1", "a-2"]
    assert found[0].record == record("a-1", LARGE)


def test_a_record_sent_again_in_parts_of_another_size_is_not_mixed_up() -> None:
    position = Position("a", 1, 1)
    other = list(wire.messages(Received(record("a-1", LARGE), position), MAX_BYTES * 2))

    found = Reader([*messages("a", 1, LARGE)[:2], *other]).read()

    assert [one.record for one in found] == [record("a-1", LARGE)]


def test_nothing_is_committed_past_a_part_of_an_incomplete_record() -> None:
    reader = Reader([*messages("b", 1), *messages("a", 1, LARGE)[:1], *messages("b", 2)])
    reader.commit(reader.read()[-1].position)

    assert reader.committed == 1


def test_a_joined_record_that_was_not_acknowledged_can_be_read_again_whole() -> None:
    first, *rest = messages("a", 1, LARGE)
    reader = Reader([first, *messages("b", 1), *rest, *messages("b", 2)])
    by_id = {one.record.id: one for one in reader.read()}

    reader.commit(by_id["b-1"].position)
    reader.crash()

    assert ids(reader.read()) == ["b-1", "a-1", "b-2"]


def test_a_joined_record_that_was_acknowledged_is_not_read_again() -> None:
    first, *rest = messages("a", 1, LARGE)
    reader = Reader([first, *messages("b", 1), *rest, *messages("b", 2)])
    by_id = {one.record.id: one for one in reader.read()}

    reader.commit(by_id["a-1"].position)
    reader.crash()

    assert ids(reader.read()) == ["b-2"]


def test_the_rest_of_a_repetition_does_not_hold_up_commits_for_ever() -> None:
    whole = messages("a", 1, LARGE)
    reader = Reader([*whole, whole[-1], *messages("a", 2)])
    found = reader.read()

    reader.commit(found[-1].position)

    assert ids(found) == ["a-1", "a-2"]
    assert reader.committed == len(reader.topic)
    assert reader.partition.abandoned == 1


def test_a_repetition_of_earlier_records_does_not_break_off_one_in_parts() -> None:
    whole = messages("a", 2, LARGE)

    found = Reader([*whole[:2], *messages("a", 1), *whole[2:]]).read()

    assert ids(found) == ["a-1", "a-2"]


def test_a_position_from_before_the_partition_was_ours_is_not_committed() -> None:
    reader = Reader([message for n in range(1, 6) for message in messages("a", n)], committed=3)
    reader.read()

    reader.commit(Position("exchanges", 0, 1))

    assert reader.committed == 3


def test_a_message_that_is_no_envelope_becomes_an_undecodable_record() -> None:
    partition = Partition("exchanges", 0, Topic.EXCHANGES)

    found = partition.take(5, None, b"\x00garbage", [])

    assert found is not None
    assert found.record == Record(Topic.EXCHANGES, b"", "undecodable", "", b"\x00garbage")
    assert found.position == Position("exchanges", 0, 5)


def test_a_message_without_a_value_becomes_an_undecodable_record() -> None:
    found = Partition("exchanges", 0, Topic.EXCHANGES).take(0, b"key", None, [])

    assert found is not None
    assert found.record.kind == "undecodable"


@st.composite
def shipped(draw: st.DrawFn) -> tuple[list[wire.Message], list[str]]:
    """Draw a topic as shippers of two journals leave it that are killed and begin again."""
    topic: list[list[wire.Message]] = []
    expected = []
    for log in ("a", "b"):
        journal = [
            messages(log, offset, draw(st.sampled_from([SMALL, LARGE]))) for offset in range(1, 5)
        ]
        flat = [(number, message) for number, one in enumerate(journal) for message in one]
        sent: list[wire.Message] = []
        for _ in range(draw(st.integers(0, 3))):
            # It sent some, was killed, and had committed nothing of what it sent.
            sent += [message for _, message in flat[: draw(st.integers(0, len(flat)))]]
        topic.append(sent + [message for _, message in flat])
        expected += [f"{log}-{offset}" for offset in range(1, 5)]
    left, right = topic
    mixed = []
    while left or right:
        source = left if not right or (left and draw(st.booleans())) else right
        mixed.append(source.pop(0))
    return mixed, expected


@given(shipped(), st.data())
def test_whatever_is_killed_every_record_is_read_and_first_occurrences_are_in_order(
    case: tuple[list[wire.Message], list[str]], data: st.DataObject
) -> None:
    topic, expected = case
    reader = Reader(topic)
    handled: list[str] = []
    for _ in range(data.draw(st.integers(0, 6))):
        found = reader.read(data.draw(st.integers(1, 12)))
        done = found[: data.draw(st.integers(0, len(found)))]
        handled += ids(done)
        if done:
            reader.commit(done[-1].position)
        if data.draw(st.booleans()) or len(done) < len(found):
            reader.crash()
    handled += ids(reader.read())

    firsts = list(dict.fromkeys(handled))
    assert sorted(firsts) == sorted(expected)
    for log in ("a", "b"):
        assert [one for one in firsts if one.startswith(log)] == [
            one for one in expected if one.startswith(log)
        ]
