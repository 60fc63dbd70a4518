"""Connections on which a request has a deadline as a whole, however little comes at a time.

A socket's timeout is one for each read and each partial send: it begins anew with every byte.
"""

import math
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from detectors.judge.resolving import Resolver


class Deadline(threading.local):
    """When the request of a thread must have ended, in seconds of a clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Set no deadline yet."""
        self.at = math.inf
        self._clock = clock

    def cut(self, timeout_s: float | None, late: type[Exception]) -> float:
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
        self._resolver = Resolver()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a name that answers, each given its share of the time."""
        options = list(socket_options or ())
        addresses = self._addresses(host, port)
        failed: Exception = httpcore.ConnectError()
        for number, address in enumerate(addresses):
            left_s = self._deadline.cut(None, httpcore.ConnectTimeout)
            share_s = min(
                left_s / (len(addresses) - number), math.inf if timeout is None else timeout
            )
            try:
                stream = self._plain.connect_tcp(address, port, share_s, local_address, options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _BoundedStream(stream, self._deadline)
        raise failed

    def _addresses(self, host: str, port: int) -> list[str]:
        left_s = self._deadline.cut(None, httpcore.ConnectTimeout)
        try:
            return self._resolver.addresses(host, port, left_s)
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except (OSError, UnicodeError):
            raise httpcore.ConnectError from None


class _BoundedStream(httpcore.NetworkStream):
    """A connection; the thread that uses it for a request brings the deadline."""

    def __init__(self, plain: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._plain = plain
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._plain.read(max_bytes, self._deadline.cut(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it; httpcore would begin the timeout anew after each piece that is taken."""
        sock = self._plain.get_extra_info("socket")
        unsent = memoryview(buffer)
        while unsent:
            sock.settimeout(self._deadline.cut(timeout, httpcore.WriteTimeout))
            try:
                sent = sock.send(unsent)
            except TimeoutError as error:
                raise httpcore.WriteTimeout from error
            except OSError as error:
                raise httpcore.WriteError from error
            unsent = unsent[sent:]

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
