"""A guard that takes its time: a request has a deadline as a whole, however bytes come."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from detectors.api import Category, Part, Sample
from detectors.judge import Judge, JudgeConfig
from detectors.judge.errors import Busy, TimedOut, Unreachable
from tests.real_parts.certificates import self_signed
from tests.real_parts.guard import DEADLINE_S, Answer, Guard, said

SAFE = said("Safety: Safe\nCategories: None")
TEXT = [Sample("a text", Part.PROMPT)]
DRIP_S = 0.02


class Trickling:
    """A server that answers one request byte by byte until whoever asked hangs up."""

    def __init__(self, start: bytes, tls: ssl.SSLContext | None) -> None:
        self._start = start
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(DEADLINE_S)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.was_left = False

    def serve(self) -> None:
        plain, _ = self._listener.accept()
        with self._tls.wrap_socket(plain, server_side=True) if self._tls else plain as connection:
            connection.recv(65536)
            try:
                connection.sendall(self._start)
                for _ in range(int(DEADLINE_S / DRIP_S)):
                    connection.sendall(b"a")
                    threading.Event().wait(DRIP_S)
            except OSError:
                self.was_left = True

    def close(self) -> None:
        self._listener.close()


@contextlib.contextmanager
def trickling(start: bytes, tls: ssl.SSLContext | None = None) -> Iterator[Trickling]:
    with contextlib.closing(Trickling(start, tls)) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        yield server
        thread.join()


def config_of(url: str, timeout_s: float, ca_file: str = "") -> JudgeConfig:
    return JudgeConfig(
        name="judge",
        url=url,
        model="guard",
        family="qwen3guard",
        timeout_s=timeout_s,
        retries=1,
        ca_file=ca_file,
    )


def judge_at(url: str, timeout_s: float) -> Judge:
    return Judge(config_of(url, timeout_s))


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nx-name: ",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffff\r\n",
    ],
)
def test_a_guard_that_trickles_any_part_of_its_answer_is_given_up(start: bytes) -> None:
    with trickling(start) as server:
        judge = judge_at(server.url, timeout_s=0.5)
        with pytest.raises(TimedOut, match="no whole answer within"):
            judge.score(TEXT)
        judge.close()
    assert server.was_left, "the connection is closed at the deadline, not at the end"
    assert judge.usage.totals().errors == {"timeout": 1}


def test_over_tls_there_is_the_same_deadline(tmp_path: Path) -> None:
    made = self_signed(tmp_path, "IP:127.0.0.1")
    context, ca_file = made.server_context(), str(made.certificate)
    with Guard(lambda _: SAFE, context) as guard:
        judge = Judge(config_of(guard.url, DEADLINE_S, ca_file))
        [scores] = judge.score(TEXT)
        assert scores[Category.ANY] == 0.05
        judge.close()
    with trickling(b"HTTP/1.1 200 OK\r\nx-name: ", context) as server:
        judge = Judge(config_of(server.url, 1.0, ca_file))
        with pytest.raises(TimedOut):
            judge.score(TEXT)
        judge.close()
    assert server.was_left


def test_a_certificate_of_nobody_is_not_taken(tmp_path: Path) -> None:
    made = self_signed(tmp_path, "IP:127.0.0.1")
    with Guard(lambda _: SAFE, made.server_context()) as guard:
        judge = judge_at(guard.url, DEADLINE_S)
        with pytest.raises(Unreachable):
            judge.score(TEXT)
        judge.close()
        assert guard.asked == []


def test_each_request_on_a_kept_connection_has_a_deadline_of_its_own() -> None:
    now = 0.0
    with Guard(lambda _: SAFE) as guard:
        judge = Judge(config_of(guard.url, timeout_s=5.0), clock=lambda: now)
        for number in range(4):
            now = number * 4.0
            [scores] = judge.score([Sample(f"text {number}", Part.PROMPT)])
            assert scores[Category.ANY] == 0.05
        judge.close()


def test_a_date_says_when_to_ask_again() -> None:
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    answers = [Answer(b"{}", 429, {"retry-after": past}), SAFE]
    with Guard(lambda _: answers.pop(0)) as guard:
        judge = judge_at(guard.url, timeout_s=DEADLINE_S)
        [scores] = judge.score(TEXT)
        judge.close()
    assert (scores[Category.ANY], len(guard.asked)) == (0.05, 2)


@pytest.mark.parametrize("status", [429, 503])
def test_a_date_that_is_later_than_the_deadline_is_not_waited_for(status: int) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    with Guard(lambda _: Answer(b"{}", status, {"Retry-After": later})) as guard:
        judge = judge_at(guard.url, timeout_s=DEADLINE_S)
        with pytest.raises(Busy):
            judge.score(TEXT)
        judge.close()
    assert len(guard.asked) == 1
