"""The connections to one upstream: a bounded number, the one used last is used first."""

import asyncio
import ssl
from collections import deque

from service.errors import UpstreamUnavailable
from service.gateway.http_connection import Connection, ConnectionLimits, UpstreamSilent

_CLOSING = "the gateway is closing its connections to the upstream"


class NoConnection(UpstreamUnavailable):
    """No connection was free or made in time: the request was never sent."""


class ConnectionPool:
    """Opens connections on demand and keeps them; who finds none free waits in a queue.

    `connect_timeout_s` bounds the wait for a free connection and the connecting together.
    """

    def __init__(  # noqa: PLR0913  the client hands on what it was given
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        limits: ConnectionLimits,
        *,
        connect_timeout_s: float,
        max_connections: int,
    ) -> None:
        """Open nothing yet."""
        self._host = host
        self._port = port
        self._tls = tls
        self._limits = limits
        self._connect_timeout_s = connect_timeout_s
        self._max_connections = max_connections
        self._slots = 0  # taken: by a connection, or by the right to open one
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._queue: deque[asyncio.Future[Connection | None]] = deque()
        self._is_closed = False

    async def take(self) -> Connection:
        """Return a connection that is the caller's alone until its exchange has ended.

        Raises:
            UpstreamSilent: no connection could be made; a second try is allowed.
            NoConnection: none was free or made in time.
            UpstreamUnavailable: the pool is closed.
        """
        if (idle := self.take_idle()) is not None:
            return idle
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                return await self._wait_or_connect()
        except TimeoutError:
            raise NoConnection("no connection to the upstream in time") from None

    def take_idle(self) -> Connection | None:
        """Return a connection as `take` does, if one is idle."""
        return self._idle.pop() if self._idle else None

    def drop_idle(self) -> None:
        """Close what is idle: when one kept connection turned out dead, so may be the others."""
        for connection in self._idle.copy():
            connection.close()

    def close(self) -> None:
        """Close every connection, in the middle of an answer too; none will open any more."""
        self._is_closed = True
        for connection in list(self._connections):
            connection.fail(UpstreamUnavailable(_CLOSING))
        while self._queue:
            self._offer(None)

    @property
    def open_connections(self) -> int:
        """How many are open, busy or idle."""
        return len(self._connections)

    async def _wait_or_connect(self) -> Connection:
        while self._slots == self._max_connections:
            connection = await self._wait()
            if connection is None:
                return await self._connect()  # in the slot that came with it
            if connection.is_usable:
                return connection
        self._slots += 1
        return await self._connect()

    async def _wait(self) -> Connection | None:
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(turn.result())
            raise

    async def _connect(self) -> Connection:
        try:
            connection = await self._open()
        except BaseException:
            self._free_slot()
            raise
        self._connections.add(connection)
        return connection

    async def _open(self) -> Connection:
        self._refuse_if_closed()
        connection = Connection(self._limits, self._on_free, self._on_gone)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection, self._host, self._port, ssl=self._tls
            )
            self._refuse_if_closed()
            if not connection.is_usable:
                raise UpstreamSilent("the upstream closed the connection at once")
        except OSError as error:
            raise UpstreamSilent(f"no connection to the upstream: {error}") from error
        except BaseException:
            connection.close()
            connection.connection_lost(None)  # of connecting that was cancelled uvloop tells none
            raise
        return connection

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise UpstreamUnavailable(_CLOSING)

    def _on_free(self, connection: Connection) -> None:
        if not self._offer(connection):
            self._idle.append(connection)

    def _on_gone(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._free_slot()

    def _give_back(self, connection: Connection | None) -> None:
        if connection is None:
            self._free_slot()
        elif connection.is_usable:
            self._on_free(connection)

    def _free_slot(self) -> None:
        if not self._offer(None):
            self._slots -= 1

    def _offer(self, connection: Connection | None) -> bool:
        """Give the first in the queue a connection, or with None a slot to open one in."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False
