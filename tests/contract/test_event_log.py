"""What every event log promises (see service/events/log.py), on each of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from service.events.log import Received, Record, Topic
from tests.contract.event_log_harness import EventLogHarness, JournalHarness, KafkaHarness, read
from tests.real_parts.kafka_broker import wait_until


@pytest.fixture(params=[JournalHarness, KafkaHarness], ids=["journal", "kafka"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLogHarness]:
    harness: EventLogHarness = request.param(tmp_path)
    try:
        harness.start()
        yield harness
    finally:
        harness.stop()


def records(count: int, *, keys: int = 1, start: int = 0) -> list[Record]:
    return [
        Record(
            topic=Topic.EXCHANGES,
            key=f"account-{number % keys}".encode(),
            kind="opened",
            id=f"exchange-{number}",
            body=b'{"number": %d}' % number,
        )
        for number in range(start, start + count)
    ]


def ids(received: Sequence[Received]) -> list[str]:
    return [one.record.id for one in received]


def expected_ids(start: int, end: int) -> list[str]:
    return [f"exchange-{number}" for number in range(start, end)]


def test_records_with_one_key_are_read_in_the_order_in_which_they_were_appended(
    log: EventLogHarness,
) -> None:
    written = records(600, keys=7)
    log.write(written)
    reader = log.reader("workers")

    found = [one.record for one in read(reader, 600)]

    for key in {record.key for record in written}:
        assert [one for one in found if one.key == key] == [
            one for one in written if one.key == key
        ]
    reader.close()


def test_what_was_not_committed_is_read_again(log: EventLogHarness) -> None:
    log.write(records(20))
    first = log.reader("workers")
    before = read(first, 20)
    first.close()

    second = log.reader("workers")

    assert read(second, 20) == before
    second.close()


def test_a_commit_survives_the_reader(log: EventLogHarness) -> None:
    log.write(records(30))
    first = log.reader("workers")
    first.commit([read(first, 30)[9].position])
    first.close()

    second = log.reader("workers")

    assert ids(read(second, 20)) == expected_ids(10, 30)
    second.close()


def test_a_commit_survives_a_restart_of_the_log(log: EventLogHarness) -> None:
    log.write(records(30))
    first = log.reader("workers")
    first.commit([read(first, 30)[9].position])
    first.close()

    log.restart()
    log.write(records(5, start=30))

    second = log.reader("workers")
    assert ids(read(second, 25)) == expected_ids(10, 35)
    second.close()


def test_a_commit_never_goes_backwards(log: EventLogHarness) -> None:
    log.write(records(30))
    first = log.reader("workers")
    found = read(first, 30)
    first.commit([found[19].position])
    first.commit([found[4].position])
    first.close()

    second = log.reader("workers")

    assert ids(read(second, 10)) == expected_ids(20, 30)
    second.close()


def test_committing_in_steps_and_out_of_order_acknowledges_the_furthest(
    log: EventLogHarness,
) -> None:
    log.write(records(30))
    first = log.reader("workers")
    found = read(first, 30)
    first.commit([found[2].position, found[14].position, found[7].position])
    first.close()

    second = log.reader("workers")

    assert ids(read(second, 15)) == expected_ids(15, 30)
    second.close()


def test_two_groups_are_independent(log: EventLogHarness) -> None:
    log.write(records(10))
    screeners, auditors = log.reader("screeners"), log.reader("auditors")
    screeners.commit([read(screeners, 10)[-1].position])
    screeners.close()

    assert ids(read(auditors, 10)) == expected_ids(0, 10)
    auditors.close()


CONTENTS: dict[str, tuple[bytes | None, str | None]] = {
    "nothing": (None, None),
    "empty": (b"", None),
    "null": (b"null", None),
    "json": (b'{"messages":[{"role":"user","content":"gr\xc3\xbc\xc3\x9f"}]}', None),
    "json with space around it": (b'  {"a" : 1}\r\n', None),
    "a string that looks like base64": (b'"aGVsbG8="', None),
    "half a surrogate pair": (b'"\\ud800"', None),
    "broken json": (b'{"cut": "of', None),
    "not utf-8": (b'"\xff\xfe"', None),
    "encrypted": (bytes(range(256)) * 5, "key-1"),
    "encrypted into json": (b'{"looks":"plain"}', "key-1"),
    "3 MiB of json": (b'"' + b"x" * (3 * 2**20) + b'"', None),
    "3 MiB encrypted": (bytes(range(256)) * (3 * 2**12), "key-1"),
}


def test_content_and_its_key_come_out_byte_for_byte(log: EventLogHarness) -> None:
    written = {
        name: Record(Topic.EXCHANGES, b"account", "opened", name, b'{"n":1}', content, key_id)
        for name, (content, key_id) in CONTENTS.items()
    }
    log.write(list(written.values()))
    reader = log.reader("workers")

    found = {one.record.id: one.record for one in read(reader, len(written))}

    # One by one: the difference of two texts of 3 MiB takes minutes to print.
    assert [name for name in written if found[name] != written[name]] == []
    reader.close()


def test_large_and_small_records_of_one_key_stay_in_order(log: EventLogHarness) -> None:
    written = [
        Record(
            topic=Topic.EXCHANGES,
            key=b"account",
            kind="opened",
            id=f"exchange-{number}",
            body=b"{}",
            content=b'"%s"' % (b"x" * (2_500_000 if number % 3 == 1 else 100)),
        )
        for number in range(6)
    ]
    log.write(written)
    reader = log.reader("workers")

    assert [one.record for one in read(reader, 6)] == written
    reader.close()


def test_any_key_comes_out_as_it_went_in(log: EventLogHarness) -> None:
    keys = ["proyecto-ñandú", "帐户:42", "a/b/c", " ", "", "key\nwith\x00bytes"]
    written = [Record(Topic.EXCHANGES, key.encode(), "opened", key, b"{}") for key in keys]
    log.write(written)
    reader = log.reader("workers")

    found = {one.record.id: one.record for one in read(reader, len(keys))}

    assert [found[key] for key in keys] == written
    reader.close()


def test_a_reader_sees_its_topics_only(log: EventLogHarness) -> None:
    verdicts = [Record(Topic.VERDICTS, b"a", "verdict", f"v{n}", b"{}") for n in range(3)]
    log.write([*records(5), *verdicts, *records(5, start=5)])
    reader = log.reader("enforcer", [Topic.VERDICTS])

    assert [one.record for one in read(reader, 3)] == verdicts
    assert not reader.poll(0.3)
    reader.close()


def test_lag_counts_what_was_not_read_yet(log: EventLogHarness) -> None:
    log.write(records(10, keys=4))
    reader = log.reader("workers", [Topic.EXCHANGES])
    read(reader, 10)
    wait_until(lambda: reader.lag().records[Topic.EXCHANGES] == 0, 10, "all is read")

    log.write(records(7, keys=4, start=10))

    wait_until(lambda: reader.lag().records[Topic.EXCHANGES] == 7, 10, "seven are to be read")
    read(reader, 7)
    wait_until(lambda: reader.lag().records[Topic.EXCHANGES] == 0, 10, "all is read again")
    reader.close()


def test_a_poll_of_an_empty_log_returns_nothing(log: EventLogHarness) -> None:
    reader = log.reader("workers")

    assert not reader.poll(0.3)
    assert not reader.poll(0)
    reader.close()


def test_a_reader_that_waits_gets_what_is_written_later(log: EventLogHarness) -> None:
    reader = log.reader("workers")
    assert not reader.poll(0.3)

    log.write(records(3))

    assert ids(read(reader, 3)) == expected_ids(0, 3)
    reader.close()


def test_closing_twice_does_no_harm(log: EventLogHarness) -> None:
    log.write(records(1))
    reader = log.reader("workers")
    read(reader, 1)

    reader.close()
    reader.close()
