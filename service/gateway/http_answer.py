"""The answer of an upstream, between the connection that feeds it and the task that reads it."""

import asyncio
from collections.abc import Callable
from typing import Protocol, Self

from service.errors import UpstreamBroke, UpstreamError

Sink = Callable[[bytes], bool]
"""Takes a part of a body, and says whether it takes more."""


class GivenUp(UpstreamBroke):
    """The gateway itself broke the answer off."""


class Source(Protocol):
    """Where an answer comes from: its connection."""

    def fail(self, error: UpstreamError) -> None:
        """Close at once and settle the answer with this error."""

    def resume(self) -> None:
        """Go on, if the source had paused: the reader has caught up."""


class Answer:
    """What the upstream answers: complete up to its header, the body as it comes.

    One task reads it. When that task is cancelled while it waits, the connection is closed.
    The methods after `abort` are for the connection.
    """

    __slots__ = (
        "_chunks",
        "_error",
        "_on_end",
        "_sink",
        "_sink_error",
        "_source",
        "_waiter",
        "buffered_bytes",
        "headers",
        "status",
    )

    def __init__(self, source: Source) -> None:
        """Begin without a head: `status` is 0 until it is complete."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        """In the order of the answer, names in lower case."""
        self.buffered_bytes = 0
        self._chunks: list[bytes] = []
        self._source: Source | None = source  # None: nothing more will come
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._on_end: Callable[[UpstreamError | None], None] | None = None
        self._sink: Sink | None = None
        self._sink_error: Exception | None = None

    async def read(self) -> bytes:
        """Return the next bytes of the body, all that have come; b"" is its end.

        Raises:
            UpstreamTimeout: nothing came for too long, or the whole took too long.
            UpstreamBroke: the body ended early; what came before was returned first.
        """
        while not self._chunks:
            if self._source is None:
                self._raise_error()
                return b""
            await self._news()
        return self._take()

    async def pour(self, sink: Sink) -> bool:
        """Give `sink` the body as it comes, until it wants no more, and say whether there may be.

        The sink is called from the connection's own callback: no task is woken for a part, which
        saves 3 of 8 µs for an event of a stream, and a round of the loop. It must not `abort`.

        Raises:
            UpstreamTimeout, UpstreamBroke: as `read`.
            Exception: what the sink raised.
        """
        self._sink = sink
        try:
            self._hand_over()
            while self._sink is not None and self._source is not None:
                await self._news()
            wants_no_more = self._sink is None
        finally:
            self._sink = None
        if self._sink_error is not None:
            raise self._sink_error
        if not wants_no_more:
            self._raise_error()
        return wants_no_more

    async def read_all(self, limit_bytes: int) -> bytes:
        """Return the whole rest of the body.

        Raises:
            UpstreamBroke: as `read`, or there are more than `limit_bytes` of it.
            UpstreamTimeout: as `read`.
        """
        if self._source is None and self._error is None and self.buffered_bytes <= limit_bytes:
            return self._take()  # it came at once
        chunks: list[bytes] = []
        while chunk := await self.read():
            chunks.append(chunk)
            limit_bytes -= len(chunk)
            if limit_bytes < 0:
                self.abort()
                raise UpstreamBroke("the answer is larger than the limit for one answer")
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def abort(self) -> None:
        """Close the connection at once, which makes vLLM stop its work; no-op after the end."""
        if self._source is not None:
            self._source.fail(GivenUp("the gateway gave up this answer"))

    def on_end(self, callback: Callable[[UpstreamError | None], None]) -> None:
        """Call back once the upstream's part is over, well or with an error; at once if it is."""
        if self._source is None:
            callback(self._error)
        else:
            self._on_end = callback

    async def with_head(self) -> Self:
        """Return this answer once `status` and `headers` are there.

        Raises:
            UpstreamError: they will not come.
        """
        while not self.status:
            if self._source is None:
                self._raise_error()
            await self._news()
        return self

    def feed(self, data: bytes) -> None:
        """Take a part of the body."""
        self._chunks.append(data)
        self.buffered_bytes += len(data)

    def settle(self, error: UpstreamError | None) -> None:
        """End the answer, well or with an error; nothing more will come."""
        self._source = None
        self._error = error
        self.wake()
        if self._on_end is not None:
            self._on_end(error)

    def wake(self) -> None:
        """Tell the reader that there is something new: its sink, or its task."""
        self._hand_over()
        waiter, has_to_go_on = self._waiter, self._sink is None or self._source is None
        if has_to_go_on and waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _hand_over(self) -> None:
        if self._sink is None or not self._chunks:
            return
        try:
            wants_more = self._sink(self._take())
        except Exception as error:  # noqa: BLE001  (its reader's: raised again by `pour`)
            self._sink_error = error
            wants_more = False
        if not wants_more:
            self._sink = None

    def _take(self) -> bytes:
        chunks = self._chunks
        self._chunks = []
        self.buffered_bytes = 0
        if self._source is not None:
            self._source.resume()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _news(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._waiter = None

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
