"""Kafka is away for a minute under a hundred requests a second: nobody who calls notices."""

import time
from pathlib import Path

import pytest

from service.events.log import Topic
from tests.e2e.evidence import (
    KafkaContents,
    assert_counted_alike,
    assert_each_alerted_once,
    assert_shipped_whole_and_in_order,
    firsts,
    kafka_log,
    screened,
)
from tests.e2e.traffic import Answered, percentile_s, traffic
from tests.real_parts.kafka_broker import kafka_broker, wait_until
from tests.real_parts.watchgate import Watchgate

pytestmark = pytest.mark.timeout(420)

PROJECTS = [f"project-{number}" for number in range(10)]
PER_SECOND = 10
"""Of each project."""
BEFORE_S = 10
AWAY_S = 60
CATCH_UP_S = 180.0
SLOWER = 5.0
SLACK_S = 1.0


def test_kafka_away_for_a_minute_fails_no_request_and_delays_none(
    mock_vllm: str, tmp_path: Path
) -> None:
    with kafka_broker(tmp_path / "broker") as broker:
        watchgate = Watchgate(tmp_path / "watchgate", mock_vllm, event_log=kafka_log(broker))
        keys = {project: watchgate.create_key(project) for project in PROJECTS}
        with (
            watchgate,
            KafkaContents(watchgate) as kafka,
            traffic(watchgate.port, keys, per_second=PER_SECOND, misuse_every=50) as seen,
        ):
            seen.wait_for(BEFORE_S * PER_SECOND * len(PROJECTS))
            before = seen.all
            broker.stop()
            away_since = time.monotonic()
            while time.monotonic() < away_since + AWAY_S:
                seen.wait_for(PER_SECOND * len(PROJECTS))
            broker.start()
            seen.wait_for(BEFORE_S * PER_SECOND * len(PROJECTS))
            seen.stop()

            seen.assert_all_served()
            known = {answer.receipt for answer in before}
            assert_not_slower(before, [one for one in seen.all if one.receipt not in known])
            receipts = {answer.receipt for answer in seen.all}
            assert len(receipts) >= PER_SECOND * len(PROJECTS) * (BEFORE_S + AWAY_S) * 0.9
            wait_until(lambda: receipts <= screened(kafka.records()), CATCH_UP_S, "all is screened")
            assert_shipped_whole_and_in_order(watchgate, kafka)
            arrived = firsts(kafka.records(), Topic.EXCHANGES)
            for project in PROJECTS:  # each sends one request after another
                assert arrived[project.encode()] == [
                    (kind, receipt)
                    for receipt in seen.receipts(project)
                    for kind in ("opened", "closed")
                ]
            assert_each_alerted_once(watchgate, seen.misused())
            assert_counted_alike(watchgate, len(receipts))


def assert_not_slower(before: list[Answered], later: list[Answered]) -> None:
    """Requests were not held up: far from the seconds that waiting for Kafka would take."""
    for percent in (50, 99):
        allowed_s = SLOWER * percentile_s(before, percent) + SLACK_S
        assert percentile_s(later, percent) < allowed_s
