"""What people do to a gateway, for Locust: chat, streamed chat, long prompts, wrong keys.

`make load` starts it. The key and the model come from the environment: LOAD_KEY and LOAD_MODEL.
"""

import os
import time
from collections.abc import Iterable
from random import Random
from typing import Any, Final

from locust import HttpUser, between, events, task

from load_tests.words_of import words

PATH: Final = "/v1/chat/completions"
KEY: Final = os.environ.get("LOAD_KEY", "")
MODEL: Final = os.environ.get("LOAD_MODEL", "")
SHORT_WORDS, LONG_WORDS = 40, 1000
MAX_TOKENS: Final = 64
UNAUTHORISED: Final = 401


class Person(HttpUser):
    """Asks, reads, thinks for a while, asks again; no question comes twice."""

    wait_time = between(1, 3)

    def on_start(self) -> None:
        """Takes words of its own."""
        self.chance = Random()  # noqa: S311  (words)

    @task(5)
    def chats(self) -> None:
        """A short question, answered at once."""
        self.client.post(PATH, json=self.question(SHORT_WORDS), headers=_bearer(KEY), name="chat")

    @task(10)
    def chats_in_a_stream(self) -> None:
        """A short question, answered word by word."""
        body = self.question(SHORT_WORDS) | {"stream": True}
        begun = time.perf_counter()
        with self.client.post(
            PATH,
            json=body,
            headers=_bearer(KEY),
            name="streamed chat",
            stream=True,
            catch_response=True,
        ) as answer:
            lines = answer.iter_lines()
            _tell_first_event(lines, begun)
            last = [line for line in lines if line][-1:]
            answer.request_meta["response_time"] = _ms_since(begun)  # Locust's ends at the head
            if last != [b"data: [DONE]"]:
                answer.failure("the stream has no [DONE]")

    @task(2)
    def asks_at_length(self) -> None:
        """A prompt of a thousand words."""
        body = self.question(LONG_WORDS)
        self.client.post(PATH, json=body, headers=_bearer(KEY), name="long prompt")

    @task(1)
    def mistakes_the_key(self) -> None:
        """A key that does not exist: 401 is right."""
        body, headers = self.question(SHORT_WORDS), _bearer("sk-wg-not-a-key")
        with self.client.post(
            PATH, json=body, headers=headers, name="wrong key", catch_response=True
        ) as answer:
            if answer.status_code == UNAUTHORISED:
                answer.success()
            else:
                answer.failure(f"status {answer.status_code}, not {UNAUTHORISED}")

    def question(self, count: int) -> dict[str, Any]:
        """A body with so many words."""
        messages = [{"role": "user", "content": words(self.chance, count)}]
        return {"model": MODEL, "messages": messages, "max_tokens": MAX_TOKENS}


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _tell_first_event(lines: Iterable[bytes], begun: float) -> None:
    """Reads one line, and reports when it came under a name of its own."""
    first = next(iter(lines), b"")
    events.request.fire(
        request_type="SSE",
        name="streamed chat: first event",
        response_time=_ms_since(begun),
        response_length=len(first),
        exception=None if first.startswith(b"data: {") else ValueError("no event"),
        context={},
    )


def _ms_since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
