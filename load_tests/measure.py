"""One measurement: load on one system, and the CPU time that the system took for it."""

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from load_tests.cpu import tree_cpu_us
from load_tests.processes import BenchError, compiled, pinned
from load_tests.systems import Running

BODY_BYTES: Final = 1536
CONNECTIONS: Final = 16
STREAMS: Final = 100
STREAM_MODEL: Final = "mock-20-100"
"""100 chunks, one every 20 ms: the mock's own names say how it streams."""
STREAM_EVENTS: Final = 101
"""The chunks and the usage chunk; [DONE] is not counted."""
STREAM_S: Final = 2.0
STAGGER_US: Final = 3700
"""Between the starts of two streams: no divisor of 20 ms, so the streams do not tick together."""
SHAPES: Final = MappingProxyType(
    {"json": (CONNECTIONS,), "sse": (STREAMS, STREAM_EVENTS, STAGGER_US)}
)
"""What load.c takes for each kind: connections, and for streams their events and their stagger."""
PROBE_MODEL: Final = "mock-1-3"
PROBE_EVENTS: Final = 4
PROBE_S: Final = 1.0
SETTLE_STEP_S: Final = 0.2
SETTLE_LIMIT_S: Final = 60.0
SETTLED_US: Final = 20_000.0
"""A step that takes at most a tenth of a core is rest."""

Kind = Literal["json", "sse"]


@dataclass(frozen=True, slots=True)
class Load:
    """What the load client saw: complete answers, events in them, and latencies in µs."""

    requests: int
    events: int
    errors: int
    seconds: float
    first_byte_us: dict[str, float]
    latency_us: dict[str, float]


@dataclass(frozen=True, slots=True)
class Measurement:
    """CPU-µs per request (`json`) or per event (`sse`) of the whole process tree."""

    cpu_us: float
    load: Load


@dataclass(frozen=True, slots=True)
class SystemRound:
    """All that one round says of one system."""

    json: Measurement
    sse: Measurement
    added_first_byte_us: float


Round = Mapping[str, SystemRound]


def http_request(*, model: str, stream: bool, key: str) -> bytes:
    """A chat completion of exactly 1.5 KiB of body; `@@@@@@@@@@@@` becomes a number per request."""
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    system = {"role": "system", "content": "You are a helpful assistant. Answer in short."}
    user = {"role": "user", "content": "Question @@@@@@@@@@@@: "}
    payload = {"model": model, "messages": [system, user], "max_tokens": 128, **options}
    missing = BODY_BYTES - len(json.dumps(payload))
    user["content"] += _prose(missing)
    body = json.dumps(payload)
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.test\r\nUser-Agent: bench\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Accept: */*\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


@dataclass(frozen=True, slots=True)
class Client:
    """The load client: keeps its requests in `folder`, runs on `core`."""

    folder: Path
    core: int | None

    def measure(self, kind: Kind, system: Running, seconds: float) -> Measurement:
        """Puts 16 connections of requests, or 100 streams, on the system for about `seconds`.

        Raises:
            BenchError: an answer was wrong, incomplete or absent.
        """
        length_s = whole_streams_s(seconds) if kind == "sse" else seconds
        before_us = _settled_cpu_us(system)
        load = self._load(kind, system, STREAM_MODEL, length_s, *SHAPES[kind])
        spent_us = _settled_cpu_us(system) - before_us
        return Measurement(spent_us / (load.events if kind == "sse" else load.requests), load)

    def first_byte_us(self, system: Running) -> float:
        """Median time to the first byte of a streamed answer's body, one stream at a time."""
        load = self._load("sse", system, PROBE_MODEL, PROBE_S, 1, PROBE_EVENTS, 0)
        return load.first_byte_us["p50"]

    def _load(
        self, kind: Kind, system: Running, model: str, seconds: float, connections: int, *rest: int
    ) -> Load:
        request = self.folder / f"{system.name}-{kind}-{model}.http"
        request.write_bytes(http_request(model=model, stream=kind == "sse", key=system.key))
        words = (kind, system.port, connections, seconds, request, *rest)
        command = pinned([compiled("load"), *map(str, words)], self.core)
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise BenchError(f"load on {system.name} failed: {done.stderr.strip()}")
        return checked(system.name, Load(**json.loads(done.stdout)), done.stderr.strip())


def whole_streams_s(seconds: float) -> float:
    """When to start no more streams, so that every connection has had equally many.

    Half a stream before the end of the last: else some connections would begin another, and its
    events would be measured with few streams beside it.
    """
    return (max(1, round(seconds / STREAM_S)) - 0.5) * STREAM_S


def checked(name: str, load: Load, said: str) -> Load:
    """The load, if every answer was right: a figure for errors is no figure."""
    if load.errors or not load.requests:
        raise BenchError(f"{name}: {load.errors} of {load.requests} answers were wrong: {said}")
    return load


def _settled_cpu_us(system: Running) -> float:
    """CPU time once the system has done all that its answers left to do (records, screening)."""
    deadline = time.monotonic() + SETTLE_LIMIT_S
    spent = tree_cpu_us(system.pid)
    while time.monotonic() < deadline:
        time.sleep(SETTLE_STEP_S)
        before, spent = spent, tree_cpu_us(system.pid)
        if spent - before <= SETTLED_US:
            return spent
    raise BenchError(
        f"{system.name} was still at work {SETTLE_LIMIT_S:.0f} s after its last answer, so its "
        "cost is unknown: try shorter rounds with --seconds"
    )


def _prose(size: int) -> str:
    """`size` characters of plain English in which no sentence comes twice."""
    sentences = (
        f"In year {number} the town counted {number * 37 % 1000} lamps by the river. "
        for number in range(size)
    )
    return "".join(sentences)[:size]
