"""One measurement: load on one system, and what the system took for it."""

import json
import subprocess
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from load_tests.counters import counted, is_at_rest
from load_tests.cpu import TICKS_PER_S, tree_cpu_us
from load_tests.memory import tree_pss_bytes
from load_tests.processes import BenchError, compiled, pinned
from load_tests.systems import Running
from load_tests.workloads import KIB, PROBE, SSE_1000, Workload

PROBE_S: Final = 1.0
WARM_UP_S: Final = 0.5
SAMPLE_S: Final = 0.25
LOAD_LIMIT_S: Final = 300.0
SETTLE_STEP_S: Final = 0.2
SETTLE_LIMIT_S: Final = 120.0
SETTLED_US: Final = 20_000.0
"""A step that takes at most a tenth of a core is rest."""
FEWEST_TICKS: Final = 5
TRIES: Final = 3


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
class Reading:
    """One figure of one system in one round; `per_second` are requests or events, if any.

    `gateway` is the part of it that the process on a request's way took, where there are others.
    """

    value: float
    per_second: float
    load: Load
    gateway: float | None = None


def http_request(workload: Workload, key: str, headers: Mapping[str, str] | None = None) -> bytes:
    """A chat completion with a body of exactly the workload's size, as load.c takes it.

    `@@@@@@@@@@@@` becomes a number and the run of `~` words, new in each request.
    """
    options = {"stream": True, "stream_options": {"include_usage": True}} if workload.stream else {}
    system = {"role": "system", "content": "You are a helpful assistant. Answer in short."}
    user = {"role": "user", "content": "Question @@@@@@@@@@@@: "}
    messages = [system, user]
    payload = {"model": workload.model, "messages": messages, "max_tokens": 128, **options}
    user["content"] += "~" * (workload.body_bytes - len(json.dumps(payload)))
    body = json.dumps(payload)
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.test\r\nUser-Agent: bench\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n{more}"
        f"Accept: */*\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


@dataclass(frozen=True, slots=True)
class Client:
    """The load client: keeps its requests in `folder`, runs on `core`."""

    folder: Path
    core: int | None

    def cpu(self, workload: Workload, system: Running, seconds: float) -> Reading:
        """CPU-µs per request, or per event of a stream, of the whole process tree.

        Raises:
            BenchError: an answer was wrong, incomplete or absent.
        """
        for _ in range(TRIES):
            before_us, gateway_before_us = settled_cpu_us(system), _gateway_cpu_us(system)
            load = self.load(workload, system, workload.length_s(seconds))
            spent_us = settled_cpu_us(system) - before_us
            gateway_us = _gateway_cpu_us(system) - gateway_before_us
            if spent_us >= FEWEST_TICKS * 1e6 / TICKS_PER_S:
                count = load.events if workload.stream else load.requests
                gateway = gateway_us / count if system.gateway_pid else None
                return Reading(spent_us / count, count / load.seconds, load, gateway)
        raise BenchError(
            f"{system.name} did too little in {seconds:g} s to be measured: this machine is too "
            "busy with other work, or --seconds too short"
        )

    def added_first_byte(self, system: Running, floor: Running) -> Reading:
        """Median µs to the first byte of a streamed answer's body, beyond that of `floor`.

        One stream at a time, and the floor right before, so that the machine is the same for both.
        """
        floor_us = self.load(PROBE, floor, PROBE_S).first_byte_us["p50"]
        load = self.load(PROBE, system, PROBE_S)
        return Reading(load.first_byte_us["p50"] - floor_us, 0, load)

    def stream_memory(self, fresh: AbstractContextManager[Running]) -> Reading:
        """KiB that each open stream takes of a system which has just been started.

        The most that its process tree held while 1,000 streams were open, less what it held when
        it was warm and none was, less the request's body; for each stream.
        """
        workload = SSE_1000
        with fresh as system:
            self.load(PROBE, system, WARM_UP_S)
            settled_cpu_us(system)
            before = tree_pss_bytes(system.pid)
            peak, load = self._peak(workload, system)
        each = (peak - before) / workload.connections - workload.body_bytes
        return Reading(each / KIB, 0, load)

    def _peak(self, workload: Workload, system: Running) -> tuple[int, Load]:
        process = self._start(workload, system, workload.length_s(0))
        peak = 0
        while process.poll() is None:
            peak = max(peak, tree_pss_bytes(system.pid))
            time.sleep(SAMPLE_S)
        return peak, _finished(system, process)

    def load(self, workload: Workload, system: Running, seconds: float) -> Load:
        """Puts the workload on the system and waits until all answers are complete."""
        return _finished(system, self._start(workload, system, seconds))

    def _start(
        self, workload: Workload, system: Running, seconds: float
    ) -> "subprocess.Popen[str]":
        request = self.folder / f"{system.name}-{workload.name}.http"
        request.write_bytes(http_request(workload, system.key, system.headers))
        shape = workload.shape(system.extra_events)
        words = (workload.kind, system.port, workload.connections, seconds, request, *shape)
        return subprocess.Popen(
            pinned([compiled("load"), *map(str, words)], self.core),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def checked(name: str, load: Load, said: str) -> Load:
    """The load, if every answer was right: a figure for errors is no figure."""
    if load.errors or not load.requests:
        raise BenchError(f"{name}: {load.errors} of {load.requests} answers were wrong: {said}")
    return load


def _finished(system: Running, process: "subprocess.Popen[str]") -> Load:
    try:
        out, said = process.communicate(timeout=LOAD_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise BenchError(f"load on {system.name} took over {LOAD_LIMIT_S:.0f} s") from None
    if process.returncode:
        raise BenchError(f"load on {system.name} failed: {said.strip()}")
    told: dict[str, Any] = json.loads(out)
    return checked(system.name, Load(**told), said.strip())


def settled_cpu_us(system: Running) -> float:
    """CPU time once the system has done all that its answers left to do (records, screening)."""
    deadline = time.monotonic() + SETTLE_LIMIT_S
    spent = tree_cpu_us(system.pid)
    while time.monotonic() < deadline:
        time.sleep(SETTLE_STEP_S)
        before, spent = spent, tree_cpu_us(system.pid)
        if spent - before <= SETTLED_US and _has_screened_all(system):
            return spent
    raise BenchError(
        f"{system.name} was still at work {SETTLE_LIMIT_S:.0f} s after its last answer, so its "
        "cost is unknown: try shorter rounds with --seconds"
    )


def _gateway_cpu_us(system: Running) -> float:
    return tree_cpu_us(system.gateway_pid) if system.gateway_pid else 0.0


def _has_screened_all(system: Running) -> bool:
    return not system.ops_url or is_at_rest(counted(system.ops_url))
