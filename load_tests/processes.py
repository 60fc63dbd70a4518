"""Programs as children: compiled, started on a core, waited for, stopped."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
ROOT: Final = FOLDER.parent
CACHE: Final = ROOT / ".cache" / "bench"
START_S: Final = 30.0
STOP_S: Final = 10.0


class BenchError(RuntimeError):
    """The benchmark cannot go on; the text says why and what to do."""


def compiled(name: str) -> Path:
    """The program made from `load_tests/NAME.c`, compiled unless these sources already were."""
    sources = [FOLDER / f"{name}.c", *sorted(FOLDER.glob("*.h"))]
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
    program = CACHE / f"{name}-{digest[:12]}"
    if not program.exists():
        _compile(FOLDER / f"{name}.c", program)
    return program


def _compile(source: Path, program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_name(f"{program.name}.{os.getpid()}")
    try:
        subprocess.run(["gcc", "-O2", "-Wall", "-o", unfinished, source], check=True, timeout=120)
    except FileNotFoundError:
        raise BenchError("gcc is needed: sudo apt-get install gcc libc6-dev") from None
    except subprocess.CalledProcessError:
        raise BenchError(f"gcc could not compile {source.name}: see its messages above") from None
    unfinished.rename(program)


def pinned(command: Sequence[object], core: int | None) -> list[str]:
    """The command, kept on one core (`taskset` becomes the program, the process id is the same)."""
    words = [str(word) for word in command]
    return words if core is None else ["taskset", "-c", str(core), *words]


@contextmanager
def child(
    command: Sequence[object], *, log: Path, core: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program until the block ends; what it says goes to `log`."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            pinned(command, core),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(command, process)


def _stop(command: Sequence[object], process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        print(f"{command[0]} did not stop in {STOP_S:.0f} s and is killed", file=sys.stderr)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # a session of its own: only it and its children
    process.wait(STOP_S)


def wait_until(
    is_up: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, *, limit_s: float
) -> None:
    """Polls until `is_up`.

    Raises:
        BenchError: the program ended or `limit_s` passed before; the text ends with its last words.
    """
    deadline = time.monotonic() + limit_s
    while not is_up():
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            what = f"ended with {process.returncode}" if ended else f"not up in {limit_s:.0f} s"
            raise BenchError(f"{log.stem} {what}:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Whether something accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers_200(url: str) -> bool:
    """Whether GET gives 200, within a second."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310  (our own http URL)
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


_given: Final[set[int]] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago, and that was not given before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def filesystem_type(path: Path, mountinfo: str) -> str:
    """Type (`ext4`, `tmpfs` ...) of what holds `path`, from the text of `/proc/self/mountinfo`."""
    found, kind = Path("/"), "unknown"
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        mount = Path(before.split()[4].replace(r"\040", " "))
        if path.is_relative_to(mount) and len(mount.parts) >= len(found.parts):
            found, kind = mount, after.split()[0]
    return kind


def cores() -> tuple[int | None, int | None]:
    """Core for the system under test and core for load and mock: none with a single core."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)
