"""One connection to Redis, on which everything of one round of the event loop is sent at once.

redis-py asks for a connection, a task and a timer for each command; what the limiter needs is less,
and costs a fraction: docs/limits.md has the figures. hiredis packs and parses.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

Reply = Any
"""As hiredis gives it: numbers, bytes, lists of them, an error, or `RedisAway`."""
OnReply = Callable[[Reply], None]

_PORT: Final = 6379
_LATE_S: Final = 0.005
"""So long an answer that is overdue may wait to be read: this process may have been slow itself."""


class RedisAway(Exception):
    """The connection is gone, or no answer came in time: nobody knows what was done."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis is, and who asks there."""

    host: str = "127.0.0.1"
    port: int = _PORT
    path: str | None = None
    """Of a Unix socket, in place of host and port."""
    username: str | None = None
    password: str | None = None
    db: int = 0
    is_tls: bool = False

    @classmethod
    def of(cls, url: str) -> Self:
        """Read `redis://[[user]:password@]host[:port][/db]`, `rediss://…` or `unix:///path[?db=n]`."""
        parts = urlsplit(url)
        username = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        if parts.scheme == "unix":
            db = int(parse_qs(parts.query).get("db", ["0"])[0])
            return cls(path=unquote(parts.path), username=username, password=password, db=db)
        return cls(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or _PORT,
            username=username,
            password=password,
            db=int(parts.path.strip("/") or 0),
            is_tls=parts.scheme == "rediss",
        )

    def greeting(self) -> list[tuple[str | int, ...]]:
        """Return the commands that a connection starts with."""
        commands: list[tuple[str | int, ...]] = []
        if self.password is not None:
            who = () if self.username is None else (self.username,)
            commands.append(("AUTH", *who, self.password))
        if self.db:
            commands.append(("SELECT", self.db))
        return commands


class RedisLink(asyncio.Protocol):
    """A connection; once it is lost, another one is needed."""

    def __init__(self, timeout_s: float) -> None:
        """Wait for each answer for so long; one that is late loses the connection."""
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._pending: deque[tuple[float, OnReply]] = deque()
        self._unsent: list[bytes] = []
        self._is_watched = False
        self.lost: asyncio.Future[None] = self._loop.create_future()
        """Done once the connection is gone."""

    @classmethod
    async def open(
        cls, address: RedisAddress, timeout_s: float, tls: ssl.SSLContext | None = None
    ) -> Self:
        """Connect and say who asks.

        Raises:
            RedisAway, OSError, hiredis.ReplyError: nobody is there in time, or lets us in.
        """
        loop, make = asyncio.get_running_loop(), lambda: cls(timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                if address.path is not None:
                    _, link = await loop.create_unix_connection(make, address.path)
                else:
                    _, link = await loop.create_connection(
                        make, address.host, address.port, ssl=tls if address.is_tls else None
                    )
        except TimeoutError:
            raise RedisAway("no connection in time") from None
        try:
            for command in address.greeting():
                await link.call(*command)
        except BaseException:
            link.abort()
            raise
        return link

    def send(self, command: bytes, on_reply: OnReply) -> None:
        """Send a packed command; `on_reply` gets its answer, or `RedisAway`, and must not fail."""
        if self.lost.done():
            on_reply(RedisAway("the connection is gone"))
            return
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(command)
        self._pending.append((self._loop.time() + self._timeout_s, on_reply))
        if not self._is_watched:
            self._is_watched = True
            self._loop.call_later(self._timeout_s, self._watch)

    async def call(self, *command: str | float | bytes) -> Reply:
        """Send a command and return its answer.

        Raises:
            RedisAway, hiredis.ReplyError: there is none, or it is an error.
        """
        waiter: asyncio.Future[Reply] = self._loop.create_future()

        def deliver(reply: Reply) -> None:
            if not waiter.done():
                waiter.set_result(reply)

        self.send(hiredis.pack_command(cast("Any", command)), deliver)
        reply = await waiter
        if isinstance(reply, Exception):
            raise reply
        return reply

    def abort(self) -> None:
        """Give the connection up: what is under way gets `RedisAway`."""
        if self._transport is not None:
            self._transport.abort()
        self._lose()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Give each answer to who waits for it, in order."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                _, on_reply = self._pending.popleft()
                on_reply(reply)
        except (hiredis.ProtocolError, IndexError):  # it is no Redis, or spoke unasked
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait."""
        del exc
        self._lose()

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None and not self.lost.done():
            self._transport.write(b"".join(unsent))

    def _watch(self) -> None:
        """See whether the oldest answer is overdue; if it is, it may still lie there unread."""
        if not self._pending or self.lost.done():
            self._is_watched = False
            return
        left_s = self._pending[0][0] - self._loop.time()
        if left_s > 0:
            self._loop.call_later(left_s, self._watch)
        else:
            self._loop.call_later(_LATE_S, self._judge, self._pending[0])

    def _judge(self, oldest: tuple[float, OnReply]) -> None:
        if self._pending and self._pending[0] is oldest:
            self.abort()
        else:
            self._watch()

    def _lose(self) -> None:
        if self.lost.done():
            return
        self.lost.set_result(None)
        pending, self._pending = self._pending, deque()
        for _, on_reply in pending:
            on_reply(RedisAway("the connection is gone"))
