"""CPU time of a process and all its descendants, from Linux's /proc.

What the kernel does for a process while it sends and receives is charged to that process; the idle
part of its connections (timers of TCP, interrupts) is nobody's and is not counted.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessTimes:
    """One process: `ticks` is its user and system time and that of the children it waited for."""

    pid: int
    parent: int
    ticks: int


def parse_stat(text: str) -> ProcessTimes:
    """Reads `/proc/PID/stat`; the second field is a name that may hold blanks and brackets."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return ProcessTimes(
        pid=int(head.partition(" ")[0]),
        parent=int(fields[1]),
        ticks=sum(int(field) for field in fields[11:15]),  # utime, stime, cutime, cstime
    )


def tree_ticks(processes: Iterable[ProcessTimes], root: int) -> int:
    """Ticks of `root` and its descendants.

    A child's time moves to its parent when it ends, so the sum never falls; a daemon that left its
    parent is not found.
    """
    return sum(process.ticks for process in _tree(processes, root))


def tree_cpu_us(root: int) -> float:
    """CPU-µs so far of the live process `root` and its descendants, in steps of a kernel tick."""
    return tree_ticks(_live_processes(), root) * 1e6 / TICKS_PER_S


def tree_pids(root: int) -> list[int]:
    """The live process `root` and its descendants."""
    return [process.pid for process in _tree(_live_processes(), root)]


def pid_with_word(root: int, word: str) -> int:
    """The process of the tree that has this word in its command line; 0 where none has."""
    return next((pid for pid in tree_pids(root) if word in _words(pid)), 0)


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
        return []


def _tree(processes: Iterable[ProcessTimes], root: int) -> list[ProcessTimes]:
    by_pid = {process.pid: process for process in processes}
    return [process for process in by_pid.values() if _descends(process, root, by_pid)]


def _descends(process: ProcessTimes, root: int, by_pid: Mapping[int, ProcessTimes]) -> bool:
    current: ProcessTimes | None = process
    while current and current.pid != root:
        current = by_pid.get(current.parent)
    return current is not None


def _live_processes() -> Iterator[ProcessTimes]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield parse_stat(path.read_text())
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
