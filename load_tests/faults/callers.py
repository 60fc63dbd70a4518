"""A light steady load: some tens of callers, each asking again when its answer has ended."""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import count
from random import Random
from typing import Any, Final

from load_tests.faults.account import Account, End, Told
from tests.real_parts.streams import events_in
from tests.real_parts.watchgate import MISUSE

LONGEST_PAUSE_S: Final = 1.0
PATIENCE_S: Final = 45.0
"""A caller takes a silent connection for broken after so long."""
JSON_EVERY: Final = 3
MISUSE_EVERY: Final = 5
ASKS: Final = "What is the capital of France?"


@dataclass(frozen=True, slots=True)
class Caller:
    """One who calls, on a connection of its own while that lasts."""

    name: str
    port: int
    key: str
    model: str

    def call(self, account: Account, stopping: threading.Event) -> None:
        """Ask, again and again, until told to stop."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        chance = Random(self.name)  # noqa: S311  (so that callers do not ask in step)
        stopping.wait(chance.uniform(0, LONGEST_PAUSE_S))
        for number in count():
            told = self._ask(connection, number)
            account.tell(told)
            if told.end is not End.COMPLETED:
                connection.close()
            if stopping.wait(chance.uniform(0, LONGEST_PAUSE_S)):
                break
        connection.close()

    def _ask(self, connection: HTTPConnection, number: int) -> Told:
        misuse = number % MISUSE_EVERY == MISUSE_EVERY - 1
        begun, answer = time.monotonic(), Answer()
        try:
            self._send(connection, number, MISUSE if misuse else ASKS)
            answer.take(connection.getresponse())
        except ConnectionRefusedError as error:
            answer.refused = True
            answer.why = type(error).__name__
        except (OSError, HTTPException) as error:
            answer.why = type(error).__name__
        return Told(
            answer.receipt,
            self.model,
            misuse,
            answer.end,
            answer.status,
            answer.code,
            len(answer.body),
            answer.texts,
            begun,
            time.monotonic(),
        )

    def _send(self, connection: HTTPConnection, number: int, asks: str) -> None:
        body = {
            "model": self.model,
            "user": self.name,
            "stream": number % JSON_EVERY != 0,
            "messages": [{"role": "user", "content": f"{asks} ({self.name}, {number})"}],
        }
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)


class Answer:
    """What came of an answer until it ended, or until the connection did."""

    def __init__(self) -> None:
        self.status = 0
        self.receipt = ""
        self.body = b""
        self.why = ""
        self.refused = False
        self._is_stream = False

    def take(self, response: HTTPResponse) -> None:
        """Read to the end; what was read before a connection breaks is kept."""
        self.status = response.status
        self.receipt = response.headers.get("x-watchgate-receipt", "")
        self._is_stream = response.headers.get_content_type() == "text/event-stream"
        while piece := response.read1():
            self.body += piece
        self.body += response.read()  # nothing more, but it frees the connection for the next

    @property
    def end(self) -> End:
        """How it ended."""
        if self.refused:
            return End.REFUSED
        if self.status == 0 or self.why:
            return End.BROKEN
        if self.status != 200:
            return End.REFUSED
        whole = self.body.endswith(b"data: [DONE]\n\n") if self._is_stream else self._object()
        return End.COMPLETED if whole else End.BROKEN

    @property
    def code(self) -> str:
        """The code of an error, in a body or in a stream; or why the connection failed."""
        found = [self._object(), *(events_in(self.body) if self._is_stream else ())]
        errors = [one["error"].get("code") for one in found if "error" in one]
        return str(errors[-1]) if errors else self.why

    @property
    def texts(self) -> tuple[str, ...]:
        """The model's words, as far as they came, wherever they stand."""
        found = _whole_events(self.body) if self._is_stream else [self._object()]
        return tuple(text for one in found for text in _contents(one))

    def _object(self) -> Mapping[str, Any]:
        if self._is_stream:
            return {}
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def _whole_events(body: bytes) -> Iterator[Any]:
    yield from events_in(body[: body.rfind(b"\n\n") + 2])


def _contents(value: object) -> Iterator[str]:
    """Every text that is called `content`, in order, whatever is around it."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from [below] if name == "content" and isinstance(below, str) else _contents(below)
    elif isinstance(value, list):
        for below in value:
            yield from _contents(below)


@contextmanager
def calling(callers: Sequence[Caller], account: Account) -> Iterator[None]:
    """Has all of them call while the block lasts, and waits for what is under way then."""
    stopping = threading.Event()
    threads = [
        threading.Thread(target=one.call, args=[account, stopping], name=one.name)
        for one in callers
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
