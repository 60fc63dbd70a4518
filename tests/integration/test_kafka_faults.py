"""Kafka and the shipper stop, vanish and come back: nothing is lost, nothing is passed."""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from service.errors import ShipFailed
from service.events.journal import Journal
from service.events.kafka.config import KafkaConfig
from service.events.kafka.reader import KafkaReader
from service.events.kafka.sink import KafkaSink
from service.events.log import Position, Received, Record, Topic
from tests.contract.event_log_harness import LIMITS, ShipperThread, read
from tests.real_parts.kafka_broker import KafkaBroker, wait_until
from tests.real_parts.shipper_process import start_shipper

KEYS = 20
PARTITIONS = 3
COUNT = 2000
TOPICS = [Topic.EXCHANGES]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker that is not started yet."""
    broker = KafkaBroker(tmp_path / "broker")
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal" / "gateway-0", limits=LIMITS)
    yield journal
    journal.close()


@pytest.fixture
def config(broker: KafkaBroker) -> KafkaConfig:
    return KafkaConfig((broker.address,), partitions=PARTITIONS, attempt_timeout_s=3.0)


def record(number: int, content: bytes = b'"text"') -> Record:
    key = f"account-{number % KEYS}".encode()
    return Record(Topic.EXCHANGES, key, "opened", f"exchange-{number}", b"{}", content)


def received(number: int, content: bytes = b'"text"') -> Received:
    """Make a record of the account 0 as the journal would hand it over."""
    return Received(record(number * KEYS, content), Position("gateway-0", 1, number))


def library_threads() -> int:
    """Count the threads of Kafka clients, which bear the client's id."""
    return sum("watchgate" in thread.name for thread in threading.enumerate())


def assert_all_in_order(found: Sequence[Received], count: int) -> None:
    """All came, and the first occurrences of each key are in the order of writing."""
    assert {one.record.id for one in found} == {record(number).id for number in range(count)}
    for key in range(KEYS):
        assert [one.record.id for one in found if one.record.key == b"account-%d" % key] == [
            record(number).id for number in range(key, count, KEYS)
        ]


@contextmanager
def shipping(root: Path, config: KafkaConfig) -> Iterator[ShipperThread]:
    shipper = ShipperThread(root, config)
    try:
        yield shipper
    finally:
        shipper.stop()


@contextmanager
def writing(journal: Journal, count: int, group: int = 10) -> Iterator[threading.Thread]:
    """Append in the background, a group after the other, each synced before the next."""

    def write() -> None:
        for start in range(0, count, group):
            journal.append_all([record(number) for number in range(start, start + group)])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(60)
        assert not thread.is_alive(), "the writer did not end within 60 s"


def test_a_broker_that_stops_and_comes_back_during_traffic_loses_nothing(
    broker: KafkaBroker, journal: Journal, config: KafkaConfig, tmp_path: Path
) -> None:
    broker.start()
    reader = KafkaReader(config, "workers", TOPICS)
    found: list[Received] = []
    with (
        shipping(tmp_path / "journal", config) as shipper,
        writing(journal, COUNT, group=5) as writer,
    ):
        for _ in range(3):
            found += read(reader, 100)
            broker.stop()
            wait_until(lambda: not reader.connected, 20, "the reader knows that Kafka is away")
            found += reader.poll(0.2)
            broker.start()
        writer.join(60)
        firsts = {one.record.id: one for one in found}
        while len(firsts) < COUNT:
            for one in read(reader, 1):
                firsts.setdefault(one.record.id, one)
        wait_until(lambda: shipper.shipper.connected, 20, "the shipper knows that Kafka is back")

    assert_all_in_order(list(firsts.values()), COUNT)
    reader.close()


