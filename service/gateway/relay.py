"""Relaying an answer: the caller gets the upstream's bytes but for the contract's listed edits.

The last bytes wait until `closed` is recorded: `finish` is called, and returns, before they go.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from service.core.surfaces.shape import UNREADABLE
from service.errors import UpstreamBroke
from service.gateway.asgi import Header, Message, Send, send_whole
from service.gateway.exchange import Exchange
from service.gateway.http_answer import Answer
from service.gateway.sse import DONE, EventSplitter, event_data

Finish = Callable[[], Awaitable[object]]
SendNow = Callable[[Message], bool]
"""`send` where nobody can wait; returns whether the caller keeps up."""

OK: Final = 200
_EVENT_STREAM: Final = b"text/event-stream"
_UNKNOWN: Final = b"application/octet-stream"
_NOTHING_MORE_YET: Final = {"type": "http.response.body", "more_body": True}
_BROKEN: Final = "the upstream said in its answer that it failed"


class Relay:
    """Brings one answer to its caller."""

    def __init__(self, exchange: Exchange, send: Send, headers: list[Header]) -> None:
        """Send nothing yet."""
        self.started = False
        """The head of an answer was released, so an error can only be told as an event."""
        self.upstream_done = 0.0
        """When the upstream's last byte came, by the monotonic clock; 0: it has not."""
        self._exchange = exchange
        self._send = send
        self._headers = headers

    async def whole(self, answer: Answer, max_bytes: int, finish: Finish) -> None:
        """Relay an answer that is not streamed.

        Raises:
            UpstreamBroke: it is too large, not of the API's shape, or tells of a failure.
        """
        body = await answer.read_all(max_bytes)
        self.upstream_done = time.perf_counter()
        if answer.status == OK:
            self._read(body)
        self._exchange.note_release()
        await finish()
        self.started = True
        await send_whole(self._send, answer.status, self._head(answer), self._renamed(body))

    async def stream(
        self, answer: Answer, max_bytes: int, finish: Finish, send_now: SendNow
    ) -> None:
        """Relay a stream of events, all but the last as they come; what follows it is dropped.

        Raises:
            UpstreamBroke: the stream ended without its end, or as `whole`.
        """
        splitter = EventSplitter()
        last = b""

        def pass_on(data: bytes) -> bool:
            """Pass on the events that these bytes complete; say whether to go on so."""
            nonlocal last, max_bytes
            max_bytes -= len(data)
            if max_bytes < 0:
                raise UpstreamBroke("the answer is larger than the limit for one answer")
            keeps_up = True
            passed: list[bytes] = []
            try:
                last = self._edit(splitter.feed(data), passed)
            finally:  # what came before a failure is still the caller's
                if passed:
                    keeps_up = self._release(answer, b"".join(passed), send_now)
            return keeps_up and not last

        while await answer.pour(pass_on) and not last:
            await self._send(_NOTHING_MORE_YET)  # which waits until the caller keeps up
        self.upstream_done = time.perf_counter()
        if not last:
            raise UpstreamBroke("the stream ended without its end")
        self._exchange.note_release()
        await finish()
        if not self.started:
            self.started = True
            await self._send(self._start(answer))
        await self._send({"type": "http.response.body", "body": last})

    def _edit(self, events: list[bytes], passed: list[bytes]) -> bytes:
        """Read events, add them as the caller gets them, and return the one that is the end."""
        for event in events:
            data = event_data(event)
            if data == DONE:
                return event
            if data is None:
                passed.append(event)
            elif not self._read(data) or self._exchange.request.wants_usage:
                passed.append(self._renamed(event))
        return b""

    def _read(self, data: bytes) -> bool:
        """Read a body or an event's data; say whether it is the usage of a stream alone."""
        reader = self._exchange.reader
        try:
            usage_alone = reader.read(data)
        except UNREADABLE:
            raise UpstreamBroke("the answer is not of the API's shape") from None
        if reader.broke:
            raise UpstreamBroke(_BROKEN)
        return usage_alone

    def _renamed(self, data: bytes) -> bytes:
        names = self._exchange.model.name_edit
        return data.replace(*names, 1) if names else data

    def _release(self, answer: Answer, data: bytes, send_now: SendNow) -> bool:
        if not self.started:
            self._exchange.note_release()
            self.started = True
            send_now(self._start(answer))
        return send_now({"type": "http.response.body", "body": data, "more_body": True})

    def _start(self, answer: Answer) -> Message:
        return {"type": "http.response.start", "status": OK, "headers": self._head(answer)}

    def _head(self, answer: Answer) -> list[Header]:
        headers = [*self._headers, (b"content-type", _field(answer, b"content-type") or _UNKNOWN)]
        if answer.status != OK and (retry_after := _field(answer, b"retry-after")):
            headers.append((b"retry-after", retry_after))
        return headers


def is_stream(answer: Answer) -> bool:
    """Say whether the upstream answers with events."""
    kind = _field(answer, b"content-type")
    return answer.status == OK and kind is not None and kind.lower().startswith(_EVENT_STREAM)


def _field(answer: Answer, name: bytes) -> bytes | None:
    for given, value in answer.headers:
        if given == name:
            return value
    return None
