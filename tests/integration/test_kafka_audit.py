"""Anchors that were shipped to Kafka vouch for the log, also where the journals forgot them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from service.cli import main
from service.core.audit import Action, Entry, Head
from service.errors import EventLogError
from service.events.audit import Anchor, to_record
from service.events.kafka.config import KafkaConfig
from service.events.kafka.sink import KafkaSink
from service.events.kafka.whole import read_whole
from service.events.log import Position, Received, Record, Topic
from service.store import open_store
from service.store.audit import AuditLog, head_of
from service.store.audit_key import load_audit_key
from tests.real_parts.kafka_broker import KafkaBroker

WITHIN_S = 30.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    broker = KafkaBroker(tmp_path / "broker")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def ship(config: KafkaConfig, *records: Record) -> None:
    sink = KafkaSink(config)
    sink.ship([Received(it, Position("test-0", 1, n)) for n, it in enumerate(records, 1)])
    sink.close()


def config_of(broker: KafkaBroker) -> KafkaConfig:
    return KafkaConfig((broker.address,), partitions=3, connect_timeout_s=5)


def test_a_whole_topic_is_read_from_its_beginning_every_time(broker: KafkaBroker) -> None:
    config = config_of(broker)
    anchors = [to_record(Anchor(at=1.0, seq=n, mac="00" * 32)) for n in range(1, 300)]
    large = Record(Topic.AUDIT, b"acme", "denied", "large", b'"%s"' % (b"x" * 2_500_000))
    others = [Record(Topic.AUDIT, b"k%d" % n, "denied", f"d-{n}", b"{}") for n in range(50)]
    ship(config, *anchors, large, *others)
    for _ in range(2):
        found = [one.record for one in read_whole(config, Topic.AUDIT, WITHIN_S)]
        assert [it for it in found if it.kind == "anchor"] == anchors
        assert {it.id for it in found} == {it.id for it in (*anchors, large, *others)}
        assert large in found
    ship(config, to_record(Anchor(at=1.0, seq=300, mac="00" * 32)))
    assert len(list(read_whole(config, Topic.AUDIT, WITHIN_S))) == 351


def test_an_empty_topic_is_read_and_one_that_is_not_there_is_told(broker: KafkaBroker) -> None:
    config = config_of(broker)
    with pytest.raises(EventLogError, match="Kafka has no topic watchgate-audit"):
        list(read_whole(config, Topic.AUDIT, WITHIN_S))
    ship(config, Record(Topic.VERDICTS, b"a", "verdict", "v", b"{}"))
    assert list(read_whole(config, Topic.AUDIT, WITHIN_S)) == []


def test_a_broker_that_is_away_is_told(broker: KafkaBroker) -> None:
    config = config_of(broker)
    broker.isolate()
    with pytest.raises(EventLogError, match="cannot be read from Kafka"):
        list(read_whole(config, Topic.AUDIT, WITHIN_S))


def test_verify_takes_the_anchors_of_kafka(
    broker: KafkaBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "watchgate.yaml"
    log = {"kind": "kafka", "bootstrap_servers": [broker.address]}
    settings.write_text(
        yaml.safe_dump(
            {
                "data_dir": "var",
                "upstreams": [{"name": "local", "url": "http://127.0.0.1:9"}],
                "models": [{"name": "m", "upstream": "local", "tier": 1}],
                "event_log": log,
            }
        )
    )
    head = record(tmp_path / "var", 5)
    anchor = Anchor(at=1_764_229_343.0, seq=head.seq, mac=head.mac.hex())
    ship(KafkaConfig((broker.address,), topics=TOPICS), to_record(anchor))
    assert main(["audit", "verify", "--json", "--config", str(settings)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["anchors"] == {
        "checked": 1,
        "oldest_at": "2025-11-27T07:42:23Z",
        "up_to": 5,
        "unread": [],
    }
    broker.isolate()
    assert main(["audit", "verify", "--json", "--config", str(settings)]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert "cannot be read from Kafka" in shown["anchors"]["unread"][0]


TOPICS = {topic: f"watchgate.{topic}" for topic in Topic}


def record(data_dir: Path, count: int) -> Head:
    store = open_store(f"sqlite:///{data_dir}/watchgate.db")
    log = AuditLog(load_audit_key(data_dir, None))
    with store.begin() as connection:
        for number in range(count):
            log.record(connection, Entry(1e9, "cli:ann", Action.KEY_CREATE, f"key/{number}"))
        head = head_of(connection)
    store.close()
    return head
