"""A raw TCP server whose answers are scripted byte by byte, at the moment the test says.

A script is a coroutine function that plays the server's side of one connection:

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nhi")

    async with ScriptedUpstream(script) as upstream:
        ... connect to 127.0.0.1:upstream.port ...

The n-th connection is played by the n-th script, later ones by the last. When a script returns
its connection is closed.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Self

Script = Callable[["Peer"], Awaitable[None]]

DEADLINE_S = 20.0


class Peer:
    """The server's end of one connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: list[bytes]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._requests = requests

    async def request(self) -> bytes:
        """Return the next whole request, head and body (by Content-Length)."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        body = await self._reader.readexactly(_content_length(head))
        self._requests.append(head + body)
        return head + body

    async def first_bytes(self) -> bytes:
        """Return what has come, as soon as anything has."""
        return await self._reader.read(1024)

    async def send(self, data: bytes) -> None:
        """Send these bytes; returns when the system has taken nearly all of them."""
        self._writer.write(data)
        await self._writer.drain()

    async def stall(self) -> None:
        """Say nothing until the other side has closed or reset the connection."""
        try:
            while await self._reader.read(65536):
                pass
        except ConnectionError:
            pass

    def half_close(self) -> None:
        """Send no more, but go on listening."""
        self._writer.write_eof()

    def reset(self) -> None:
        """Close with a TCP reset."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    @property
    def unsent_bytes(self) -> int:
        """What the system has not taken yet, because the other side does not read."""
        return self._writer.transport.get_write_buffer_size()


class ScriptedUpstream:
    """Listens on a free port of 127.0.0.1 while it is entered."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[bytes] = []
        self.connections = 0
        self.finished = 0
        """Scripts that have returned, or ended because the other side closed."""
        self.failures: list[BaseException] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._play, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.failures:
            raise self.failures[0]

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        try:
            await script(Peer(reader, writer, self.requests))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side went away, or the test is over
        except Exception as error:  # noqa: BLE001  raised where the test can see it
            self.failures.append(error)
        finally:
            self.finished += 1
            self._tasks.discard(task)
            writer.close()


def answering(*answers: bytes) -> Script:
    """Answer each request on a connection with the next of these, then with the last."""

    async def script(peer: Peer) -> None:
        served = 0
        while True:
            await peer.request()
            await peer.send(answers[min(served, len(answers) - 1)])
            served += 1

    return script


async def eventually(is_so: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Wait until something holds; fail the test if it does not within the deadline."""
    async with asyncio.timeout(deadline_s):
        while not is_so():  # noqa: ASYNC110  what is awaited has no event to offer
            await asyncio.sleep(0.005)


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0
