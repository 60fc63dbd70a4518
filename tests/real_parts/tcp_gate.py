"""A TCP forwarder that can be shut, and that can be a bad line while it is open.

Shut, connections break at once and new ones are refused. Open, its `weather` says what becomes of
the bytes: they come late, some of them very late, not at all for now, or changed.
"""

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_CHUNK_BYTES: Final = 2**18
_RESET: Final = struct.pack("ii", 1, 0)
_RETRANSMIT_S: Final = 0.2
"""TCP's least wait before it sends a lost segment again on Linux; it doubles each time."""
_STEP_S: Final = 0.02

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Weather:
    """What becomes of the bytes of an open gate, in both directions.

    Loss is what TCP makes of it: bytes come after one or more retransmissions.
    """

    delay_s: float = 0.0
    lost_share: float = 0.0
    silent: bool = False
    """Nothing comes through, and no connection ends."""
    garble: Callable[[bytes], bytes] | None = None
    """Changes what the target answers."""


FINE: Final = Weather()


class TcpGate:
    """Forwards `listen` to `target` while it is open.

    In what the target answers, its host is replaced by ours: some protocols say where to
    connect next. Both hosts must have the same length, so that no length field changes.
    """

    def __init__(self, listen: Address, target: Address) -> None:
        assert len(listen[0]) == len(target[0])
        self._listen = listen
        self._target = target
        self._hosts = (target[0].encode(), listen[0].encode())
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._chance = random.Random(1)  # noqa: S311  (which bytes are lost)
        self.weather = FINE

    @property
    def port(self) -> int:
        return self._listen[1]

    def open(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server(self._listen)
            threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def shut(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            _break(listener)
        self.cut()

    def cut(self) -> None:
        """Break the connections that there are; new ones are let through."""
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            _break(connection)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._forward(client, listener)

    def _forward(self, client: socket.socket, listener: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            _break(client)
            return
        server.settimeout(None)
        with self._lock:
            if self._listener is not listener:  # it was shut meanwhile
                _break(client)
                _break(server)
                return
            self._connections |= {client, server}
        for pair in ((client, server, False), (server, client, True)):
            threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, from_target: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK_BYTES):
                self._wait(source)
                sink.sendall(self._answered(chunk) if from_target else chunk)
        with self._lock:
            self._connections -= {source, sink}
        _break(source)
        _break(sink)

    def _answered(self, chunk: bytes) -> bytes:
        chunk = chunk.replace(*self._hosts)
        return self.weather.garble(chunk) if self.weather.garble else chunk

    def _wait(self, source: socket.socket) -> None:
        """Hold a chunk back for as long as the weather makes it late."""
        late_s, again_s = self.weather.delay_s, _RETRANSMIT_S
        while self._chance.random() < self.weather.lost_share:
            late_s, again_s = late_s + again_s, 2 * again_s
        time.sleep(late_s)
        while self.weather.silent and source.fileno() >= 0:
            time.sleep(_STEP_S)


def _break(connection: socket.socket) -> None:
    """Close with a reset, and wake whoever waits on it."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
