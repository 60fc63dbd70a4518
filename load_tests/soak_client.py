"""Many callers on one thread: their streams are read to the end, or left in the middle."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from load_tests.words_of import words

LAST_BYTES: Final = 512
"""Of an answer, in which its end is looked for."""
PROMPT_WORDS: Final = 120
ANSWER_LIMIT_S: Final = 120.0

End = Literal["completed", "vanished", "broken", "wrong"]
"""How an exchange ended for the caller; `broken`: after some events, with an error or without."""


@dataclass(frozen=True, slots=True)
class Callers:
    """Who calls: `streams` at once, one in `vanish_every` of which leaves in the middle."""

    port: int
    key: str
    model: str
    chunks: int
    streams: int
    vanish_every: int


@dataclass(slots=True)
class Seen:
    """What the callers saw: how exchanges ended, and by which receipt each is known."""

    ends: Counter[End] = field(default_factory=Counter)
    receipts: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0

    def opened(self) -> None:
        """Counts a request that was sent."""
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)

    def ended(self, end: End, why: str) -> None:
        """Counts an answer that ended."""
        self.open_now -= 1
        self.ends[end] += 1
        if end == "wrong":
            self.wrong.append(why)


async def call_for(callers: Callers, seconds: float, seen: Seen) -> None:
    """Keeps all streams going for so long, then lets those under way end."""
    until = asyncio.get_running_loop().time() + seconds
    numbers, chance = itertools.count(1), Random(7)  # noqa: S311  (who vanishes when)
    spread_s = min(seconds / 4, 10) / callers.streams
    lanes = [
        _call_again(callers, until, seen, numbers, chance, index * spread_s)
        for index in range(callers.streams)
    ]
    await asyncio.gather(*lanes)


async def _call_again(  # noqa: PLR0913, PLR0917  (what all lanes share)
    callers: Callers,
    until: float,
    seen: Seen,
    numbers: Iterator[int],
    chance: Random,
    after_s: float,
) -> None:
    """One caller: a request, its answer, the next request, on one connection while that lasts."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(after_s)
    line: Line | None = None
    while loop.time() < until:
        if line is None or line.is_lost:
            _, line = await loop.create_connection(Line, "127.0.0.1", callers.port)
        number = next(numbers)
        # Not every 20th: the mock resets by that count too, and both would befall the same.
        leaves = number % callers.vanish_every == callers.vanish_every // 2
        leave_at = chance.randrange(1, callers.chunks // 2) if leaves else 0
        seen.opened()
        end, why = await line.exchange(_request(callers, chance), leave_at)
        seen.ended(end, why)
        if line.receipt:
            seen.receipts.append(line.receipt)
    if line:
        line.close()


def _request(callers: Callers, chance: Random) -> bytes:
    messages = [{"role": "user", "content": words(chance, PROMPT_WORDS)}]
    body = json.dumps({"model": callers.model, "stream": True, "messages": messages})
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.test\r\n"
        f"Authorization: Bearer {callers.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


class Line(asyncio.Protocol):
    """A connection that carries one exchange after the other."""

    def __init__(self) -> None:
        self.is_lost = False
        self.receipt = ""
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[tuple[End, str]] | None = None
        self._head = b""
        self._last = b""
        self._events = self._leave_at = 0

    async def exchange(self, request: bytes, leave_at: int) -> tuple[End, str]:
        """Sends a request; gives how it ended. With `leave_at` hangs up after so many events."""
        assert self._transport is not None
        self._done = asyncio.get_running_loop().create_future()
        self._head, self._last, self.receipt = b"", b"", ""
        self._events, self._leave_at = 0, leave_at
        self._transport.write(request)
        try:
            return await asyncio.wait_for(self._done, ANSWER_LIMIT_S)
        except TimeoutError:
            self.close()
            return "wrong", f"no end in {ANSWER_LIMIT_S:.0f} s"

    def close(self) -> None:
        """Hangs up."""
        self.is_lost = True
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport (asyncio calls it)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the exchange (asyncio calls it)."""
        self.is_lost = True
        self._end("broken" if self._events else "wrong", f"connection lost: {exc}")

    def data_received(self, data: bytes) -> None:
        """Takes a piece of an answer (asyncio calls it)."""
        if not self.receipt:
            self._head += data
            head, found, data = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._take_head(head.decode("latin-1"))
        self._events += data.count(b"data: ")
        self._last = (self._last + data)[-LAST_BYTES:]
        if self._leave_at and self._events >= self._leave_at:
            self.close()
            self._end("vanished", "")
        elif self._last.endswith(b"\r\n0\r\n\r\n"):
            self._end_of_answer()

    def _take_head(self, head: str) -> None:
        lines = head.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        self.receipt = headers.get("x-watchgate-receipt", "")
        if " 200 " not in lines[0] or not self.receipt:
            self._end("wrong", lines[0])
            self.close()

    def _end_of_answer(self) -> None:
        if b"data: [DONE]" in self._last:
            self._end("completed", "")
        elif b'data: {"error' in self._last and self._events > 1:
            self._end("broken", "")
        else:
            self._end("wrong", "an answer without [DONE]")

    def _end(self, end: End, why: str) -> None:
        if self._done and not self._done.done():
            self._done.set_result((end, why))
