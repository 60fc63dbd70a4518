"""Engines of vLLM on the CPU that do jobs with the plugin on, or off."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from load_tests.probed_engine import GATEWAY
from load_tests.processes import FOLDER, STOP_S, BenchError
from service.vllm.home import default_home
from service.vllm.launch import MAX_MODEL_LEN_TOKENS, cpu_environment
from service.vllm.probes import SHIPPED, environment_for_probes
from vllm_probe.wire import LENGTH, SUFFIX, Hello, Update

_SCRIPT: Final = FOLDER / "probed_engine.py"


class Job(msgspec.Struct, frozen=True):
    """What an engine is to generate."""

    prompts: tuple[str | dict[str, list[int]], ...]
    """Texts, or `{"prompt_token_ids": …}`."""
    tokens: int
    """So many for each prompt."""
    first: int
    """Its number; each has one of its own."""
    probed: bool = True
    """Do it with the plugin on."""
    times_plugin: bool = False
    """Have the plugin's share of each of its steps measured."""


class Done(msgspec.Struct, frozen=True):
    """What a job took."""

    cpu_s: float
    """Of all threads of the engine's process, which has no children."""
    steps_s: list[float]
    """The first read prompts, the last learns that all have ended, others generate a token each."""
    reads_s: list[float]
    """What of each step the plugin took; empty if that was not asked."""
    tokens: list[list[int]]
    """By the number of their prompts."""
    first: int
    """The number of the job."""

    @property
    def seconds(self) -> float:
        """What its steps took."""
        return sum(self.steps_s)


class Engine:
    """A process of vLLM's Python."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Say what is to be loaded; the first job waits for that."""
        self._process = process
        self._log = log
        model = str(default_home().models / "smollm2")
        loading = {"model": model, "dtype": "float32", "enforce_eager": True}
        self._say({**loading, "max_model_len": MAX_MODEL_LEN_TOKENS})

    def wait(self) -> None:
        """Wait until it is up."""
        self._hear()

    def begin(self, job: Job) -> None:
        """Give it a job; it waits before the first step."""
        self._say(msgspec.to_builtins(job))
        self._hear()

    def step(self) -> Done | None:
        """Have it take a step; return what the job took when that was the last."""
        self._say({})
        return msgspec.json.decode(self._hear(), type=Done | None)

    def do(self, job: Job) -> Done:
        """Have it do a job."""
        self.begin(job)
        while (done := self.step()) is None:
            pass
        return done

    def _say(self, what: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()

    def _hear(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            last = self._log.read_text(errors="replace")[-3000:]
            raise BenchError(f"the engine {self._log.stem} ended:\n{last}")
        return line


class Gateway(threading.Thread):
    """A gateway's end of the plugins' sockets: counts the answers that it is told whole."""

    def __init__(self, folder: Path) -> None:
        """Listen in a folder."""
        super().__init__(daemon=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / f"{GATEWAY}{SUFFIX}"))
        self._server.listen()
        self.read: dict[int, int] = {}
        """Of so many tokens of the answer with this number."""

    def run(self) -> None:
        """Listen to whichever plugin comes."""
        while True:
            connection, _ = self._server.accept()
            threading.Thread(target=self._listen, args=(connection,), daemon=True).start()

    def _listen(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            msgspec.msgpack.decode(_frame(stream), type=Hello)
            while frame := _frame(stream):
                for it in msgspec.msgpack.decode(frame, type=list[Update]):
                    if it.part == "answer" and it.ended:
                        number, _, _ = it.request.removeprefix(f"ex-{GATEWAY}").partition("-")
                        self.read[int(number, 16)] = it.read


def _frame(stream: BinaryIO) -> bytes:
    """Read a frame; none: the plugin has gone."""
    head = stream.read(LENGTH.size)
    return stream.read(*LENGTH.unpack(head)) if head else b""


def by_turns(jobs: Sequence[tuple[Engine, Job]]) -> list[Done]:
    """Have each engine do its job, a step each; who is first in a step is last in the next."""
    for engine, job in jobs:
        engine.begin(job)
    found: dict[int, Done] = {}
    order = range(len(jobs))
    while len(found) < len(jobs):
        for number in order:
            if (done := jobs[number][0].step()) is not None:
                found[number] = done
        order = order[::-1]
    return [found[number] for number in range(len(jobs))]


@contextmanager
def engines(folder: Path, count: int = 2) -> Iterator[tuple[list[Engine], Gateway]]:
    """Run engines with the shipped probes, that wait for jobs."""
    gateway = Gateway(folder)
    gateway.start()
    probes = environment_for_probes(default_home(), SHIPPED, folder, {})
    with ExitStack() as stack:
        running = [
            stack.enter_context(_engine(folder / f"engine-{number}.log", probes))
            for number in range(count)
        ]
        for it in running:
            it.wait()
        yield running, gateway


@contextmanager
def _engine(log: Path, more: Mapping[str, str]) -> Iterator[Engine]:
    python = default_home().python
    if not python.exists():
        raise BenchError("vLLM is not installed: watchgate vllm --prepare")
    given = {name: it for name, it in os.environ.items() if name != "PYTHONPATH"}
    environment = {
        **given,
        **cpu_environment(os.cpu_count() or 1),
        # else the engine is a child, and cannot be asked step by step
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        **more,
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [python, "-P", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=out,
            env=environment,
        )
    try:
        yield Engine(process, log)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)
