"""The chart's pods, as processes with volumes of their own that only Kafka and PostgreSQL connect.

No cluster runs here; the settings, environments, commands and the order of a stop are the chart's.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from load_tests.systems import mock
from service.events.journal import leftovers
from tests.real_parts.helm import given, rendered, with_value
from tests.real_parts.kafka_broker import kafka_broker, wait_until
from tests.real_parts.pods import Pod
from tests.real_parts.postgres import PostgresServer, database

REQUESTS = 5
WITHIN_S = 60.0
COMPONENTS = ("gateway", "screener", "enforcer", "console")
JOURNALLED = ("gateway", "screener", "enforcer")


@contextmanager
def release(
    folder: Path, store_url: str, upstream_port: int, broker: str
) -> Iterator[Mapping[str, Pod]]:
    values = given("minimal")
    for path, value in {
        "settings.upstreams": [{"name": "local", "url": f"http://127.0.0.1:{upstream_port}"}],
        "settings.models": [
            {"name": "m", "upstream": "local", "upstream_model": "mock-0-5", "tier": 1}
        ],
        "settings.event_log.bootstrap_servers": [broker],
        "settings.event_log.partitions": 3,
    }.items():
        values = with_value(values, path.split("."), value)
    secrets = {
        "WATCHGATE_STORE_URL": store_url,
        "WATCHGATE_PEPPER": "0123456789abcdef0123456789abcdef",
        "WATCHGATE_AUDIT_KEY": "fedcba9876543210fedcba9876543210",
    }
    objects = rendered(values)
    Pod(objects, "migrate", folder, secrets).run("store", "migrate")
    found = {name: Pod(objects, name, folder, secrets) for name in COMPONENTS}
    try:
        for name in JOURNALLED:
            found[name].start()
        for name in JOURNALLED:
            found[name].wait_ready()
        yield found
    finally:
        for pod in found.values():
            pod.kill()


def ask(gateway: Pod, key: str) -> int:
    """Ask the gateway's model; return the status."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {key}"}
    url = f"http://127.0.0.1:{gateway.port}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=30).status_code


def test_pods_work_together_and_leave_nothing_behind(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    with (
        mock(tmp_path, None) as (upstream_port, _),
        kafka_broker(tmp_path / "broker") as broker,
        database(postgres, "template0") as store_url,
        release(tmp_path, store_url, upstream_port, broker.address) as running,
    ):
        gateway, enforcer = running["gateway"], running["enforcer"]
        made = running["console"].run("keys", "create", "--project", "demo", "--json")
        key = json.loads(made)["key"]
        wait_until(lambda: ask(gateway, key) == 200, WITHIN_S, "the key is known")
        assert [ask(gateway, key) for _ in range(REQUESTS - 1)] == [200] * (REQUESTS - 1)
        covered = "watchgate_exchanges_screened_total"
        wait_until(
            lambda: enforcer.metric("enforcer", covered) == REQUESTS, WITHIN_S, "all are covered"
        )
        for name in ("gateway", "screener"):  # what others read from goes first
            pod = running[name]
            assert pod.delete() == [0, 0, 0], pod.words()
            assert leftovers(pod.folder / "data" / "journal", ["shipper"]) == []
