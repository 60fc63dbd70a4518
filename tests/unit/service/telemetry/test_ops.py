"""The ops port."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from service.errors import CannotListen
from service.telemetry.ops import (
    OpsAddress,
    Reason,
    listen_on,
    make_ops_app,
    metrics_of,
    ops_server,
    serve_in_thread,
)
from tests.real_parts.serving import until


@contextmanager
def ops_of(reasons: list[Reason]) -> Iterator[str]:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    app = make_ops_app(lambda: reasons, metrics_of(registry))
    server = ops_server(app, OpsAddress("127.0.0.1", 0))
    thread = serve_in_thread(server)
    until(lambda: server.started)
    yield f"http://127.0.0.1:{server.listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=20) as reply:  # noqa: S310  (our own address)
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_process_is_alive_ready_and_counted() -> None:
    reasons: list[Reason] = []
    with ops_of(reasons) as url:
        assert get(url + "/health") == (200, b'{"status":"alive"}')
        assert get(url + "/ready") == (200, b'{"ready":true,"reasons":[]}')
        assert b"things_total 3.0" in get(url + "/metrics")[1]
        reasons.append(Reason("journal", "the journal takes no new exchange"))
        status, body = get(url + "/ready")
        assert status == 503
        assert json.loads(body) == {
            "ready": False,
            "reasons": [
                {"code": "journal", "message": "the journal takes no new exchange", "model": None}
            ],
        }
        assert get(url + "/docs")[0] == 404


def test_an_address_that_is_taken_is_an_error_at_once_that_names_the_setting(
    tmp_path: Path,
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(CannotListen, match=r"^ops\.port: cannot listen on 127\.0\.0\.1:"),
    ):
        listen_on(taken.getsockname(), "ops")
    with listen_on(str(tmp_path / "ops.sock"), "ops") as listener:
        assert listener.family is socket.AF_UNIX
