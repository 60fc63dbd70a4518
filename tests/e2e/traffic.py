"""Callers that send requests at a steady rate over plain sockets, each one after another."""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from tests.real_parts.kafka_broker import wait_until
from tests.real_parts.serving import RawClient
from tests.real_parts.watchgate import MISUSE

JOIN_S: Final = 30.0
RECONNECT_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that was answered, as its caller saw it."""

    project: str
    status: int
    code: str | None
    """Of the error object; None: it was no error."""
    receipt: str
    latency_s: float
    """Since the moment when the request was due: that it had to wait its turn counts."""
    misuse: bool


class Traffic:
    """What the callers saw so far. Each project's answers are in the order of its requests."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answered]] = {}
        self.broken: list[str] = []
        """Connections that were refused or broke; their callers made new ones."""
        self.stopping = threading.Event()
        self.callers: list[threading.Thread] = []

    def stop(self) -> None:
        """Send no more, and wait for the answers that are still due."""
        self.stopping.set()
        for caller in self.callers:
            caller.join(JOIN_S)
            assert not caller.is_alive(), "a caller still waits for its answer"

    @property
    def all(self) -> list[Answered]:
        """The answers of all projects."""
        return [answer for answers in list(self.answers.values()) for answer in list(answers)]

    def receipts(self, project: str) -> list[str]:
        """Return the exchange ids of a project, in order."""
        return [answer.receipt for answer in self.answers[project]]

    def misused(self) -> int:
        """Count the requests that should have raised an alert."""
        return sum(answer.misuse for answer in self.all)

    def wait_for(self, more: int, timeout_s: float = 120.0) -> None:
        """Return once so many more answers have come."""
        target = len(self.all) + more
        wait_until(lambda: len(self.all) >= target, timeout_s, f"{target} answers have come")

    def assert_all_served(self) -> None:
        """Every request was answered with 200."""
        assert not self.broken
        assert {(answer.status, answer.code) for answer in self.all} == {(200, None)}


@contextmanager
def traffic(
    port: int, keys: Mapping[str, str], *, per_second: float, misuse_every: int = 20
) -> Iterator[Traffic]:
    """Let each project send `per_second` requests a second until the block ends."""
    seen = Traffic()
    for project, key in keys.items():
        seen.answers[project] = []
        caller = Caller(port, project, key, 1 / per_second, misuse_every)
        seen.callers.append(threading.Thread(target=caller.run, args=[seen]))
    for thread in seen.callers:
        thread.start()
    try:
        yield seen
    finally:
        seen.stop()


def request(key: str, prompt: str, **fields: object) -> bytes:
    """Return the bytes of a chat request."""
    messages = [{"role": "user", "content": prompt}]
    body = json.dumps({"model": "smollm2", "messages": messages, **fields}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def percentile_s(answers: Sequence[Answered], percent: float) -> float:
    """Return the latency that so many percent of the answers did not exceed."""
    latencies = sorted(answer.latency_s for answer in answers)
    return latencies[min(len(latencies) - 1, int(len(latencies) * percent / 100))]


@dataclass(frozen=True, slots=True)
class Caller:
    """One project, on a connection of its own."""

    port: int
    project: str
    key: str
    pause_s: float
    misuse_every: int

    def run(self, seen: Traffic) -> None:
        """Send one request after another, each when it is due, until told to stop."""
        numbers, started = count(1), time.monotonic()
        while not seen.stopping.is_set():
            try:
                with RawClient(self.port) as client:
                    self._send_all(client, numbers, started, seen)
            except (OSError, AssertionError) as error:
                seen.broken.append(f"{self.project}: {type(error).__name__}: {error}")
                seen.stopping.wait(RECONNECT_S)

    def _send_all(
        self, client: RawClient, numbers: Iterator[int], started: float, seen: Traffic
    ) -> None:
        for number in numbers:
            due = started + number * self.pause_s
            if seen.stopping.wait(max(0.0, due - time.monotonic())):
                return
            seen.answers[self.project].append(self._send(client, number, due))

    def _send(self, client: RawClient, number: int, due: float) -> Answered:
        misuse = number % self.misuse_every == 0
        text = MISUSE if misuse else "What is the capital of France?"
        client.send(request(self.key, f"{text} ({self.project}, {number})"))
        status, headers, body = client.answer()
        receipt = headers[b"x-watchgate-receipt"].decode()
        latency_s = time.monotonic() - due
        return Answered(self.project, status, error_code(body), receipt, latency_s, misuse)


def error_code(body: bytes) -> str | None:
    """Return the code of an error object; None: the body is none."""
    answer: dict[str, Any] = json.loads(body)
    return answer["error"]["code"] if "error" in answer else None
