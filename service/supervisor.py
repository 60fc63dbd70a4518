"""Everything on one machine: starts the processes, starts them again, merges what they say.

Each child is the `watchgate` command of its role, with its ops endpoint on a socket file and its
metrics in files of a common folder. One ops port serves for all of them.
"""

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
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from service.telemetry.ops import OpsAddress, Reason, make_ops_app, ops_server, serve_in_thread

_log = logging.getLogger(__name__)
METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_TICK_S: Final = 0.2
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 10.0
_STEADY_S: Final = 30.0
"""A child that ran for so long starts again at once."""
_USAGE: Final = 2
"""The exit code of a child whose settings are wrong: starting it again is of no use."""


@dataclass(slots=True)
class Child:
    """One process that is kept running."""

    name: str
    command: Sequence[str]
    socket: str
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    next_start: float = 0.0
    reasons: list[Reason] = field(default_factory=list)

    def start(self, environment: dict[str, str], lifeline: int) -> None:
        """Start the process, in a session of its own: a Ctrl-C reaches the supervisor alone."""
        Path(self.socket).unlink(missing_ok=True)
        self.process = subprocess.Popen(  # noqa: S603  (our own command)
            self.command, env=environment, start_new_session=True, pass_fds=[lifeline]
        )
        self.started_at = time.monotonic()


class Supervisor:
    """Keeps the children running until told to stop."""

    def __init__(
        self,
        roles: Sequence[tuple[str, str]],
        arguments: Sequence[str],
        ops: OpsAddress,
        stop_s: float,
    ) -> None:
        """Take (name, role) of each child, the arguments of all, and how long a stop may take."""
        self._ops = ops
        self._stop_s = stop_s
        self._lifeline, self._held_end = os.pipe()
        self._stop = threading.Event()
        self._exit = 0
        self._resources = ExitStack()
        run_dir = tempfile.mkdtemp(prefix="watchgate-")  # short: a socket's path has 107 bytes
        self._resources.callback(shutil.rmtree, run_dir, ignore_errors=True)
        metrics_dir = Path(run_dir) / "metrics"
        metrics_dir.mkdir()
        self._environment = {**os.environ, METRICS_FOLDER: str(metrics_dir)}
        self._metrics_dir = str(metrics_dir)
        self._children = [
            self._child(name, role, arguments, f"{run_dir}/{name}.sock") for name, role in roles
        ]

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, then stop the children in order; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        app = make_ops_app(self.readiness, self._metrics_text)
        serve_in_thread(ops_server(app, self._ops))
        with self._resources:
            while not self._stop.wait(_TICK_S):
                for child in self._children:
                    self._tend(child)
            self._end()
        return self._exit

    def readiness(self) -> list[Reason]:
        """Ask every child: the whole is ready when each of them is."""
        return [reason for child in self._children for reason in _ask(child)]

    def _child(self, name: str, role: str, arguments: Sequence[str], path: str) -> Child:
        own = ["--ops-socket", path, "--lifeline", str(self._lifeline)]
        return Child(name, [sys.executable, "-m", "service.cli", role, *own, *arguments], path)

    def _tend(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.next_start:
                child.start(self._environment, self._lifeline)
            return
        code = child.process.poll()
        if code is None:
            return
        _forget_gauges(self._metrics_dir, child.process.pid)
        child.process = None
        if code == _USAGE:
            self._exit = _USAGE
            self._stop.set()
            return
        steady = now - child.started_at >= _STEADY_S
        child.failures = 0 if steady else child.failures + 1
        pause_s = 0.0 if steady else min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**child.failures)
        child.next_start = now + pause_s
        _log.warning("%s ended", child.name, extra={"exit_code": code, "pause_s": pause_s})

    def _end(self) -> None:
        """Stop the children one after another: gateways first, so that nothing new comes."""
        for child in self._children:
            if child.process is not None:
                child.process.terminate()
                try:
                    child.process.wait(self._stop_s)
                except subprocess.TimeoutExpired:
                    _log.error("%s did not stop", child.name)
                    child.process.kill()
                    child.process.wait()

    def _metrics_text(self) -> bytes:
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._metrics_dir)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _forget_gauges(folder: str, pid: int) -> None:
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(pid, path=folder)  # type: ignore[no-untyped-call]


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
    connection = _SocketConnection(child.socket, timeout_s=2.0)
    try:
        connection.request("GET", "/ready")
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return [Reason("not_running", f"{child.name} does not answer yet")]
    finally:
        connection.close()
    return [
        Reason(reason["code"], f"{child.name}: {reason['message']}", reason["model"])
        for reason in answer["reasons"]
    ]
