"""Sends what is told to the gateways, from a thread of its own: the engine never waits.

Each gateway process has an id, which stands in the ids of its exchanges, and so in vLLM's. What is
of no gateway goes to all: it tells them that somebody asks vLLM past them.

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
from typing import Final, Self

from vllm_probe.meeting import Met, Place, Search, Way
from vllm_probe.wire import Hello, Update, framed

_log = logging.getLogger("vllm.watchgate_probe")
_GATEWAY: Final = re.compile(r"ex-([0-9a-f]{16})[0-9a-f]{8}")
_QUEUED: Final = 1_000
"""Steps, which is seconds."""
BEAT_S: Final = 1.0
"""So often gateways are looked for, and told that the plugin is there."""
_SOON_S: Final = 0.1
"""Most searches are over by then; one that meets a dead host is not waited for."""
_FULL_S: Final = 0.5
"""A gateway that takes nothing for so long is taken for hung."""
_AVOID_S: Final = 10.0
_JOIN_S: Final = 5.0


class Sender:
    """One connection to each gateway process, made anew when it breaks."""

    def __init__(self, way: Way, hello: Hello) -> None:
        """Tell nobody before it is started."""
        self._way = way
        self._hello = framed(hello)
        self._queue: queue.Queue[Sequence[Update]] = queue.Queue(_QUEUED)
        self._stopping = threading.Event()
        self.lost = 0
        """How many updates were not sent."""
        self._gateways: dict[str, socket.socket] = {}
        self._boots: dict[Place, str] = {}
        """Where gateways were met."""
        self._avoided_until: dict[Place, float] = {}
        self._deserted: set[Place] = set()
        """Where nobody listened, which is said once."""
        self._search: Search | None = None
        self._thread = threading.Thread(target=self._run, name="probe-sender", daemon=True)

    def start(self) -> None:
        """Look for gateways from now on: each that is met counts on being told."""
        self._thread.start()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, and wait for that."""
        self.end()
        self._thread.join(_JOIN_S)

    def tell(self, updates: Sequence[Update]) -> None:
        """Send updates when it is their turn; blocks nobody and raises nothing."""
        try:
            self._queue.put_nowait(updates)
        except queue.Full:
            self.lost += len(updates)

    def end(self) -> None:
        """Have the thread hang up within a second; waits for nothing."""
        self._stopping.set()

    def _run(self) -> None:
        beat_at = 0.0
        while not self._stopping.is_set():
            if time.monotonic() >= beat_at:
                self._beat()
                beat_at = time.monotonic() + BEAT_S
            with contextlib.suppress(queue.Empty):
                self._send(self._queue.get(timeout=max(0.0, beat_at - time.monotonic())))
        self._hang_up()
        if self._search is not None:
            self._finish(self._search, _JOIN_S)
            self._hang_up()

    def _hang_up(self) -> None:
        for connection in self._gateways.values():
            connection.close()
        self._gateways.clear()

    def _beat(self) -> None:
        """Let gateways know that this one lives, and meet those that are new."""
        for gateway in list(self._gateways):
            self._write(gateway, framed([]))
        if self._search is None:
            at = self._boots.items()
            self._boots = {place: boot for place, boot in at if boot in self._gateways}
            self._search = Search(self._way, self._boots, dict(self._avoided_until))
            self._search.start()
        self._finish(self._search, _SOON_S)

    def _finish(self, search: Search, wait_s: float) -> None:
        """Take what a search found, if it has ended."""
        search.join(wait_s)
        if search.is_alive():
            return
        self._search = None
        for place, error in search.failed:
            self._pass_over(place, error)
        for place, met in search.met:
            self._greet(place, met)

    def _pass_over(self, place: Place, error: OSError) -> None:
        words = error.strerror or error
        if not isinstance(error, ConnectionRefusedError | FileNotFoundError):
            self._avoided_until[place] = time.monotonic() + _AVOID_S
            _log.warning("the gateway at %s is not told: %s", place, words)
        elif place not in self._deserted:  # it has ended, or just begins
            self._deserted.add(place)
            _log.info("no gateway listens at %s: %s", place, words)

    def _greet(self, place: Place, met: Met) -> None:
        self._deserted.discard(place)
        self._boots[place] = met.boot
        if met.boot in self._gateways:  # one process may have several addresses
            met.connection.close()
            return
        met.connection.settimeout(_FULL_S)
        self._gateways[met.boot] = met.connection
        self._write(met.boot, self._hello)

    def _send(self, updates: Sequence[Update]) -> None:
        of_gateway: dict[str, list[Update]] = {}
        for update in updates:
            for gateway in self._whose(update):
                of_gateway.setdefault(gateway, []).append(update)
        for gateway, some in of_gateway.items():
            if not self._write(gateway, framed(some)):
                self.lost += len(some)

    def _whose(self, update: Update) -> Iterable[str]:
        found = _GATEWAY.search(update.request)
        if found is None:
            return list(self._gateways)
        return [found[1]]

    def _write(self, gateway: str, frame: bytes) -> bool:
        """Say whether it was sent."""
        connection = self._gateways.get(gateway)
        if connection is None:
            return False
        try:
            connection.sendall(frame)
        except OSError as error:
            connection.close()
            del self._gateways[gateway]
            if isinstance(error, TimeoutError):
                until = time.monotonic() + _AVOID_S
                self._avoided_until |= {p: until for p, it in self._boots.items() if it == gateway}
            _log.warning("the gateway %s: %s", gateway, error.strerror or error)
            return False
        return True
