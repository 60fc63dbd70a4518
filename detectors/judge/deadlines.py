"""Connections on which a request has a deadline as a whole, however little comes at a time.

A socket's timeout is one for each read: it begins anew with every byte.
"""

import math
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

import httpcore


class Deadline(threading.local):
    """When the request of a thread must have ended, in seconds of a clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Set no deadline yet."""
        self.at = math.inf
        self._clock = clock

    def cut(self, timeout_s: float | None, late: type[Exception]) -> float | None:
        """Return a timeout that ends by the deadline; raise `late` if that has passed."""
        left_s = self.at - self._clock()
        if left_s <= 0:
            raise late
        return min(left_s, math.inf if timeout_s is None else timeout_s)


class BoundedBackend(httpcore.NetworkBackend):
    """Connects as httpcore does, to streams that end by the deadline."""

    def __init__(self, deadline: Deadline) -> None:
        """Connect nothing yet."""
        self._deadline = deadline
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect; a name of several addresses may take the time once for each."""
        timeout = self._deadline.cut(timeout, httpcore.ConnectTimeout)
        stream = self._plain.connect_tcp(host, port, timeout, local_address, socket_options)
        return _BoundedStream(stream, self._deadline)


class _BoundedStream(httpcore.NetworkStream):
    """A connection; the thread that uses it for a request brings the deadline."""

    def __init__(self, plain: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._plain = plain
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._plain.read(max_bytes, self._deadline.cut(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._plain.write(buffer, self._deadline.cut(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._plain.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        timeout = self._deadline.cut(timeout, httpcore.ConnectTimeout)
        stream = self._plain.start_tls(ssl_context, server_hostname, timeout)
        return _BoundedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  (as httpcore has it)
        return self._plain.get_extra_info(info)
