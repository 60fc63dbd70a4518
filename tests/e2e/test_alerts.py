"""A misuse comes out as an alert that a real Alertmanager shows, without saying whose it is."""

import json
from pathlib import Path

from tests.e2e.evidence import CATCH_UP_S, assert_counted_alike
from tests.e2e.traffic import request
from tests.real_parts.alertmanager import alertmanager
from tests.real_parts.kafka_broker import wait_until
from tests.real_parts.serving import RawClient
from tests.real_parts.watchgate import MISUSE, Watchgate

LABELS = {"alertname": "WatchgateMisuse", "model": "smollm2", "detector": "lexical"}
PROJECT = "secretive-project"


def test_a_misuse_raises_an_alert_that_alertmanager_shows_and_a_benign_request_does_not(
    mock_vllm: str, tmp_path: Path
) -> None:
    with alertmanager(tmp_path / "alertmanager") as (manager, pager):
        manager.start()
        alerts = {"alertmanagers": [manager.url], "resend_s": 2, "hold_s": 60}
        watchgate = Watchgate(tmp_path / "watchgate", mock_vllm, alerts=alerts)
        key = watchgate.create_key(PROJECT)
        with watchgate, RawClient(watchgate.port) as client:
            client.send(request(key, "What is the capital of France?"))
            assert client.answer()[0] == 200
            assert_counted_alike(watchgate, 1)
            assert watchgate.alerts() == []

            client.send(request(key, MISUSE))
            assert client.answer()[0] == 200
            wait_until(lambda: manager.shows(LABELS), CATCH_UP_S, "Alertmanager shows it")
            assert_counted_alike(watchgate, 2)

            wait_until(lambda: pager.heard("firing"), CATCH_UP_S, "the pager rings")
            told = json.dumps([manager.alerts(), pager.notifications]).lower()
            for secret in (PROJECT, key, key[:12], "previous instructions", "system prompt"):
                assert secret.lower() not in told
            listed = watchgate.alerts()
            assert [alert["count"] for alert in listed] == [1]
            assert listed[0]["deliveries"][0]["acknowledged"] == "firing"
            samples = watchgate.metrics()
            assert samples.total("enforcements_total", action="page") == 1
            assert samples.total("verdicts_total", action="page") == 1
            assert samples.total("alert_deliveries_total", outcome="ok") >= 1
