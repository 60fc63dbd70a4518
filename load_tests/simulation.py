"""A small discrete-event simulation of servers behind one queue, to check the formulas by.

Jobs come at random (Poisson), and wait in the order in which they came for the first server that is
free. Nothing here knows the formulas of queueing.py.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from load_tests.queueing import Work


@dataclass(frozen=True, slots=True)
class Seen:
    """What happened: mean waiting, share of the servers' time at work, mean jobs in the system."""

    wait_s: float
    utilisation: float
    in_system: float


def simulate(kinds: Sequence[Work], servers: int, jobs: int, seed: int = 1) -> Seen:
    """Serves so many jobs, in the mix of their rates, and says what was seen.

    The first tenth is let by: the queue begins empty.
    """
    chance = Random(seed)  # noqa: S311  (a simulation)
    rate = sum(kind.rate for kind in kinds)
    weights = [kind.rate for kind in kinds]
    free_at = [0.0] * servers
    now = waited = busy = sojourn = counted_from = 0.0
    warm_up = jobs // 10
    for number in range(jobs):
        now += chance.expovariate(rate)
        [kind] = chance.choices(kinds, weights)
        takes = _service_s(kind, chance)
        begins = max(now, heapq.heappop(free_at))
        heapq.heappush(free_at, begins + takes)
        if number < warm_up:
            counted_from = now
            continue
        waited += begins - now
        busy += takes
        sojourn += begins - now + takes
    lasted, counted = now - counted_from, jobs - warm_up
    return Seen(waited / counted, busy / (lasted * servers), sojourn / lasted)


def _service_s(kind: Work, chance: Random) -> float:
    """A time with the mean and variation of the kind (gamma), or the mean where it has none."""
    if not kind.cv2:
        return kind.mean_s
    shape = 1 / kind.cv2
    return chance.gammavariate(shape, kind.mean_s / shape)
