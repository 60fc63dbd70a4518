"""A real broker that speaks Kafka's protocol: noida-db, as a child process.

It has groups, rebalances, topic settings and idempotent producers, but no TLS, SASL or cluster.
It keeps what it has when it is stopped, but for what it acknowledges while it stops, and killed
with SIGKILL it forgets everything. No Kafka does that under acks=all, so clients reach it through
a gate, which is shut before the broker is stopped: nothing is acknowledged to anyone then.
"""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.real_parts.tcp_gate import FINE, TcpGate, Weather

START_S: Final = 30.0
STOP_S: Final = 20.0
_HIDDEN_HOST: Final = "127.0.0.2"
_COMMAND: Final = (
    *("noida-db", "start", "--only", "kafka"),
    *("--host", _HIDDEN_HOST, "--kafka-port"),
)


class KafkaBroker:
    """The broker of one data folder, on one port for all its life."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.port = free_port()
        self._gate = TcpGate(("127.0.0.1", self.port), (_HIDDEN_HOST, self.port))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        assert self._process is None
        self._process = subprocess.Popen(
            [*_COMMAND, str(self.port), "--data-dir", str(self._data_dir)],
            executable=_program(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._accepts, START_S, "the broker takes connections")
        self._gate.open()

    def cut(self) -> None:
        """Break all connections, whatever is under way on them; new ones are taken."""
        self._gate.cut()

    def isolate(self) -> None:
        """Let nobody reach it, while it goes on running, until `reconnect`."""
        self._gate.shut()

    def reconnect(self) -> None:
        self._gate.open()

    @contextlib.contextmanager
    def behind(self, weather: Weather) -> Iterator[None]:
        """Have a bad line before it for as long as the block lasts."""
        self._gate.weather = weather
        try:
            yield
        finally:
            self._gate.weather = FINE

    def stop(self) -> None:
        """Stop it cleanly: what it acknowledged will be there after the next start."""
        self._gate.shut()
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the broker did not stop within {STOP_S:g} s") from None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _accepts(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"the broker ended with code {code} instead of starting"
        with contextlib.suppress(OSError), socket.create_connection((_HIDDEN_HOST, self.port), 1):
            return True
        return False


_given: Final[set[int]] = set()


def free_port() -> int:
    """Find a port that nothing listens on now, and that was not given before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def wait_until(claim: Callable[[], object], timeout_s: float, what: str) -> None:
    """Return once the claim holds; fail, saying what was awaited, when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def kafka_broker(data_dir: Path) -> Iterator[KafkaBroker]:
    """Run a broker for as long as the block lasts."""
    with KafkaBroker(data_dir) as broker:
        yield broker


def _program() -> str:
    """Return the binary itself: its Python launcher does not pass signals on."""
    try:
        program = Path(str(files("noida_db"))) / "noida-db"
    except ModuleNotFoundError:
        raise AssertionError(
            "the Kafka tests need the broker of the package noida-db: "
            "pip install -r requirements/dev.txt"
        ) from None
    if not os.access(program, os.X_OK):
        program.chmod(0o755)  # the wheel does not say that it is a program
    return str(program)
