"""Starting programs, waiting until they answer, and stopping them again."""

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from service.errors import WatchgateError

POLL_S: Final = 0.3
TOLD_EVERY_S: Final = 10.0
KEPT_LINES: Final = 15


class Stopped(Exception):
    """The person does not want to go on."""


class PartEnded(WatchgateError):
    """A program ended, or does not answer; the message ends with the last lines of its log."""


@dataclass(slots=True)
class Part:
    """One program, in a session of its own: a Ctrl-C reaches us alone."""

    name: str
    command: Sequence[str]
    stop_s: float
    log: Path = field(default=Path(os.devnull))
    process: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path) -> None:
        """Start it, its words going to a log file in the folder."""
        self.log = folder / f"{self.name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise PartEnded if it has ended."""
        if self.process is not None and self.process.poll() is not None:
            code = self.process.returncode
            raise PartEnded(f"{self.name} ended with exit code {code}; {self.last_words()}")

    def last_words(self) -> str:
        """Return the last lines of its log, and where the rest is."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([f"the end of {self.log}:", *lines[-KEPT_LINES:]])

    def stop(self) -> None:
        """End it, and whatever it left in its session."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(self.stop_s)
        except subprocess.TimeoutExpired:
            self._kill()
            self.process.wait()

    def _kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)


@contextmanager
def started(parts: Sequence[Part], folder: Path, stop: threading.Event) -> Iterator[Sequence[Part]]:
    """Start the parts, and stop them in the same order whatever happens."""
    try:
        for part in parts:
            if stop.is_set():
                raise Stopped
            part.start(folder)
        yield parts
    finally:
        for part in parts:
            part.stop()


def until_ready(  # noqa: PLR0913, PLR0917  (what waiting asks for)
    url: str,
    name: str,
    parts: Sequence[Part],
    stop: threading.Event,
    limit_s: float,
    say: Callable[[str], None],
) -> None:
    """Wait until a GET gives 200, saying now and then how long that takes.

    Raises:
        Stopped: the person does not want to wait.
        PartEnded: a part ended, or the limit has passed.
    """
    begun = told = time.monotonic()
    while get(url) is None:
        for part in parts:
            part.check()
        now = time.monotonic()
        if now - begun > limit_s:
            raise PartEnded(f"{name} was not ready within {limit_s:.0f} s; {parts[0].last_words()}")
        if now - told >= TOLD_EVERY_S:
            told = now
            say(f"{name} is starting, {now - begun:.0f} s")
        if stop.wait(POLL_S):
            raise Stopped
    say(f"{name} is ready")


def get(url: str) -> bytes | None:
    """Return the body of an answer with status 200, else None. No proxy is asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            body: bytes = answer.read()
            return body
    except (OSError, http.client.HTTPException, urllib.error.URLError):
        return None


def is_taken(host: str, port: int) -> bool:
    """Say whether something else listens there already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False
