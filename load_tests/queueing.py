"""Queueing formulas: utilisation, waiting, streams in flight. Rates a second, times in seconds.

Sources: Erlang's C formula and the M/M/k queue (Kleinrock, Queueing Systems I, 1975, section 3.5);
Pollaczek and Khinchine's formula for M/G/1 (the same, section 5.6); Lee and Longton's approximation
for M/G/k (Lee and Longton, Queueing Processes Associated with Airline Passenger Check-in, 1959);
Little's law (Little, A Proof for the Queuing Formula L = λW, 1961).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """Jobs of one kind: so many a second, each of which takes a server `mean_s`.

    `cv2` is the squared coefficient of variation of that time: 0 when all jobs are alike, 1 when
    the time is exponential.
    """

    rate: float
    mean_s: float
    cv2: float = 0.0


def together(kinds: Iterable[Work]) -> Work:
    """Jobs of several kinds, as one kind: rates add up, moments are weighted by the rates."""
    known = [kind for kind in kinds if kind.rate > 0]
    rate = sum(kind.rate for kind in known)
    if not rate:
        return Work(0.0, 0.0)
    mean = sum(kind.rate * kind.mean_s for kind in known) / rate
    square = sum(kind.rate * (kind.cv2 + 1) * kind.mean_s**2 for kind in known) / rate
    return Work(rate, mean, square / mean**2 - 1)


def utilisation(work: Work, servers: int) -> float:
    """Share of the servers' time that is spent working: rate times mean time over their number."""
    return work.rate * work.mean_s / servers


def servers_for(work: Work, at_most: float) -> int:
    """The fewest servers whose utilisation is `at_most`; at least one."""
    return max(1, math.ceil(round(work.rate * work.mean_s / at_most, 9)))


def erlang_c(servers: int, offered: float) -> float:
    """Probability that a job has to wait in M/M/k; `offered` is λ·S, in erlangs.

    By the recursion of Erlang's B, which does not overflow: B(k) = aB(k-1) / (k + aB(k-1)).
    """
    if offered >= servers:
        return 1.0
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def wait_s(work: Work, servers: int = 1) -> float:
    """Mean time that a job waits before a server of k takes it, of one common queue.

    With one server it is exact (Pollaczek and Khinchine); with more, Lee and Longton's
    approximation: (1 + cv²)/2 times the waiting in M/M/k. Infinite when there is too much to do.
    """
    offered = work.rate * work.mean_s
    if offered >= servers:
        return math.inf
    exponential_s = erlang_c(servers, offered) * work.mean_s / (servers - offered)
    return (1 + work.cv2) / 2 * exponential_s


def in_flight(rate: float, lasts_s: float) -> float:
    """How many are under way at once: Little's law."""
    return rate * lasts_s
