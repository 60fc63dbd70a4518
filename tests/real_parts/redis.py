"""A real redis-server from Debian's package, as a child process; its clock can be one to set."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

import redis

from tests.real_parts.debian import debian_program
from tests.real_parts.kafka_broker import free_port, wait_until

START_S: Final = 30.0
STOP_S: Final = 20.0
_CLOCK: Final = Path(__file__).with_name("shifted_clock.c")


class RedisServer:
    """A Redis on one port for all its life; it keeps nothing when it is stopped."""

    def __init__(self, folder: Path, *options: str, has_own_clock: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._options = options
        self._has_own_clock = has_own_clock
        self._shift = folder / "shift"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.socket = folder / "redis.sock"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def client(self) -> redis.Redis:
        """A plain client, for looking at what is there."""
        return redis.Redis(port=self.port, decode_responses=True)

    def set_clock(self, shift_s: int) -> None:
        """Let its time of day be so many seconds off, which takes `has_own_clock`."""
        assert self._has_own_clock
        draft = self._shift.with_suffix(".tmp")
        draft.write_text(str(shift_s))
        draft.rename(self._shift)

    def start(self) -> None:
        """Start it, and return once it answers."""
        assert self._process is None
        program = debian_program("redis-server", "redis-server")
        environment = dict(os.environ)
        if self._has_own_clock:
            environment["LD_PRELOAD"] = str(clock_library(self._folder))
            environment["CLOCK_SHIFT"] = str(self._shift)
        with (self._folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(program, "--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"),
                    *("--dir", str(self._folder), *self._options),
                ],
                env=environment,
                stdout=output,
                stderr=output,
            )
        wait_until(self._answers, START_S, "Redis answers")

    def kill(self) -> None:
        """End it at once, with all that it holds."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it take connections and answer nothing, until `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        log = self._folder / "output.log"
        assert code is None, f"Redis ended with code {code}: {log.read_text()[-500:]}"
        with (
            suppress(redis.ConnectionError),
            redis.Redis(unix_socket_path=str(self.socket)) as client,
        ):
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return True
        return False


@contextmanager
def redis_server(folder: Path, *options: str, has_own_clock: bool = False) -> Iterator[RedisServer]:
    """Run a Redis for as long as the block lasts."""
    with RedisServer(folder, *options, has_own_clock=has_own_clock) as server:
        yield server


def clock_library(folder: Path) -> Path:
    """Build what shows its process another time of day, by $CLOCK_SHIFT; takes gcc."""
    library = folder / "shifted_clock.so"
    if not library.exists():
        flags = ["-O2", "-Wall", "-shared", "-fPIC"]
        subprocess.run(["gcc", *flags, "-o", library, _CLOCK, "-ldl"], check=True, timeout=120)
    return library
