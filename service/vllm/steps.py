"""Long commands with their progress shown: set-up steps never leave a person guessing."""

import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from service.vllm.home import Say, VllmError

HEARTBEAT_S = 10.0
KEPT_LINES = 20

Describe = Callable[[str], str | None]
"""Turns a line of a command's output into a line of progress, or into nothing."""


def run_step(
    title: str,
    command: Sequence[str],
    say: Say,
    describe: Describe = lambda _: None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a command to its end, saying what `describe` makes of its output and a heartbeat.

    Raises:
        VllmError: it failed; the message ends with the last lines of its output.
    """
    say(title)
    started_s = time.monotonic()
    ended = threading.Event()
    ticker = threading.Thread(target=_tick, args=(title, ended, started_s, say), daemon=True)
    ticker.start()
    try:
        code, tail = _follow(command, say, describe, environment)
    finally:
        ended.set()
    if code != 0:
        raise VllmError(f"{title}: failed with exit code {code}\n" + "".join(tail))
    say(f"{title}: done in {time.monotonic() - started_s:.0f} s")


def _tick(title: str, ended: threading.Event, started_s: float, say: Say) -> None:
    while not ended.wait(HEARTBEAT_S):
        say(f"{title}: {time.monotonic() - started_s:.0f} s")


def _follow(
    command: Sequence[str], say: Say, describe: Describe, environment: Mapping[str, str] | None
) -> tuple[int, Iterable[str]]:
    tail: deque[str] = deque(maxlen=KEPT_LINES)
    with subprocess.Popen(  # noqa: S603 — our own commands, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as process:
        for line in process.stdout or ():
            tail.append(line)
            if told := describe(line):
                say(told)
    return process.returncode, tail
