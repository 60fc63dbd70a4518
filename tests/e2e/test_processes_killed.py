"""Processes die without warning while requests come: nothing that was said is lost."""

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from service.events.log import Topic
from service.events.schema import AnyEvent, Closed
from tests.e2e.evidence import (
    CATCH_UP_S,
    KafkaContents,
    assert_counted_alike,
    assert_each_alerted_once,
    assert_shipped_whole_and_in_order,
    events_of,
    kafka_log,
    screened,
)
from tests.e2e.traffic import traffic
from tests.real_parts.kafka_broker import KafkaBroker, wait_until
from tests.real_parts.watchgate import START_S, Watchgate

PROJECTS = [f"project-{number}" for number in range(5)]
OK = 200
ANSWERS_OF_A_NEW_GATEWAY = {(OK, None), (503, "safeguard_inactive")}
"""It serves nobody before it knows how late the screening is."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    with KafkaBroker(tmp_path / "broker") as broker:
        yield broker


def kill_and_await(watchgate: Watchgate, role: str) -> None:
    """Kill a process, and return once another stands in its place."""
    killed = watchgate.pid(role)
    watchgate.kill(role)

    def is_back() -> bool:
        with suppress(ProcessLookupError):
            return watchgate.pid(role) != killed
        return False

    wait_until(is_back, START_S, f"there is a {role} again")


def test_a_gateway_killed_under_traffic_has_recorded_all_that_it_answered(
    mock_vllm: str, tmp_path: Path
) -> None:
    watchgate = Watchgate(tmp_path / "watchgate", mock_vllm)
    keys = {project: watchgate.create_key(project) for project in PROJECTS}
    chance = random.Random(13)  # noqa: S311  (a test)
    with watchgate:
        with traffic(watchgate.port, keys, per_second=20) as seen:
            for _ in range(3):
                seen.wait_for(chance.randrange(100, 200))
                kill_and_await(watchgate, "gateway")
            seen.wait_for(100)
        assert seen.broken
        assert {(answer.status, answer.code) for answer in seen.all} <= ANSWERS_OF_A_NEW_GATEWAY
        events = events_of(watchgate.topic(Topic.EXCHANGES))
        for answer in seen.all:
            if answer.status == OK:
                assert outcomes(events[answer.receipt]) == ["opened", "completed"]
        for exchange in events.values():
            assert outcomes(exchange) in (
                ["opened", "completed"],
                ["opened", "interrupted"],
                ["opened", "client_gone"],
            )
        wait_until(
            lambda: events.keys() <= screened(watchgate.topic(Topic.VERDICTS)),
            CATCH_UP_S,
            "all are screened",
        )
        assert watchgate.metrics().total("coverage_gap_exchanges") == 0


def outcomes(events: Sequence[AnyEvent]) -> list[str]:
    """Spell an exchange: how it began and how it ended."""
    return [e.outcome if isinstance(e, Closed) else "opened" for e in events]


def test_a_shipper_and_a_screener_killed_at_random_moments_lose_nothing_on_the_way_through_kafka(
    mock_vllm: str, tmp_path: Path, broker: KafkaBroker
) -> None:
    watchgate = Watchgate(tmp_path / "watchgate", mock_vllm, event_log=kafka_log(broker))
    keys = {project: watchgate.create_key(project) for project in PROJECTS}
    chance = random.Random(11)  # noqa: S311  (a test)
    with (
        watchgate,
        KafkaContents(watchgate) as kafka,
        traffic(watchgate.port, keys, per_second=8, misuse_every=5) as seen,
    ):
        for role in ("shipper", "screener", "shipper", "screener", "shipper"):
            seen.wait_for(chance.randrange(40, 120))
            kill_and_await(watchgate, role)
        seen.wait_for(100)
        seen.stop()
        seen.assert_all_served()
        receipts = {answer.receipt for answer in seen.all}
        wait_until(lambda: receipts <= screened(kafka.records()), CATCH_UP_S, "verdicts in Kafka")
        assert_shipped_whole_and_in_order(watchgate, kafka)
        assert_each_alerted_once(watchgate, seen.misused())
        assert watchgate.metrics().total("coverage_gap_exchanges") == 0


def test_a_broker_stopped_and_started_under_traffic_loses_nothing(
    mock_vllm: str, tmp_path: Path, broker: KafkaBroker
) -> None:
    watchgate = Watchgate(tmp_path / "watchgate", mock_vllm, event_log=kafka_log(broker))
    keys = {project: watchgate.create_key(project) for project in PROJECTS}
    with (
        watchgate,
        KafkaContents(watchgate) as kafka,
        traffic(watchgate.port, keys, per_second=8, misuse_every=5) as seen,
    ):
        for pause in (50, 150):
            seen.wait_for(100)
            broker.stop()
            seen.wait_for(pause)
            broker.start()
        seen.wait_for(100)
        seen.stop()
        seen.assert_all_served()
        receipts = {answer.receipt for answer in seen.all}
        wait_until(lambda: receipts <= screened(kafka.records()), CATCH_UP_S, "verdicts in Kafka")
        assert_shipped_whole_and_in_order(watchgate, kafka)
        assert_each_alerted_once(watchgate, seen.misused())
        assert_counted_alike(watchgate, len(receipts))
