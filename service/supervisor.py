"""Everything on one machine: starts the processes, starts them again, merges what they say.

Each child is the `watchgate` command of its role, with its ops endpoint on a socket file and its
metrics in files of a common folder. One ops port serves for all of them. A child whose
supervisor is gone, however it went, sees its lifeline end and stops too.
"""

import fcntl
import http.client
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service.errors import AlreadyRunning
from service.telemetry.ops import OpsAddress, Reason, make_ops_app, ops_server, serve_in_thread
from service.telemetry.processes import ProcessCollector

_log = logging.getLogger(__name__)
METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_READY_STEP_S: Final = 0.5
_TICK_S: Final = 0.2
_ASK_S: Final = 2.0
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 10.0
STEADY_S: Final = 30.0
"""A child that ran for so long had started well."""
ATTEMPTS: Final = 5
"""How often a child may fail before it has ever started well: over about 15 s."""
_PROBLEM: Final = 1
_USAGE: Final = 2
"""The exit code of a child whose settings are wrong."""


@dataclass(frozen=True, slots=True)
class Role:
    """A process to be run: its own name, and the command that it is."""

    name: str
    command: str


@dataclass(slots=True)
class Child:
    """One process that is kept running."""

    name: str
    command: Sequence[str]
    socket: str
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    """In a row: since it last ran for a while."""
    started_well: bool = False
    next_start: float = 0.0

    def start(self, environment: dict[str, str], lifeline: int, now: float) -> None:
        """Start the process, in a session of its own: a Ctrl-C reaches the supervisor alone."""
        self.process = subprocess.Popen(  # noqa: S603  (our own command)
            self.command, env=environment, start_new_session=True, pass_fds=[lifeline]
        )
        self.started_at = now

    def ended(self, code: int, now: float) -> int | None:
        """Decide when it is started again; or return the exit code of giving up."""
        self.process = None
        ran_steadily = now - self.started_at >= STEADY_S
        self.started_well |= ran_steadily
        self.failures = 0 if ran_steadily else self.failures + 1
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self.failures) if self.failures else 0.0
        self.next_start = now + pause_s
        _log.warning("%s ended", self.name, extra={"exit_code": code, "pause_s": pause_s})
        if self.started_well:
            return None
        if code == _USAGE:
            return _USAGE
        return _PROBLEM if self.failures >= ATTEMPTS else None

    def stop(self, within_s: float) -> None:
        """Wait for a process that was told to end, and kill it if it does not."""
        if self.process is None:
            return
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            _log.error("%s did not stop and is killed", self.name)
            self.process.kill()
            self.process.wait()


