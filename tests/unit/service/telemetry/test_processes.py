"""What the system tells of processes."""

import os
import subprocess
import sys
import time
from importlib.metadata import version

from prometheus_client import CollectorRegistry

from service.telemetry.processes import SPECS, ProcessCollector, this_process


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(f"watchgate_{name}", labels)
    assert found is not None, name
    return found


def test_a_process_tells_what_it_takes() -> None:
    registry = CollectorRegistry()
    registry.register(this_process("tests"))
    before = value(registry, "process_cpu_seconds_total", process="tests")
    assert before > 0
    end = time.process_time() + 0.05  # more than a tick of the kernel's clock
    while time.process_time() < end:
        pass
    assert value(registry, "process_cpu_seconds_total", process="tests") > before
    assert value(registry, "process_resident_memory_bytes", process="tests") > 2**20
    opened = value(registry, "process_open_fds", process="tests")
    reading, writing = os.pipe()
    assert value(registry, "process_open_fds", process="tests") == opened + 2
    os.close(reading)
    os.close(writing)
    assert value(registry, "process_max_fds", process="tests") >= opened
    assert value(registry, "build_info", version=version("watchgate")) == 1


def test_all_that_is_described_is_told_and_nothing_else() -> None:
    registry = CollectorRegistry()
    registry.register(this_process("tests"))
    told = {sample.name for family in registry.collect() for sample in family.samples}
    assert told == {spec.name for spec in SPECS}


def test_a_process_that_has_ended_is_left_out() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    registry = CollectorRegistry()
    registry.register(ProcessCollector(lambda: {"ended": ended.pid, "tests": os.getpid()}))
    names = {
        sample.labels["process"]
        for family in registry.collect()
        for sample in family.samples
        if "process" in sample.labels
    }
    assert names == {"tests"}
