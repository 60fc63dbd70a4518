"""Other ways to run it than one gateway under `watchgate up`."""

from pathlib import Path

import httpx

from tests.e2e.evidence import (
    KafkaContents,
    assert_counted_alike,
    assert_each_alerted_once,
    assert_shipped_whole_and_in_order,
    kafka_log,
)
from tests.e2e.traffic import traffic
from tests.real_parts.kafka_broker import free_port, kafka_broker, wait_until
from tests.real_parts.redis import redis_server
from tests.real_parts.watchgate import Watchgate

PROJECTS = [f"project-{number}" for number in range(8)]
REQUESTS = 300
NAMED = "x-ratelimit-limit-requests"


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


def test_two_gateways_let_in_no_more_than_the_limit_together(
    mock_vllm: str, tmp_path: Path
) -> None:
    gateway = {"port": free_port(), "workers": 2, "drain_s": 5}
    model = {"name": "mock-0-1", "upstream": "local", "tier": 1}
    with redis_server(tmp_path / "redis") as redis:
        limits = {"kind": "redis", "url": redis.url, "gateways": 2}
        watchgate = Watchgate(
            tmp_path / "watchgate", mock_vllm, gateway=gateway, limits=limits, models=[model]
        )
        key = watchgate.create_key("search")
        with watchgate:
            url = f"http://127.0.0.1:{gateway['port']}"
            assert NAMED not in asked(url, key).headers
            watchgate.command("limits", "set", "--project", "search", "--requests-per-min", "30")
            wait_until(lambda: NAMED in asked(url, key).headers, 10, "the limit is known")
            answers = [asked(url, key) for _ in range(90)]  # each on a connection of its own
            counted = [it for it in answers if NAMED in it.headers]
            let_in = [it for it in counted if it.status_code == 200]
            assert len(let_in) == 29  # the first was let in before
            assert {it.status_code for it in counted} == {200, 429}
            assert {it.headers[NAMED] for it in counted} == {"30"}
            refused = len(counted) - len(let_in)
            wait_until(lambda: limited(watchgate) == refused, 10, "refusals are counted")


def limited(watchgate: Watchgate) -> float:
    return watchgate.metrics().total("rate_limited_total", kind="requests")


def asked(url: str, key: str) -> httpx.Response:
    body = {"model": "mock-0-1", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{url}/v1/chat/completions", headers=headers, json=body, timeout=30)