def test_connections_that_break_at_random_moments_lose_nothing(
    broker: KafkaBroker, journal: Journal, config: KafkaConfig, tmp_path: Path
) -> None:
    broker.start()
    reader = KafkaReader(config, "workers", TOPICS, max_records=50)
    cuts = sorted(random.Random(3).sample(range(COUNT - 100), 12))  # noqa: S311 - a test
    firsts: dict[str, Received] = {}
    with shipping(tmp_path / "journal", config), writing(journal, COUNT, group=5):
        while len(firsts) < COUNT:
            for one in read(reader, 1):
                firsts.setdefault(one.record.id, one)
            while cuts and len(firsts) >= cuts[0]:
                cuts.pop(0)
                broker.cut()

    assert_all_in_order(list(firsts.values()), COUNT)
    reader.close()


def test_a_broker_that_is_away_at_the_start_is_waited_for(
    broker: KafkaBroker, journal: Journal, config: KafkaConfig, tmp_path: Path
) -> None:
    reader = KafkaReader(config, "workers", TOPICS)
    with shipping(tmp_path / "journal", config) as shipper:
        journal.append_all([record(number) for number in range(100)])
        for _ in range(3):
            assert list(reader.poll(0.5)) == []
        assert not reader.connected
        assert not shipper.shipper.connected
        # One for an attempt of the shipper that may be under way; none is left by earlier ones.
        assert library_threads() <= 1

        broker.start()

        assert_all_in_order(read(reader, 100), 100)
        assert reader.connected
    reader.close()


def test_a_shipper_killed_at_random_moments_loses_nothing(
    broker: KafkaBroker, journal: Journal, config: KafkaConfig, tmp_path: Path
) -> None:
    root = tmp_path / "journal"
    broker.start()
    reader = KafkaReader(config, "workers", TOPICS, max_records=50)
    kills = sorted(random.Random(2).sample(range(50, COUNT - 200), 6))  # noqa: S311 - a test
    firsts: dict[str, Received] = {}
    with writing(journal, COUNT, group=20):
        process = start_shipper(root, broker.address, PARTITIONS)
        try:
            while len(firsts) < COUNT:
                for one in read(reader, 1):
                    firsts.setdefault(one.record.id, one)
                if kills and len(firsts) >= kills[0]:
                    kills.pop(0)
                    process.kill()
                    process.wait(10)
                    process = start_shipper(root, broker.address, PARTITIONS)
        finally:
            process.kill()
            process.wait(10)

    assert_all_in_order(list(firsts.values()), COUNT)
    reader.close()


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([10, 300_000, 10], id="in one batch with them"),
        pytest.param([10, 950_000, 90_000], id="in a batch before theirs"),
    ],
)
def test_a_record_that_the_broker_refuses_is_never_passed_by_a_later_one(
    broker: KafkaBroker, config: KafkaConfig, sizes: list[int]
) -> None:
    broker.start()
    limit_message_bytes(config, 100_000)
    sink = KafkaSink(config)
    batch = [received(n, b'"%s"' % (b"x" * size)) for n, size in enumerate(sizes)]

    for _ in range(2):
        with pytest.raises(ShipFailed) as caught:
            sink.ship(batch)
        assert caught.value.reason == "MessageSizeTooLargeError"

    reader = KafkaReader(config, "workers", TOPICS)
    sink.ship([received(99)])  # only to see that nothing comes before it but what may
    before = [one.record.id for one in read(reader, 1)]
    assert set(before) <= {record(0).id, received(99).record.id}
    reader.close()
    sink.close()


def test_a_topic_that_takes_less_at_once_than_we_send_still_gets_everything(
    broker: KafkaBroker, config: KafkaConfig
) -> None:
    broker.start()
    limit_message_bytes(config, 100_000)
    sink = KafkaSink(config)
    batch = [received(number, b'"%s"' % (b"x" * 30_000)) for number in range(25)]

    sink.ship(batch)

    reader = KafkaReader(config, "workers", TOPICS)
    assert [one.record for one in read(reader, 25)] == [one.record for one in batch]
    reader.close()
    sink.close()


def test_an_outage_leaves_no_threads_behind(broker: KafkaBroker, config: KafkaConfig) -> None:
    broker.start()
    sink = KafkaSink(config)
    sink.ship([received(0)])
    broker.stop()

    for _ in range(3):
        with pytest.raises(ShipFailed):
            sink.ship([received(1)])

    wait_until(lambda: not library_threads(), 20, "abandoned producers end")
    broker.start()
    sink.ship([received(1)])
    sink.close()