class Supervisor:
    """Keeps the children running until told to stop."""

    def __init__(  # noqa: PLR0913  (what there is to run, and where)
        self,
        roles: Sequence[Role],
        arguments: Sequence[str],
        ops: OpsAddress,
        data_dir: Path,
        stop_s: float,
        *,
        addresses: str = "",
    ) -> None:
        """Take what is to run, the arguments of all, and how long the end of one may take.

        `addresses` are told once all is ready.

        Raises:
            AlreadyRunning: another supervisor runs on this folder.
            CannotListen: the ops port is taken.
        """
        self._stop_s = stop_s
        self._addresses = addresses
        self._stop = threading.Event()
        self._resources = ExitStack()
        lock = _lock(data_dir)
        self._resources.callback(os.close, lock)
        # The held end is inherited by nobody, so the lifeline ends with this process.
        self._lifeline, self._held_end = os.pipe()
        self._ops = ops_server(make_ops_app(self.readiness, self._metrics_text), ops)
        self._asking = ThreadPoolExecutor(len(roles), "ask")
        run_dir = _new_run_dir(lock)
        self._resources.callback(shutil.rmtree, run_dir, ignore_errors=True)
        self._metrics_dir = Path(run_dir) / "metrics"
        self._metrics_dir.mkdir()
        self._environment = {**os.environ, METRICS_FOLDER: str(self._metrics_dir)}
        self._children = [self._child(role, arguments, run_dir) for role in roles]

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, then stop the children in order; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        with self._resources:
            serve_in_thread(self._ops)
            try:
                code = self._tend_all()
            finally:
                self._end()
        return code

    def readiness(self) -> list[Reason]:
        """Ask every child, all at once: the whole is ready when each of them is."""
        if self._stop.is_set():
            return [Reason("stopping", "watchgate is stopping")]
        return [reason for reasons in self._asking.map(_ask, self._children) for reason in reasons]

    def _child(self, role: Role, arguments: Sequence[str], run_dir: str) -> Child:
        path = f"{run_dir}/{role.name}.sock"
        own = ["--ops-socket", path, "--lifeline", str(self._lifeline)]
        command = [sys.executable, "-m", "service.cli", role.command, *own, *arguments]
        return Child(role.name, command, path)

    def _tend_all(self) -> int:
        threading.Thread(target=self._say_when_ready, name="ready", daemon=True).start()
        while not self._stop.wait(_TICK_S):
            for child in self._children:
                if (code := self._tend(child)) is not None:
                    _log.error("%s does not start: giving up", child.name)
                    return code
        return 0

    def _say_when_ready(self) -> None:
        while not self._stop.wait(_READY_STEP_S):
            if not self.readiness():
                _log.info("ready: %s", self._addresses)
                return

    def _tend(self, child: Child) -> int | None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.next_start:
                child.start(self._environment, self._lifeline, now)
            return None
        code = child.process.poll()
        if code is None:
            return None
        forget_gauges(self._metrics_dir, child.name)
        return child.ended(code, now)

    def _end(self) -> None:
        """Stop the gateways, and then what has their last records to handle."""
        self._stop.set()
        first = [child for child in self._children if child.name.startswith("gateway")]
        for stage in (first, [child for child in self._children if child not in first]):
            _stop_all(stage, self._stop_s)

    def _metrics_text(self) -> bytes:
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self._metrics_dir))  # type: ignore[no-untyped-call]
        registry.register(ProcessCollector(self._pids))
        return generate_latest(registry)

    def _pids(self) -> dict[str, int]:
        running = [(child.name, child.process) for child in self._children]
        return {"up": os.getpid()} | {name: it.pid for name, it in running if it is not None}


def _stop_all(children: Iterable[Child], within_s: float) -> None:
    running = [child for child in children if child.process is not None]
    for child in running:
        if child.process is not None:
            child.process.terminate()
    deadline = time.monotonic() + within_s
    for child in running:
        child.stop(max(0.0, deadline - time.monotonic()))


def _lock(data_dir: Path) -> int:
    """Hold the folder until this process ends."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(data_dir / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise AlreadyRunning(f"data_dir: another `watchgate up` runs on {data_dir}") from None
    return fd


def _new_run_dir(lock: int) -> str:
    """Make a folder for sockets and metrics, and remove that of a supervisor that was killed.

    It is not in the data folder, because a socket's path has 107 bytes at most.
    """
    if left := os.pread(lock, 4096, 0).decode():
        shutil.rmtree(left, ignore_errors=True)
    run_dir = tempfile.mkdtemp(prefix="watchgate-")
    os.ftruncate(lock, 0)
    os.pwrite(lock, run_dir.encode(), 0)
    return run_dir


def forget_gauges(folder: Path, name: str) -> None:
    """Drop what a dead process said of the moment; its counts stay, and are counted on."""
    for path in folder.glob(f"gauge_live*_{name}.db"):
        path.unlink()


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _ask(child: Child) -> list[Reason]:
    connection = _SocketConnection(child.socket, _ASK_S)
    try:
        connection.request("GET", "/ready")
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return [Reason("not_running", f"{child.name} does not answer")]
    finally:
        connection.close()
    return [
        Reason(reason["code"], f"{child.name}: {reason['message']}", reason["model"])
        for reason in answer["reasons"]
    ]
