"""What a fault is."""

from collections.abc import Callable
from dataclasses import dataclass

from load_tests.faults.stand import Stand

Play = Callable[[Stand, float], None]
"""Brings a fault about for so many seconds, and returns once it is over.

It raises AssertionError where the fault could not be brought about, so that no row says of a fault
which never was that it was survived.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table."""

    name: str
    stand: str
    what: str
    """What is done; `{seconds}` is for how long."""
    play: Play
    kills: bool = False
    """A process dies, and with it what its counters had not told yet."""
    bites: bool = False
    """Some request must fail: where none does, the fault was not there."""
