"""What the event log holds, set against what callers saw."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

from service.events.kafka.reader import KafkaReader
from service.events.log import Received, Topic
from service.events.schema import AnyEvent, Verdict, to_event
from service.settings import KafkaLog, load
from service.wiring.parts import kafka_config
from tests.real_parts.kafka_broker import KafkaBroker, wait_until
from tests.real_parts.watchgate import Watchgate

CATCH_UP_S: Final = 120.0
COUNTED: Final = ("served", "recorded", "screened")
Identity = tuple[str, str]
"""Kind and id of a record: its repetitions have the same."""


def kafka_log(broker: KafkaBroker) -> dict[str, Any]:
    """Return the settings of an event log on this broker."""
    return {"kind": "kafka", "bootstrap_servers": [broker.address], "partitions": 3}


class KafkaContents:
    """What the topics hold that tell of exchanges; reads on with every question."""

    def __init__(self, watchgate: Watchgate) -> None:
        log = load(watchgate.config).event_log
        assert isinstance(log, KafkaLog)
        topics = [it for it in Topic if it is not Topic.AUDIT]
        self._reader = KafkaReader(kafka_config(log), "test", topics)
        self._records: list[Received] = []

    def records(self) -> Sequence[Received]:
        """Return all records so far, in the order of each account."""
        while more := self._reader.poll(0.5):
            self._records += more
        return self._records

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._reader.close()


def events_of(records: Iterable[Received]) -> Mapping[str, list[AnyEvent]]:
    """Return the events of each exchange."""
    found: dict[str, list[AnyEvent]] = defaultdict(list)
    for received in records:
        event = to_event(received.record)
        found[event.exchange_id].append(event)
    return found


def screened(records: Iterable[Received]) -> set[str]:
    """Return the exchanges of which prompt and answer have their last verdict."""
    parts: dict[str, set[str]] = {part: set() for part in ("prompt", "answer")}
    for received in records:
        event = to_event(received.record) if is_verdict(received) else None
        if isinstance(event, Verdict) and event.completes:
            parts[event.part].add(event.exchange_id)
    return parts["prompt"] & parts["answer"]


def is_verdict(received: Received) -> bool:
    """Say whether a record is a verdict."""
    return received.record.topic is Topic.VERDICTS


def firsts(records: Iterable[Received], topic: Topic) -> Mapping[bytes, list[Identity]]:
    """Return the first occurrences of a topic's records for each account, in order."""
    found: dict[bytes, dict[Identity, None]] = defaultdict(dict)
    for received in records:
        record = received.record
        if record.topic is topic:
            found[record.key][record.kind, record.id] = None
    return {key: list(identities) for key, identities in found.items()}


def assert_shipped_whole_and_in_order(watchgate: Watchgate, kafka: KafkaContents) -> None:
    """Kafka holds what the journals hold: everything, first occurrences in order."""
    topics = (Topic.EXCHANGES, Topic.VERDICTS)

    def shipped() -> bool:
        return all(firsts(kafka.records(), it) == firsts(watchgate.topic(it), it) for it in topics)

    wait_until(shipped, CATCH_UP_S, "Kafka holds what the journals hold, in order")


def assert_counted_alike(watchgate: Watchgate, served: int) -> None:
    """So many exchanges were served, as many recorded and screened, and there is no gap."""

    gap = "coverage_gap_exchanges"
    wait_until(lambda: watchgate.metrics().has(gap), CATCH_UP_S, "the reconciler tells of gaps")

    def counts() -> list[float]:
        samples = watchgate.metrics()
        assert samples.has(gap)
        assert samples.total(gap) == 0
        return [
            samples.total(f"exchanges_{what}_total") for what in ("served", "recorded", "screened")
        ]

    wait_until(lambda: counts() == [served] * 3, CATCH_UP_S, f"{served} exchanges are screened")


def assert_each_alerted_once(watchgate: Watchgate, misused: int) -> None:
    """Each verdict that pages had its effect once: the alerts count them."""

    def counted() -> int:
        return sum(alert["count"] for alert in watchgate.alerts())

    wait_until(lambda: counted() >= misused, CATCH_UP_S, f"{misused} misuses are in the alerts")
    wait_until(lambda: _enforcer_lag(watchgate) == 0, CATCH_UP_S, "the enforcer has read all")
    assert counted() == misused


def _enforcer_lag(watchgate: Watchgate) -> float:
    return watchgate.metrics().total("consumer_lag_records", group="enforcer")
