"""The sender against a small server that answers as told; tests/integration has the real one."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.core.alerts import Delivery, Occurrence, labels_of, timestamp
from service.errors import ConfigError
from service.store import Store
from service.store.alerts import list_deliveries, raise_alerts
from service.workers.alertmanager import Alertmanager
from service.workers.alerts import POLL_S, AlertSender, Pace
from tests.real_parts.kafka_broker import wait_until
from tests.real_parts.store import new_store

NOW = 1_000_000.0
PACE = Pace(resend_s=30.0, hold_s=900.0)
LABELS = labels_of("m", "lexical", "any", "prompt", "lexical/any/prompt/page", enforced="observed")


class Receiver:
    """Keeps the posts and answers with a status of the test's choice."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, str | None, list[dict[str, Any]]]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                receiver.posts.append((self.path, self.headers["authorization"], body))
                self.send_response(receiver.status)
                self.send_header("location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    thread = threading.Thread(target=one.server.serve_forever, args=(0.02,))
    thread.start()
    yield one
    one.server.shutdown()
    one.server.server_close()
    thread.join()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = new_store(tmp_path / "watchgate.db")
    with opened.begin() as connection:
        raise_alerts(connection, [Occurrence(LABELS, "ex-1", NOW, 0.99, 0.97)], NOW)
    yield opened
    opened.close()


def step(store: Store, url: str, now: float) -> float:
    """Take one step as a new sender, which knows only what the store does."""
    with AlertSender(store, [url], PACE) as sender:
        return sender.step(now)


def delivery(store: Store) -> Delivery:
    with store.read() as connection:
        (only,) = list_deliveries(connection)[1]
    return only


def test_an_alert_that_fires_is_sent_again_every_interval(store: Store, receiver: Receiver) -> None:
    for now in (NOW, NOW + 29, NOW + 30, NOW + 59, NOW + 60):
        step(store, receiver.url, now)
    assert len(receiver.posts) == 3
    path, _, alerts = receiver.posts[0]
    assert path == "/api/v2/alerts"
    assert [alert["labels"] for alert in alerts] == [LABELS]


def test_a_clock_that_is_set_back_does_not_silence_the_sender(
    store: Store, receiver: Receiver
) -> None:
    step(store, receiver.url, NOW + 86400)
    step(store, receiver.url, NOW)
    step(store, receiver.url, NOW + 29)
    assert len(receiver.posts) == 2


def test_the_end_is_sent_until_it_is_acknowledged_and_then_nothing_is(
    store: Store, receiver: Receiver
) -> None:
    end = NOW + PACE.hold_s
    step(store, receiver.url, NOW)
    step(store, receiver.url, end)
    receiver.status = 500
    step(store, receiver.url, end + 30)
    receiver.status = 200
    for now in (end + 60, end + 90, end + 120):
        step(store, receiver.url, now)
    ends = [post[2][0]["endsAt"] for post in receiver.posts[1:]]
    assert ends == [timestamp(end)] * (len(ends))
    assert delivery(store).resolved_acked_at is not None


@pytest.mark.parametrize("status", [302, 400, 401, 500, 503])
def test_only_a_200_is_an_acknowledgement(store: Store, receiver: Receiver, status: int) -> None:
    receiver.status = status
    step(store, receiver.url, NOW)
    assert len(receiver.posts) == 1
    assert delivery(store).firing_acked_at is None
    assert delivery(store).error == f"answered with status {status}"


def test_a_step_says_when_the_next_is_due(store: Store, receiver: Receiver) -> None:
    assert step(store, receiver.url, NOW) == POLL_S
    assert step(store, receiver.url, NOW + 29.5) == 0.5


def test_prefix_and_password_are_used_and_the_password_is_kept_nowhere(
    store: Store, receiver: Receiver
) -> None:
    step(store, f"http://ops:p%40ss@{receiver.address}/prefix/", NOW)
    path, authorization, _ = receiver.posts[0]
    assert path == "/prefix/api/v2/alerts"
    assert authorization == "Basic b3BzOnBAc3M="
    assert delivery(store).url == f"http://{receiver.address}/prefix"


def test_one_that_hangs_does_not_keep_another_from_hearing(
    store: Store, receiver: Receiver
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        sender = AlertSender(store, [url, receiver.url], PACE)
        thread = threading.Thread(target=sender.step, args=[NOW])
        thread.start()
        connection, _ = hanging.accept()
        wait_until(lambda: receiver.posts, 20, "the other one is told")
        assert thread.is_alive()
        connection.close()
        thread.join(20)
    sender.close()


def test_without_alertmanagers_alerts_wait_in_the_outbox_and_end(store: Store) -> None:
    with AlertSender(store, [], PACE) as sender:
        assert sender.step(NOW) == POLL_S
    with store.read() as connection:
        assert list_deliveries(connection) == {}


def test_an_address_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"^alerts.alertmanagers: http://x:port: "):
        Alertmanager("http://user:secret@x:port")


def test_a_name_that_does_not_resolve_is_a_failure_like_any_other() -> None:
    error = Alertmanager("http://nowhere.invalid:9093").post([])
    assert error
    assert Alertmanager("https://127.0.0.1:1").post([]) == "connection refused"


def test_the_sender_outlives_a_store_that_cannot_be_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = new_store(tmp_path / "watchgate.db")
    with broken.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alert_deliveries")
        connection.exec_driver_sql("DROP TABLE alerts")
    stop = threading.Event()
    thread = threading.Thread(target=AlertSender(broken, [], PACE).run, args=[stop])
    thread.start()
    told = "the outbox cannot be used: OperationalError"
    wait_until(lambda: told in caplog.messages, 20, "the sender says so")
    assert thread.is_alive()
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    broken.close()
