"""Which replica of an upstream takes a request, and when one is left out.

Requests whose prompts begin alike go to one replica, whose prefix cache then holds that
beginning, as long as it is not much more loaded than the least loaded one: rendezvous hashing
(Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998) with a bound on
the load (in the way of Mirrokni et al., "Consistent Hashing with Bounded Loads", 2018).

A replica that fails several times in a row is ejected for a time that doubles. After it one
request is its trial. What a caller can cause by itself, such as a slow or a large answer, is no
failure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from zlib import crc32

_WORD: Final = 2**64 - 1
_MAX_DOUBLINGS: Final = 30


class Fault(StrEnum):
    """How a replica failed; the names are metric labels."""

    UNREACHABLE = "unreachable"
    """No connection could be made, or a kept one was closed."""
    CLOSED = "closed"
    """It closed the connection before or within an answer, or what came was no HTTP."""
    STATUS = "status"
    """It answered with 5xx."""
    HEALTH = "health"
    """Its /health gave no answer, or 5xx."""


_SEEN_BY_HEALTH: Final = frozenset({Fault.UNREACHABLE, Fault.HEALTH})
"""The faults that a good answer of /health proves to be over."""


@dataclass(frozen=True, slots=True)
class EjectionPolicy:
    """When and for how long a replica is left out."""

    after_failures: int
    """In a row."""
    first_s: float
    """The first ejection; each further one takes twice as long as the one before."""
    longest_s: float


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of a replica; times are of one monotonic clock, in seconds."""

    failures: int = 0
    """In a row."""
    ejections: int = 0
    """Since it was last up; 0: it is up."""
    ejected_until: float = -math.inf
    is_on_trial: bool = False
    """A request is on its way that tells whether it is up; no other is sent before the time."""
    failed_at: float = -math.inf
    fault: Fault | None = None
    """The last one."""


HEALTHY: Final = Health()


@dataclass(slots=True, eq=False)
class ReplicaState:
    """A replica as it is chosen by: the shell counts, and keeps what the functions below return."""

    seed: int
    """Of its name, see `digest`."""
    in_flight: int = 0
    health: Health = HEALTHY


def failed(health: Health, fault: Fault, now: float, policy: EjectionPolicy) -> Health:
    """Return the health after a failure. While it is ejected others do not prolong that."""
    if now < health.ejected_until and not health.is_on_trial:
        return replace(health, failed_at=now, fault=fault)
    failures = health.failures + 1
    if not health.ejections and failures < policy.after_failures:
        return Health(failures, failed_at=now, fault=fault)
    until = now + _pause_s(health.ejections, policy)
    return Health(failures, health.ejections + 1, until, failed_at=now, fault=fault)


def answered(health: Health, now: float) -> Health:
    """Return the health after the head of a good answer came: a trial is passed."""
    return HEALTHY if health.ejections and _may_return(health, now) else health


def completed(health: Health, now: float) -> Health:
    """Return the health after a good answer ended well: no failures in a row any more."""
    return HEALTHY if _may_return(health, now) else health


def checked(health: Health) -> Health:
    """Return the health after /health answered well."""
    return HEALTHY if health.fault in _SEEN_BY_HEALTH else health


def tried(health: Health, now: float, policy: EjectionPolicy) -> Health:
    """Return the health once a request is sent to a replica: if it was ejected, that is a trial."""
    if not health.ejections:
        return health
    until = now + _pause_s(health.ejections - 1, policy)
    return replace(health, is_on_trial=True, ejected_until=until)


def _may_return(health: Health, now: float) -> bool:
    return health.is_on_trial or now >= health.ejected_until


def _pause_s(ejections: int, policy: EjectionPolicy) -> float:
    return min(policy.longest_s, policy.first_s * 2.0 ** min(ejections, _MAX_DOUBLINGS))


def digest(beginning: bytes | memoryview) -> int:
    """Return 32 bits of the bytes that are to be alike for one replica, or of its name.

    Nothing rests on their being hard to hit: who wants a replica can as well repeat a prompt. A
    cryptographic hash of 1 KiB costs 2 to 5 µs, this 0.5.
    """
    return crc32(beginning)


def choose(  # noqa: PLR0913  (what a choice depends on)
    replicas: Sequence[ReplicaState],
    now: float,
    *,
    affinity: int | None,
    tie: int,
    slack: int,
    without: int | None = None,
) -> int:
    """Return the index of the replica that takes a request.

    If all are ejected it is the one that failed least recently: trying beats refusing.

    Args:
        replicas: all of the upstream; at least one besides `without`.
        now: on the clock of their healths.
        affinity: the digest of the prompt's beginning; None: the least loaded takes it.
        tie: which of several equally good ones comes first, modulo their number.
        slack: how many more requests in flight than the least loaded one a replica may come to
            have for the sake of affinity; at least 1.
        without: the index of one that is not to be chosen.
    """
    up = [
        index
        for index, it in enumerate(replicas)
        if it.health.ejected_until <= now and index != without
    ]
    if not up:
        return _least_recently_failed(replicas, tie, without)
    loads = [replicas[index].in_flight for index in up]
    least = min(loads)
    if affinity is None:
        near = [index for index, load in zip(up, loads, strict=True) if load == least]
        return near[tie % len(near)]
    bound = least + slack
    near = [index for index, load in zip(up, loads, strict=True) if load < bound]
    weights = [_weight(affinity, replicas[index].seed) for index in near]
    return near[weights.index(max(weights))]


def _least_recently_failed(replicas: Sequence[ReplicaState], tie: int, without: int | None) -> int:
    others = [index for index in range(len(replicas)) if index != without]
    longest_ago = min(replicas[index].health.failed_at for index in others)
    oldest = [index for index in others if replicas[index].health.failed_at == longest_ago]
    return oldest[tie % len(oldest)]


def _weight(affinity: int, seed: int) -> int:
    """Mix two words into one: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    x = affinity ^ seed
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _WORD
    return x ^ (x >> 31)
