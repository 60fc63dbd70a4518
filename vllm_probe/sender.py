"""Sends what is told to a gateway's socket, from a thread of its own: the engine never waits.

While the gateway is away what is told is lost, and counted: a score that comes late is of no use,
and the gateway takes an exchange without one for unscreened.
"""

import contextlib
import logging
import queue
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from vllm_probe.wire import Hello, Update, framed

_log = logging.getLogger(__name__)
_QUEUED: Final = 1_000
"""Steps, which is seconds."""
_RETRY_S: Final = 1.0
_TIMEOUT_S: Final = 5.0


class Sender:
    """One connection to one gateway process's Unix socket, made anew when it breaks."""

    def __init__(self, path: Path, hello: Hello) -> None:
        """Start the thread; it ends with the process."""
        self._path = path
        self._hello = framed(hello)
        self._queue: queue.Queue[Sequence[Update]] = queue.Queue(_QUEUED)
        self._stopping = threading.Event()
        self.lost = 0
        """How many updates were not sent."""
        self._is_away = False
        self._thread = threading.Thread(target=self._run, name="probe-sender", daemon=True)
        self._thread.start()

    def tell(self, updates: Sequence[Update]) -> None:
        """Send updates when it is their turn; blocks nobody and raises nothing."""
        try:
            self._queue.put_nowait(updates)
        except queue.Full:
            self.lost += len(updates)

    def close(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(_TIMEOUT_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._connected() as connection:
                    self._send(connection)
            except OSError as error:
                if not self._is_away:  # told once, not each second
                    _log.warning("the gateway's socket %s: %s", self._path, error.strerror or error)
                self._is_away = True
                self._drop_queued()
                self._stopping.wait(_RETRY_S)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(str(self._path))
            connection.sendall(self._hello)
            self._is_away = False
            yield connection

    def _send(self, connection: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                updates = self._queue.get(timeout=_RETRY_S)
            except queue.Empty:
                continue
            try:
                connection.sendall(framed(list(updates)))
            except OSError:
                self.lost += len(updates)
                raise

    def _drop_queued(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self.lost += len(self._queue.get_nowait())
