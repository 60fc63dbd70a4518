"""Relaying an answer: the caller gets the upstream's bytes but for the contract's listed edits.

Where the answer has to pass a gate, events wait there until their text was screened; when it
crosses a point that blocks, the rest is dropped and the answer ends as the API says it.

The last bytes wait until `closed` is recorded: `finish` is called, and returns, before they go.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from service.core.gate import AnswerGate
from service.core.surfaces.answers import Piece
from service.core.surfaces.naming import renamed
from service.core.unreadable import UNREADABLE
from service.errors import SafeguardInactive, UpstreamBroke
from service.gateway.asgi import Header, Message, Send, SendNow, SendWhole, send_whole
from service.gateway.exchange import Exchange
from service.gateway.http_answer import Answer
from service.gateway.sse import DONE, EventSplitter, event_data

Finish = Callable[[], Awaitable[object]]

OK: Final = 200
_EVENT_STREAM: Final = b"text/event-stream"
_UNKNOWN: Final = b"application/octet-stream"
_SCREEN_FAILED: Final = "The safeguard 'answer_screen' is not active: the answer was not screened."
_QUOTES: Final = "the upstream's error quotes an answer that crosses a point that blocks"
_NOTHING_MORE_YET: Final = {"type": "http.response.body", "more_body": True}
_BROKEN: Final = "the upstream said in its answer that it failed"


class Relay:
    """Brings one answer to its caller."""

    def __init__(self, exchange: Exchange, send: Send, headers: list[Header]) -> None:
        """Send nothing yet."""
        self.started = False
        """The head of an answer was released, so an error can only be told as an event."""
        self.was_cut = False
        """The answer was cut off: it crossed a point that blocks."""
        self.upstream_done = 0.0
        """When the upstream's last byte came, by the monotonic clock; 0: it has not."""
        self._exchange = exchange
        self._gate = exchange.gate
        self._acts = not exchange.model.screens.observe_only
        self._send = send
        self._headers = headers

    async def whole(
        self, answer: Answer, max_bytes: int, finish: Finish, send_now: SendWhole
    ) -> None:
        """Relay an answer that is not streamed.

        Raises:
            UpstreamBroke: it is too large, not of the API's shape, or tells of a failure.
        """
        body = await answer.read_all(max_bytes)
        self._note_upstream()
        self.upstream_done = time.perf_counter()
        if answer.status == OK:
            self._read(body)
        else:
            self._exchange.reader.read_refusal(body)
        body = self._gated(body, is_answer=answer.status == OK)
        self._exchange.note_release()
        await finish()
        self.started = True
        head, body = self._head(answer), self._renamed(body)
        if not send_now(answer.status, head, body):
            await send_whole(self._send, answer.status, head, body)

    async def stream(
        self, answer: Answer, max_bytes: int, finish: Finish, send_now: SendNow
    ) -> None:
        """Relay a stream of events, all but the last as they come; what follows it is dropped.

        Raises:
            UpstreamBroke: the stream ended without its end, or as `whole`.
            SafeguardInactive: the answer could not be screened, and is not to go unscreened.
        """
        splitter = EventSplitter()
        last = b""

        def pass_on(data: bytes) -> bool:
            """Pass on the events that these bytes complete; say whether to go on so."""
            nonlocal last, max_bytes
            self._note_upstream()
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
        if self.was_cut:
            answer.abort()
        if not last:
            raise UpstreamBroke("the stream ended without its end")
        await self._release_last(answer, last, finish)

    def _edit(self, events: list[bytes], passed: list[bytes]) -> bytes:
        """Read events, add what may pass as the caller gets it, and return the end if it came."""
        exchange = self._exchange
        pieces: Sequence[Piece]
        for event in events:
            data = event_data(event)
            if data == DONE:
                return self._end(event, (), passed)
            if data is None:
                if self._gate is not None and self._acts:
                    continue  # a comment: nobody would have screened it
                shown, pieces = event, ()
            elif self._read(data) and not exchange.request.wants_usage:
                continue
            else:
                shown, pieces = self._renamed(event), exchange.reader.pieces
                if exchange.reader.ended:
                    return self._end(shown, pieces, passed)
            if self._gate is None:
                passed.append(shown)
            elif not self._screen(shown, pieces, passed):
                return self._cut()
        return b""

    def _end(self, event: bytes, pieces: Sequence[Piece], passed: list[bytes]) -> bytes:
        """Let go of what was held back, and return the last event."""
        if self._gate is not None:
            if not self._screen(b"", pieces, passed):
                return self._cut()
            passed += self._gate.release_rest()
        return event

    def _screen(self, event: bytes, pieces: Sequence[Piece], passed: list[bytes]) -> bool:
        """Take an event into the gate and add what leaves it; say whether the answer goes on.

        Raises:
            SafeguardInactive: a detector failed, and the policy is to refuse then.
        """
        gate: AnswerGate = self._gate  # type: ignore[assignment]  # callers looked
        reader = self._exchange.reader
        goes_on = self._take(gate.take, event, pieces, reader.finished, reader.place)
        if goes_on:
            passed += gate.release()
        return goes_on

    def _take(self, take: Callable[..., None], *what: object) -> bool:
        """Let the gate take something in; say whether the answer goes on.

        Raises:
            SafeguardInactive: a detector failed, and the policy is to refuse then.
        """
        gate: AnswerGate = self._gate  # type: ignore[assignment]  # callers looked
        try:
            take(*what)
        except Exception as error:
            gate.give_up()
            on_error = self._exchange.model.screens.policy.answer_on_error
            if self._acts and on_error == "refuse":
                raise SafeguardInactive(_SCREEN_FAILED) from error
        return gate.crossed is None or not self._acts

    def _cut(self) -> bytes:
        """Drop what is held back, and return the events that end the answer."""
        self.was_cut = True
        exchange = self._exchange
        wants_usage = exchange.request.wants_usage
        end = exchange.surface.cut_stream(exchange.reader, wants_usage, exchange.place)
        names = exchange.model.name_edit
        return end.replace(*names) if names else end

    def _gated(self, body: bytes, *, is_answer: bool) -> bytes:
        """Return what comes whole, or what takes its place when it crosses a point that blocks.

        Raises:
            SafeguardInactive: as `_take`.
            UpstreamBroke: it is no answer but an error, and quotes what must not be said.
        """
        gate, reader = self._gate, self._exchange.reader
        if gate is None or self._take(gate.take_whole, reader.pieces):
            if gate is not None:
                gate.release_whole()
            return body
        if not is_answer:
            raise UpstreamBroke(_QUOTES)
        self.was_cut = True
        return self._exchange.surface.cut_whole(body)

    def _note_upstream(self) -> None:
        if self._exchange.upstream_first_byte_s is None:
            self._exchange.upstream_first_byte_s = self._exchange.elapsed_s()

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
        return renamed(data, *names) if names else data

    def _release(self, answer: Answer, data: bytes, send_now: SendNow) -> bool:
        if not self.started:
            self._exchange.note_release()
            self.started = True
            send_now(self._start(answer))
        self._exchange.note_text()
        return send_now({"type": "http.response.body", "body": data, "more_body": True})

    async def _release_last(self, answer: Answer, data: bytes, finish: Finish) -> None:
        self._exchange.note_release()
        await finish()
        if not self.started:
            self.started = True
            await self._send(self._start(answer))
        await self._send({"type": "http.response.body", "body": data})

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
