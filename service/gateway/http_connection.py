"""One HTTP/1.1 connection to an upstream, over which go exchanges one at a time.

Every deadline is kept by one lazy timer: a deadline that moved further away is noticed when the
timer fires, so reading costs no timer at all.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import httptools

from service.errors import UpstreamBroke, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from service.gateway.http_answer import Answer
from service.gateway.http_fields import ends_by_close
from service.gateway.http_repeat import RepeatedHead

HIGH_WATER_BYTES = 256 * 1024
"""Reading pauses when so much of an answer waits for its reader, who then takes all of it."""

MAX_FRAMING_BYTES = 64 * 1024
"""The most that may come without a byte of body: a head, trailers, chunk extensions."""

JOINED_BODY_BYTES = 16 * 1024
"""Up to here copying the body behind its head is cheaper than a second buffer."""


class UpstreamSilent(UpstreamUnavailable):
    """The request was never sent, or a reused connection closed without a byte of answer.

    It may be sent once more.
    """


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How long a connection may be silent within an exchange, and idle between two."""

    read_timeout_s: float
    keep_alive_s: float


class Connection(asyncio.Protocol):
    """The protocol of one connection.

    `on_free` is called when an exchange has ended and another may begin, `on_gone` at least once
    when none ever will again.
    """

    __slots__ = (
        "_answer",
        "_answer_has_body",
        "_has_begun",
        "_has_ended",
        "_is_paused",
        "_is_reused",
        "_keep_alive",
        "_last_byte_at",
        "_limits",
        "_loop",
        "_on_free",
        "_on_gone",
        "_parser",
        "_repeated",
        "_repeated_status",
        "_timer",
        "_timer_due",
        "_total_due",
        "_transport",
        "_unframed_bytes",
    )

    def __init__(
        self,
        limits: ConnectionLimits,
        on_free: Callable[["Connection"], None],
        on_gone: Callable[["Connection"], None],
    ) -> None:
        """Belong to the running loop; usable once it is connected."""
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._on_free = on_free
        self._on_gone = on_gone
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until connected
        self._parser: httptools.HttpResponseParser = None  # type: ignore[assignment]  # likewise
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = math.inf
        self._last_byte_at = self._loop.time()
        self._total_due = math.inf
        self._answer: Answer | None = None
        self._is_reused = False
        self._is_paused = False
        self._repeated: RepeatedHead | None = None
        self._repeated_status = 0

    @property
    def is_usable(self) -> bool:
        """True while nothing is known that keeps a request from being sent."""
        return self._transport is not None and not self._transport.is_closing()

    def exchange(
        self, head: bytes, body: bytes, *, due: float, answer_has_body: bool
    ) -> Awaitable[Answer]:
        """Send a request; what is returned waits until the answer's header is complete.

        `due` is the loop's time at which the whole answer must have come.

        Raises:
            UpstreamSilent: a reused connection closed without a byte of answer.
            UpstreamUnavailable: a fresh one did.
            UpstreamTimeout: the answer was too slow.
            UpstreamBroke: what came is not an HTTP answer.
        """
        answer = self._answer = Answer(self)
        self._answer_has_body = answer_has_body
        self._has_begun = self._has_ended = self._keep_alive = False
        self._unframed_bytes = 0
        self._last_byte_at = self._loop.time()
        self._total_due = due
        self._watch()
        if len(body) <= JOINED_BODY_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return answer.with_head()

    def fail(self, error: UpstreamError) -> None:
        """End the exchange with this error, and the connection with it."""
        answer, self._answer = self._answer, None
        self.close()
        if answer is not None:
            answer.settle(error)

    def close(self) -> None:
        """Close at once: there is never anything left to say."""
        self._on_gone(self)
        if self._transport is not None:
            self._transport.abort()

    def resume(self) -> None:
        """Read on: the reader of the answer has caught up."""
        if self._is_paused:
            self._is_paused = False
            self._last_byte_at = self._loop.time()
            self._transport.resume_reading()
            self._watch()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be usable."""
        self._transport = transport  # type: ignore[assignment]  # TCP: it reads and writes
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is under way: well, if the close is what ends its body."""
        self._on_gone(self)
        if self._timer is not None:
            self._timer.cancel()
        # both name this object, so that all would wait for the garbage collector
        self._parser = self._transport = None  # type: ignore[assignment]
        self._is_paused = False
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.settle(self._meaning_of_loss(answer, exc))

    def data_received(self, data: bytes) -> None:
        """Parse all of it, then act once on what it meant."""
        answer = self._answer
        if answer is None:
            self.close()  # nobody asked; what follows could not be told from an answer
            return
        begins = not self._has_begun
        self._has_begun = True
        self._last_byte_at = self._loop.time()
        if begins and self._repeated is not None and self._knows(self._repeated, answer, data):
            return
        self._unframed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._on_bad_bytes(answer)
        else:
            if begins and self._has_ended and self._keep_alive:
                self._repeated = RepeatedHead.of(data, answer.headers)
                self._repeated_status = answer.status
            self._on_good_bytes(answer)

    def _knows(self, repeated: RepeatedHead, answer: Answer, data: bytes) -> bool:
        """Take an answer that came whole, if its head is that of the one before."""
        if not self._answer_has_body or (known := repeated.read(data)) is None:
            return False
        answer.status, (answer.headers, body) = self._repeated_status, known
        answer.feed(body)
        self._has_ended = self._keep_alive = True
        self._finish(answer)
        return True

    # What the parser calls; an exception here ends up in data_received as a parser's error.

    def on_message_begin(self) -> None:
        """Refuse bytes behind the answer."""
        if self._has_ended:
            raise UpstreamBroke("more than one answer came")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, but no trailer."""
        if self._answer is not None and not self._answer.status:
            self._answer.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Pass by an interim answer (1xx); give the head of a final one to the reader."""
        answer, status = self._answer, self._parser.get_status_code()
        if answer is None or status == HTTPStatus.SWITCHING_PROTOCOLS:
            raise UpstreamBroke("nobody asked for this answer")
        if status < HTTPStatus.OK:
            answer.headers.clear()
            return
        answer.status = status
        self._unframed_bytes = 0
        self._has_ended = not self._answer_has_body
        self._keep_alive = self._answer_has_body and self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """Give a part of the body to the reader."""
        if self._answer is not None and self._answer_has_body:
            self._answer.feed(data)
            self._unframed_bytes = 0

    def on_message_complete(self) -> None:
        """Note the end, unless it is that of an interim answer."""
        self._has_ended = self._answer is not None and self._answer.status != 0

    def _on_good_bytes(self, answer: Answer) -> None:
        if self._has_ended:
            self._finish(answer)
        elif self._unframed_bytes > MAX_FRAMING_BYTES:
            self.fail(UpstreamBroke("the head or the framing of the answer is too long"))
        else:
            if answer.buffered_bytes > HIGH_WATER_BYTES and not self._is_paused:
                self._is_paused = True
                self._transport.pause_reading()
            answer.wake()

    def _on_bad_bytes(self, answer: Answer) -> None:
        if self._has_ended:  # the answer is whole: only the connection is of no more use
            self._keep_alive = False
            self._finish(answer)
        else:
            self.fail(UpstreamBroke("the answer is not valid HTTP/1.1"))

    def _finish(self, answer: Answer) -> None:
        self._answer = None
        self.resume()
        answer.settle(None)
        if self._keep_alive and self.is_usable and not self._transport.get_write_buffer_size():
            self._is_reused = True
            self._watch()
            self._on_free(self)
        else:
            self.close()

    def _meaning_of_loss(self, answer: Answer, exc: Exception | None) -> UpstreamError | None:
        if not self._has_begun:
            kind = UpstreamSilent if self._is_reused else UpstreamUnavailable
            return kind("the upstream closed the connection before it answered")
        if exc is None and answer.status and ends_by_close(answer.headers):
            return None
        return UpstreamBroke("the upstream closed the connection in the middle of its answer")

    # The timer.

    def _due(self) -> float:
        if self._answer is None:
            return self._last_byte_at + self._limits.keep_alive_s
        if self._is_paused:  # the silence is ours
            return self._total_due
        return min(self._last_byte_at + self._limits.read_timeout_s, self._total_due)

    def _watch(self) -> None:
        due = self._due()
        if due < self._timer_due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_due = due
            self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_due = math.inf
        if self._due() > self._loop.time():
            self._watch()
        elif self._answer is None:
            self.close()
        elif self._total_due <= self._loop.time():
            self.fail(UpstreamTimeout("the upstream did not complete its answer in time"))
        else:
            self.fail(UpstreamTimeout("the upstream sent nothing for too long"))
