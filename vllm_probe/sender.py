"""Sends what is told to the gateways, from a thread of its own: the engine never waits.

Each gateway process listens in one folder, at `<its id>.sock`; its id stands in the ids of its
exchanges, and so in vLLM's. What is of no gateway goes to all: it tells them that somebody asks
vLLM past them.

While a gateway is away what is told is lost, and counted: a score that comes late is of no use,
and the gateway takes an exchange without one for unscreened.
"""

import contextlib
import logging
import queue
import re
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from vllm_probe.wire import SUFFIX, Hello, Update, framed

_log = logging.getLogger("vllm.watchgate_probe")
_GATEWAY: Final = re.compile(r"ex-([0-9a-f]{16})[0-9a-f]{8}")
_QUEUED: Final = 1_000
"""Steps, which is seconds."""
BEAT_S: Final = 1.0
"""So often gateways are looked for, and told that the plugin is there."""
_FULL_S: Final = 0.5
"""A gateway that takes nothing for so long is taken for hung."""
_AVOID_S: Final = 10.0
_JOIN_S: Final = 5.0


class Sender:
    """One connection to each gateway process, made anew when it breaks."""

    def __init__(self, folder: Path, hello: Hello) -> None:
        """Start the thread; it ends with the process."""
        self._folder = folder
        self._hello = framed(hello)
        self._queue: queue.Queue[Sequence[Update]] = queue.Queue(_QUEUED)
        self._stopping = threading.Event()
        self.lost = 0
        """How many updates were not sent."""
        self._gateways: dict[str, socket.socket] = {}
        self._avoided_until: dict[str, float] = {}
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
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        beat_at = 0.0
        while not self._stopping.is_set():
            if time.monotonic() >= beat_at:
                self._beat()
                beat_at = time.monotonic() + BEAT_S
            with contextlib.suppress(queue.Empty):
                self._send(self._queue.get(timeout=max(0.0, beat_at - time.monotonic())))
        for connection in self._gateways.values():
            connection.close()

    def _beat(self) -> None:
        """Meet gateways that are new, and let the others know that this one lives."""
        for gateway in list(self._gateways):
            self._write(gateway, [])
        now = time.monotonic()
        for path in self._folder.glob(f"*{SUFFIX}"):
            gateway = path.name.removesuffix(SUFFIX)
            if gateway not in self._gateways and now >= self._avoided_until.get(gateway, 0.0):
                self._connect(gateway, path)

    def _connect(self, gateway: str, path: Path) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_FULL_S)
        try:
            connection.connect(str(path))
            connection.sendall(self._hello)
        except OSError:
            connection.close()  # it has ended, or just begins
            return
        self._gateways[gateway] = connection

    def _send(self, updates: Sequence[Update]) -> None:
        of_gateway: dict[str, list[Update]] = {}
        for update in updates:
            for gateway in self._whose(update):
                of_gateway.setdefault(gateway, []).append(update)
        for gateway, some in of_gateway.items():
            self._write(gateway, some)

    def _whose(self, update: Update) -> Iterable[str]:
        found = _GATEWAY.search(update.request)
        if found is None:
            return list(self._gateways)
        return [found[1]]

    def _write(self, gateway: str, updates: Sequence[Update]) -> None:
        connection = self._gateways.get(gateway)
        if connection is None:
            self.lost += len(updates)
            return
        try:
            connection.sendall(framed(updates))
        except OSError as error:
            self.lost += len(updates)
            connection.close()
            del self._gateways[gateway]
            if isinstance(error, TimeoutError):
                self._avoided_until[gateway] = time.monotonic() + _AVOID_S
            _log.warning("the gateway %s: %s", gateway, error.strerror or error)
