"""Callers that ask all the time, one request after another."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Final

HARMLESS: Final = "What is the capital of France?"
_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    """A chat completion that somebody asks for."""

    key: str
    model: str
    words: str = HARMLESS
    stream: bool = False

    def make(self, port: int) -> int:
        """Ask, read the whole answer, and return its status."""
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": self.words}],
            "stream": self.stream,
            "max_tokens": 20,
            "user": "end-user-1",
        }
        return ask(port, "POST", "/v1/chat/completions", self.key, json.dumps(body))


def ask(port: int, method: str, path: str, token: str, body: str | None = None) -> int:
    """Ask on a connection of its own; return the status."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@contextmanager
def asking(asks: Sequence[Callable[[], object]], pause_s: float) -> Iterator[None]:
    """Do each in turn, again and again, until the block ends; what fails is asked anew."""
    stopping = threading.Event()

    def go_on() -> None:
        while not stopping.is_set():
            for one in asks:
                with suppress(OSError, HTTPException):
                    one()
                stopping.wait(pause_s)

    caller = threading.Thread(target=go_on)
    caller.start()
    try:
        yield
    finally:
        stopping.set()
        caller.join()
