"""What the system tells of processes, read when it is asked for: CPU, memory, open files.

Under `watchgate up` the supervisor tells it of each process; prometheus_client's own collector has
no way to. Linux tells it in /proc; elsewhere there is the version alone.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from service.telemetry.build import build_version
from service.telemetry.making import PREFIX, Spec

Pids = Callable[[], Mapping[str, int]]
"""Returns the processes that run now, by name."""

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_MAX_FILES: Final = re.compile(r"^Max open files\s+(\d+)", re.MULTILINE)
_OF_PROCESS: Final = ("process",)
_CPU: Final = Spec(
    PREFIX + "process_cpu_seconds_total", "counter",
    "User and system time of a process. It starts anew when the process does.", _OF_PROCESS,
)  # fmt: skip
_MEMORY: Final = Spec(
    PREFIX + "process_resident_memory_bytes", "gauge",
    "Memory of a process that is in RAM, shared pages included.", _OF_PROCESS,
)  # fmt: skip
_OPEN: Final = Spec(
    PREFIX + "process_open_fds", "gauge",
    "Files, sockets and pipes that a process has open.", _OF_PROCESS,
)  # fmt: skip
_MOST: Final = Spec(
    PREFIX + "process_max_fds", "gauge",
    "How many of them it may have open at once.", _OF_PROCESS,
)  # fmt: skip
_BUILD: Final = Spec(
    PREFIX + "build_info", "gauge", "1, by the version of Watchgate that runs.", ("version",)
)  # fmt: skip
SPECS: Final = (_CPU, _MEMORY, _OPEN, _MOST, _BUILD)


class ProcessCollector(Collector):
    """Tells of processes whenever metrics are asked for."""

    def __init__(self, pids: Pids) -> None:
        """Keep what knows the processes."""
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each of `SPECS`; a process that has just ended is left out."""
        build = GaugeMetricFamily(_BUILD.name, _BUILD.help, labels=_BUILD.labels)
        build.add_metric([build_version()], 1)
        yield build
        found = {name: values for name, pid in self._pids().items() if (values := _look(pid))}
        for spec in (_CPU, _MEMORY, _OPEN, _MOST):
            family = _FAMILIES[spec.kind](spec.name, spec.help, labels=spec.labels)
            for name, values in found.items():
                family.add_metric([name], values[spec])
            yield family

    def describe(self) -> Iterator[Metric]:
        """Tell nothing before it is asked for."""
        return iter(())


_FAMILIES: Final[Mapping[str, type[CounterMetricFamily | GaugeMetricFamily]]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
}


def this_process(name: str) -> ProcessCollector:
    """Return what tells of the process that it is in."""
    pid = os.getpid()
    return ProcessCollector(lambda: {name: pid})


def _look(pid: int) -> Mapping[Spec, float] | None:
    """Return what the system tells of a process; None: it has ended, or this is no Linux."""
    folder = Path(f"/proc/{pid}")
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        most = _MAX_FILES.search((folder / "limits").read_text())
        return {
            _CPU: (int(fields[11]) + int(fields[12])) / _TICKS_PER_S,  # utime, stime
            _MEMORY: int(fields[21]) * _PAGE_BYTES,
            _OPEN: len([*(folder / "fd").iterdir()]),
            _MOST: float(most[1]) if most else float("inf"),
        }
    except (OSError, IndexError):
        return None
