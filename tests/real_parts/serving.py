"""The gateway's real server, run in a thread around an application of the test's."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from service.gateway.asgi import App
from service.gateway.http_protocol import RequestLimits
from service.gateway.server import listening_socket, make_server

DEADLINE_S = 20.0


@contextmanager
def serving(
    app: App,
    limits: RequestLimits,
    *,
    drain_s: float = 5,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> Iterator[tuple[int, uvicorn.Server]]:
    """Serve on a free port of 127.0.0.1; gives the port and the server."""
    server = make_server(app, limits, drain_s=drain_s, tls_cert=tls_cert, tls_key=tls_key)
    listener = listening_socket("127.0.0.1", 0)
    port: int = listener.getsockname()[1]
    factory = server.config.get_loop_factory()

    def run() -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(server.serve(sockets=[listener]))

    thread = threading.Thread(target=run, name="server under test")
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        yield port, server
    finally:
        server.should_exit = True
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "the server did not stop"


def until(is_so: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Wait until something holds; fail the test if it does not within the deadline."""
    end = time.monotonic() + deadline_s
    while not is_so():
        assert time.monotonic() < end, "what the test waits for did not happen"
        time.sleep(0.005)


class RawClient:
    """A TCP connection whose bytes the test writes and reads itself."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def read_until(self, mark: bytes) -> bytes:
        """Return all bytes up to the mark and with it."""
        while mark not in self._unread:
            more = self.sock.recv(65536)
            assert more, f"the connection closed before {mark!r}, after {self._unread!r}"
            self._unread += more
        data, _, self._unread = self._unread.partition(mark)
        return data + mark

    def answer(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """Read one answer: status, headers, body (by Content-Length or chunked)."""
        head = self.read_until(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines)
        if headers.get(b"transfer-encoding") == b"chunked":
            return int(first.split()[1]), headers, self._chunks()
        size = int(headers.get(b"content-length", 0))
        while len(self._unread) < size:
            self._unread += self.sock.recv(65536)
        body, self._unread = self._unread[:size], self._unread[size:]
        return int(first.split()[1]), headers, body

    def rest(self) -> bytes:
        """Read until the server closes, and return what came."""
        data = self._unread
        self._unread = b""
        try:
            while more := self.sock.recv(65536):
                data += more
        except ConnectionResetError:
            pass
        return data

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.read_until(b"\r\n"), 16):
            while len(self._unread) < size + 2:
                self._unread += self.sock.recv(65536)
            body += self._unread[:size]
            self._unread = self._unread[size + 2 :]
        self.read_until(b"\r\n")
        return body
