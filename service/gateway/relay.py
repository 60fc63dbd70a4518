"""Relaying an answer: the caller gets the upstream's bytes but for the contract's listed edits.

The last bytes wait until `closed` is recorded: `finish` is called, and returns, before they go.
"""

import time
from collections.abc import Awaitable, Callable

from service.core.surfaces.shape import UNREADABLE
from service.errors import UpstreamBroke
from service.gateway.asgi import Header, Send, send_whole
from service.gateway.exchange import Exchange
from service.gateway.http_answer import Answer
from service.gateway.sse import DONE, EventSplitter, event_data

Finish = Callable[[], Awaitable[None]]

_EVENT_STREAM = b"text/event-stream"


class Relay:
    """Brings one answer to its caller."""

    def __init__(
        self, exchange: Exchange, send: Send, headers: list[Header], finish: Finish
    ) -> None:
        """Send nothing yet."""
        self.started = False
        self.upstream_done = 0.0
        """When the upstream's last byte came, by the monotonic clock; 0: it has not."""
        self._exchange = exchange
        self._send = send
        self._headers = headers
        self._finish = finish
        self._splitter = EventSplitter()

    async def whole(self, answer: Answer, max_bytes: int) -> None:
        """Relay an answer that is not streamed."""
        body = await answer.read_all(max_bytes)
        self.upstream_done = time.perf_counter()
        if answer.status == 200:  # noqa: PLR2004  (OK)
            self._read(body)
        self._exchange.note_release()
        await self._finish()
        self.started = True
        headers = [*self._headers, (b"content-type", _content_type(answer))]
        await send_whole(self._send, answer.status, headers, self._renamed(body))

    async def stream(self, answer: Answer, max_bytes: int) -> None:
        """Relay a stream of events, all but the last as they come.

        Raises:
            UpstreamBroke: the stream ended without its end, or the upstream said that it failed.
        """
        done = False
        while not done and (data := await answer.read()):
            max_bytes -= len(data)
            if max_bytes < 0:
                raise UpstreamBroke("the answer is larger than the limit for one answer")
            events = self._splitter.feed(data)
            if events and events[-1] == DONE:
                events.pop()
                done = True
            if passed := b"".join([e for e in map(self._edited, events) if e]):
                await self._release(answer, passed)
        self.upstream_done = time.perf_counter()
        if not done or self._exchange.reader.broke:
            raise UpstreamBroke("the stream ended without its end")
        self._exchange.note_release()
        await self._finish()
        await self._start(answer)
        await self._send({"type": "http.response.body", "body": DONE})

    def _edited(self, event: bytes) -> bytes:
        """Read an event and return it as the caller gets it; empty: not at all."""
        data = event_data(event)
        if data is None:
            return event
        usage_only = self._read(data)
        if usage_only and not self._exchange.request.wants_usage:
            return b""
        return self._renamed(event)

    def _read(self, data: bytes) -> bool:
        try:
            return self._exchange.reader.read(data)
        except UNREADABLE:
            raise UpstreamBroke("the answer is not of the API's shape") from None

    def _renamed(self, data: bytes) -> bytes:
        names = self._exchange.model.name_edit
        return data.replace(*names, 1) if names else data

    async def _release(self, answer: Answer, data: bytes) -> None:
        if not self.started:
            self._exchange.note_release()
            await self._start(answer)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _start(self, answer: Answer) -> None:
        if self.started:
            return
        self.started = True
        headers = [*self._headers, (b"content-type", _content_type(answer))]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})


def is_stream(answer: Answer) -> bool:
    """Say whether the upstream answers with events."""
    return answer.status == 200 and _content_type(answer).startswith(_EVENT_STREAM)  # noqa: PLR2004


def _content_type(answer: Answer) -> bytes:
    for name, value in answer.headers:
        if name == b"content-type":
            return value
    return b"application/octet-stream"
