"""How plugins in vLLM come in: at a Unix socket on the same machine, else by TLS.

Through the socket comes whoever is of the same user. By TLS comes who shows a certificate of the
authority that the settings name; until then a connection costs a place among few, for a short time.
"""

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Protocol

from vllm_probe.wire import SUFFIX, VERSION, Welcome, framed

_log = logging.getLogger(__name__)
SILENT_S: Final = 5.0
"""A plugin that says nothing for so long is gone: it tells each second that it lives."""
_MOST_STRANGERS: Final = 32
"""Others wait in the system's queue until these have shown who they are."""
_PAUSE_S: Final = 1.0
"""After the system gave no connection, as when too many files are open."""


class RefusedPlugin(Exception):
    """What came is not from a plugin that this gateway listens to."""

    def __init__(self, reason: str, words: str) -> None:
        """Name one of the link's `REFUSALS`, and say it in words."""
        super().__init__(words)
        self.reason = reason


Connect = Callable[[], AbstractAsyncContextManager[asyncio.StreamReader]]
"""Makes what came a connection that can be read; at the end of the block it is closed.

Raises RefusedPlugin, and TimeoutError where nothing came.
"""
Meet = Callable[[Connect], object]


class Door(Protocol):
    """Where plugins come in. `str` of it is for logs."""

    def opened(self, boot: str, meet: Meet) -> AbstractAsyncContextManager[None]:
        """Let plugins come to the process of this id meanwhile; `meet` is called for each.

        Raises:
            OSError: nobody can come in here.
        """


class SocketDoor:
    """A socket in a folder that vLLM looks into; its name is the id of the process."""

    def __init__(self, folder: Path) -> None:
        """Touch nothing yet."""
        self._folder = folder

    def __str__(self) -> str:
        """Return the folder."""
        return str(self._folder)

    @contextlib.asynccontextmanager
    async def opened(self, boot: str, meet: Meet) -> AsyncIterator[None]:
        """Listen; sockets that dead processes left in the folder are removed first.

        Raises:
            OSError: the folder cannot be written to, or its path is too long for a socket's.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._folder.glob(f"*{SUFFIX}"):
            _remove_if_dead(left)
        path = self._folder / f"{boot}{SUFFIX}"

        def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            meet(functools.partial(_closed_at_the_end, reader, writer))

        server = await asyncio.start_unix_server(come, path)
        path.chmod(0o600)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)


class TlsDoor:
    """A port where only certificates of one authority are let in, which the context says."""

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext) -> None:
        """Own a socket that listens."""
        self._listener = listener
        host, port, *_ = listener.getsockname()
        self._name = f"{host}:{port}"
        self._tls = tls
        self._strangers = asyncio.Semaphore(_MOST_STRANGERS)

    def __str__(self) -> str:
        """Return host and port."""
        return self._name

    @contextlib.asynccontextmanager
    async def opened(self, boot: str, meet: Meet) -> AsyncIterator[None]:
        """Take connections; each is told first which process this is."""
        self._listener.setblocking(False)
        taking = asyncio.create_task(self._take_all(boot, meet))
        try:
            yield
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            self._listener.close()

    async def _take_all(self, boot: str, meet: Meet) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._strangers.acquire()
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                self._strangers.release()
                _log.warning("no connection of a plugin is taken: %s", error.strerror or error)
                await asyncio.sleep(_PAUSE_S)
                continue
            meet(functools.partial(self._connected, connection, boot))

    @contextlib.asynccontextmanager
    async def _connected(
        self, connection: socket.socket, boot: str
    ) -> AsyncIterator[asyncio.StreamReader]:
        try:
            reader, writer = await self._shake_hands(connection)
        finally:
            self._strangers.release()
        writer.write(framed(Welcome(VERSION, boot)))
        async with _closed_at_the_end(reader, writer):
            yield reader

    async def _shake_hands(
        self, connection: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            async with asyncio.timeout(SILENT_S):
                transport, _ = await loop.connect_accepted_socket(
                    lambda: protocol, connection, ssl=self._tls
                )
        except TimeoutError:
            raise
        except OSError as error:
            why = (isinstance(error, ssl.SSLError) and error.reason) or "it ended before"
            raise RefusedPlugin("tls", f"it showed no certificate of ours: {why}") from None
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


@contextlib.asynccontextmanager
async def _closed_at_the_end(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncIterator[asyncio.StreamReader]:
    try:
        yield reader
    finally:
        writer.transport.abort()


def _remove_if_dead(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            pass  # it is busy, or gone
