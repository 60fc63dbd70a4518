"""A guard that takes its time: a request has a deadline as a whole, however bytes come."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from detectors.api import Category, Part, Sample
from detectors.judge import Judge, JudgeConfig
from detectors.judge.errors import Busy, TimedOut, Unreachable
from tests.real_parts.certificates import self_signed
from tests.real_parts.guard import DEADLINE_S, Answer, Guard, said

SAFE = said("Safety: Safe\nCategories: None")
TEXT = [Sample("a text", Part.PROMPT)]
DRIP_S = 0.02
SIP_BYTES = 64 << 10
LONG_CHARS = 16 << 20
"""More than the buffers between two sockets hold."""
SILENT = "127.0.0.2"


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


class Sipping:
    """A server that takes a request in small sips until whoever sends it hangs up."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._listener.settimeout(DEADLINE_S)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.taken_bytes = 0

    def serve(self) -> None:
        plain, _ = self._listener.accept()
        connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
        with connection, contextlib.suppress(OSError):
            while sip := connection.recv(SIP_BYTES):
                self.taken_bytes += len(sip)
                threading.Event().wait(DRIP_S)

    def close(self) -> None:
        self._listener.close()


@contextlib.contextmanager
def sipping(tls: ssl.SSLContext | None = None) -> Iterator[Sipping]:
    with contextlib.closing(Sipping(tls)) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        yield server
        thread.join()


@pytest.mark.parametrize("is_tls", [False, True])
def test_a_guard_that_takes_the_request_in_sips_is_given_up(tmp_path: Path, is_tls: bool) -> None:
    made = self_signed(tmp_path, "IP:127.0.0.1")
    with sipping(made.server_context() if is_tls else None) as server:
        config = config_of(server.url, 0.7, str(made.certificate) if is_tls else "")
        judge = Judge(replace(config, max_chars=LONG_CHARS, retries=0))
        with pytest.raises(TimedOut, match="no whole answer within"):
            judge.score([Sample("a" * LONG_CHARS, Part.PROMPT)])
        judge.close()
    assert 0 < server.taken_bytes < LONG_CHARS, "the connection is closed before all is taken"


def test_a_resolver_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, asked = threading.Event(), []

    def hang(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        answers.wait(DEADLINE_S)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    judge = Judge(replace(config_of("http://guard.internal:8000", 0.3), pause_s=0.0))
    for _ in range(2):
        with pytest.raises(Unreachable, match="ConnectTimeout"):
            judge.score(TEXT)
    assert asked == ["guard.internal"], "the second waits for what the first asked"
    answers.set()
    judge.close()


@contextlib.contextmanager
def silent_at(port: int) -> Iterator[None]:
    """Listen with a queue that is full: who connects hears nothing."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((SILENT, port))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((SILENT, port))
        yield


def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, kind = socket.getaddrinfo, (socket.AF_INET, socket.SOCK_STREAM, 6, "")

    def two(host: str, port: int, family: int = 0, type: int = 0) -> list[Any]:  # noqa: A002
        if host == "guard.internal":
            return [(*kind, (address, port)) for address in (SILENT, "127.0.0.1")]
        return real(host, port, family, type)

    with Guard(lambda _: SAFE) as guard, silent_at(port := int(guard.url.rpartition(":")[2])):
        monkeypatch.setattr(socket, "getaddrinfo", two)
        judge = Judge(replace(config_of(f"http://guard.internal:{port}", 2.0), retries=0))
        [scores] = judge.score(TEXT)
        judge.close()
    assert scores[Category.ANY] == 0.05


def test_a_name_that_is_none_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", none)
    judge = Judge(replace(config_of("http://guard.internal:8000", DEADLINE_S), retries=0))
    with pytest.raises(Unreachable, match="ConnectError"):
        judge.score(TEXT)
    judge.close()
