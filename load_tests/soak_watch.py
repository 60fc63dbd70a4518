"""What the soak looks at while the load lasts: memory, open files, and gaps in coverage."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from load_tests.counters import counted
from load_tests.cpu import tree_pids
from load_tests.memory import pss_bytes
from load_tests.stats import rise
from load_tests.systems import Running

MIB: Final = 1 << 20
SAMPLES: Final = 120
SHORTEST_SAMPLE_S: Final = 0.5
JUDGED_FROM_S: Final = 120.0
FLAT_SHARE: Final = 0.03
"""Memory, or the number of open files, is flat when the line through its second half rises by at
most this share of it. docs/reliability.md says why."""
HANDLES_LEFT: Final = 64
"""So many files more than before the load may be open when it is over: segments that readers hold,
and connections that were kept."""
HANDLES_FALL_S: Final = 30.0
"""Connections to an upstream are kept for 4 s (`keep_alive_s`) after the last answer; those that
are open for longer than this have been forgotten."""


@dataclass(frozen=True, slots=True)
class Series:
    """A quantity of the process tree, at even distances while the load lasted."""

    samples: Sequence[float]

    def figures(self, unit: float = 1.0) -> dict[str, float]:
        """First, middle of the second half, highest, and the rise of the line through it."""
        second = self.samples[len(self.samples) // 2 :]
        middle = sorted(second)[len(second) // 2]
        return {
            "first": self.samples[0] / unit,
            "middle": middle / unit,
            "highest": max(self.samples) / unit,
            "rise": rise(second) / unit,
            "rise_share": rise(second) / middle if middle else 0.0,
        }


@dataclass(slots=True)
class Watched:
    """What was seen; memory in bytes."""

    memory: list[float] = field(default_factory=list)
    handles: list[float] = field(default_factory=list)
    handles_before: int = 0
    handles_after: int = 0
    most_gaps: float = 0.0


@contextmanager
def watching(system: Running, seconds: float, watched: Watched) -> Iterator[None]:
    """Looks again and again while the block lasts, for at most so long."""
    ended = threading.Event()
    step_s = max(SHORTEST_SAMPLE_S, seconds / SAMPLES)

    def look() -> None:
        until = time.monotonic() + seconds
        while not ended.wait(step_s) and time.monotonic() < until:
            _look(system, watched)

    watched.handles_before = handles(system.pid)
    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield
    finally:
        ended.set()
        looker.join()


def handles(root: int) -> int:
    """How many files, sockets and pipes the process tree holds open."""
    return sum(map(_handles, tree_pids(root)))


def handles_at_rest(root: int, before: int) -> int:
    """How many are open once idle connections have ended, or as it is after the limit."""
    deadline = time.monotonic() + HANDLES_FALL_S
    while (count := handles(root)) - before > HANDLES_LEFT and time.monotonic() < deadline:
        time.sleep(SHORTEST_SAMPLE_S)
    return count


def _look(system: Running, watched: Watched) -> None:
    pids = tree_pids(system.pid)
    watched.memory.append(pss_bytes(pids))
    watched.handles.append(sum(map(_handles, pids)))
    with suppress(OSError):  # a busy machine may answer late: the next look is soon
        gaps = counted(system.ops_url)["watchgate_coverage_gap_exchanges"]
        watched.most_gaps = max(watched.most_gaps, gaps)


def _handles(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  (names are enough)
    return 0


def problems(watched: Watched, seconds: float) -> Iterator[str]:
    """What is wrong with it; a short soak says nothing of trends."""
    if watched.most_gaps:
        yield f"up to {watched.most_gaps:g} gaps in coverage while the load lasted"
    left = watched.handles_after - watched.handles_before
    if left > HANDLES_LEFT:
        yield f"{left} files more are open at the end than before the load"
    if seconds < JUDGED_FROM_S:
        return
    for name, samples, unit in (
        ("memory", watched.memory, MIB),
        ("the number of open files", watched.handles, 1),
    ):
        seen = Series(samples).figures(unit)
        if seen["rise_share"] > FLAT_SHARE:
            yield (
                f"{name} rose by {seen['rise']:.1f}{' MiB' if unit == MIB else ''} over the second "
                f"half, over {FLAT_SHARE:.0%} of {seen['middle']:.0f}"
            )
