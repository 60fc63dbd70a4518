"""Other ways to run it than one gateway under `watchgate up`."""

from pathlib import Path

from tests.e2e.evidence import (
    KafkaContents,
    assert_counted_alike,
    assert_each_alerted_once,
    assert_shipped_whole_and_in_order,
    kafka_log,
)
from tests.e2e.traffic import traffic
from tests.real_parts.kafka_broker import free_port, kafka_broker
from tests.real_parts.redis import redis_server
from tests.real_parts.watchgate import Watchgate

PROJECTS = [f"project-{number}" for number in range(8)]
REQUESTS = 300


def test_two_gateways_on_one_port_record_and_count_together(mock_vllm: str, tmp_path: Path) -> None:
    gateway = {"port": free_port(), "workers": 2, "drain_s": 5}
    with redis_server(tmp_path / "redis") as redis:
        limits = {"kind": "redis", "url": redis.url, "gateways": 2}
        watchgate = Watchgate(tmp_path / "watchgate", mock_vllm, gateway=gateway, limits=limits)
        keys = {project: watchgate.create_key(project) for project in PROJECTS}
        with watchgate:
            with traffic(gateway["port"], keys, per_second=10) as seen:
                seen.wait_for(REQUESTS)
            seen.assert_all_served()

            assert_counted_alike(watchgate, len(seen.all))
            assert_each_alerted_once(watchgate, seen.misused())
            journals = ("gateway-0", "gateway-1")
            assert all((watchgate.journals / log).exists() for log in journals)
            assert watchgate.stop() == [0]


def test_each_process_on_its_own_does_its_part_over_kafka(mock_vllm: str, tmp_path: Path) -> None:
    with kafka_broker(tmp_path / "broker") as broker:
        watchgate = Watchgate(tmp_path / "watchgate", mock_vllm, event_log=kafka_log(broker))
        keys = {project: watchgate.create_key(project) for project in PROJECTS}
        watchgate.start("screener", "enforcer", "shipper", "gateway")
        try:
            with traffic(watchgate.port, keys, per_second=10) as seen:
                seen.wait_for(REQUESTS)
            seen.assert_all_served()

            assert_counted_alike(watchgate, len(seen.all))
            assert_each_alerted_once(watchgate, seen.misused())
            with KafkaContents(watchgate) as kafka:
                assert_shipped_whole_and_in_order(watchgate, kafka)
        finally:
            assert watchgate.stop() == [0] * 4