def test_an_acknowledgement_made_while_kafka_is_away_is_kept_until_it_is_back(
    broker: KafkaBroker, config: KafkaConfig
) -> None:
    broker.start()
    sink = KafkaSink(config)
    sink.ship([received(number) for number in range(10)])
    first = KafkaReader(config, "workers", TOPICS)
    found = read(first, 10)
    broker.isolate()
    wait_until(lambda: not first.connected, 20, "the reader knows that Kafka is away")

    first.commit([found[-1].position])

    broker.reconnect()
    wait_until(lambda: not first.poll(0.1) and first.connected, 20, "the reader is back")
    first.poll(0.1)
    first.close()
    second = KafkaReader(config, "workers", TOPICS)
    sink.ship([received(10)])
    assert [one.record.id for one in read(second, 1)] == [received(10).record.id]
    second.close()
    sink.close()


@pytest.mark.parametrize("pause_s", [0.0, 1.0], ids=["quick workers", "slow workers"])
def test_readers_of_a_group_share_the_partitions_and_commit_their_own_only(
    broker: KafkaBroker, config: KafkaConfig, pause_s: float
) -> None:
    broker.start()
    sink = KafkaSink(config)
    sink.ship([Received(record(n), Position("gateway-0", 1, n)) for n in range(60)])
    first = KafkaReader(config, "workers", TOPICS)
    before = read(first, 60)
    second = KafkaReader(config, "workers", TOPICS)
    with polling(first, pause_s), polling(second, pause_s) as found_by_second:
        wait_until(lambda: found_by_second, 120, "the second reader gets partitions")
    theirs = {one.position.part for one in found_by_second}

    first.commit([one.position for one in before])
    first.close()
    second.close()

    third = KafkaReader(config, "workers", TOPICS)
    left = [one for one in before if one.position.part in theirs]
    assert {one.record.id for one in read(third, len(left))} == {one.record.id for one in left}
    third.close()
    sink.close()


@contextmanager
def polling(reader: KafkaReader, pause_s: float) -> Iterator[list[Received]]:
    """Poll in the background as a worker that waits for a moment and then is busy for longer."""
    found: list[Received] = []
    stop = threading.Event()

    def poll() -> None:
        while not stop.wait(pause_s):
            found.extend(reader.poll(0.1))

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join(30)


def test_a_message_that_is_no_record_is_handed_over_as_undecodable(
    broker: KafkaBroker, config: KafkaConfig
) -> None:
    broker.start()
    sink = KafkaSink(config)
    sink.ship([received(0)])
    producer = KafkaProducer(bootstrap_servers=broker.address)
    producer.send(config.topics[Topic.EXCHANGES], b"\x00 not ours", b"account-0").get(10)
    producer.close()
    sink.ship([received(1)])
    reader = KafkaReader(config, "workers", TOPICS)

    found = [one.record for one in read(reader, 3)]

    assert [one.kind for one in found] == ["opened", "undecodable", "opened"]
    assert found[1].body == b"\x00 not ours"
    reader.close()
    sink.close()


def test_topics_that_are_there_are_left_as_they_are(
    broker: KafkaBroker, config: KafkaConfig
) -> None:
    broker.start()
    limit_message_bytes(config, 200_000)
    sink = KafkaSink(config)

    sink.ship([received(0)])

    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    assert set(config.topics.values()) <= set(admin.list_topics())
    described = admin.describe_topics([config.topics[Topic.EXCHANGES]])
    assert len(described[0]["partitions"]) == 1
    admin.close()
    sink.close()


def limit_message_bytes(config: KafkaConfig, max_bytes: int) -> None:
    """Make the topic of exchanges, by hand, with one partition and a limit of its own."""
    admin = KafkaAdminClient(bootstrap_servers=list(config.bootstrap_servers))
    settings = {
        "num_partitions": 1,
        "replication_factor": 1,
        "configs": {"max.message.bytes": str(max_bytes)},
    }
    admin.create_topics({config.topics[Topic.EXCHANGES]: settings})
    admin.close()
