"""How long ago something was, for those who were not running all the while."""

import msgspec


class Moment(msgspec.Struct, frozen=True, array_like=True):
    """A time, by two clocks."""

    wall_s: float
    """Unix seconds. Somebody may have set this clock since."""
    boot: str
    """Names the start of the machine that `uptime_s` counts from, empty where nothing does."""
    uptime_s: float
    """Nobody can set this one."""


def elapsed_s(then: Moment, now: Moment) -> float:
    """Return the seconds from one moment to a later one: no fewer than can be told.

    Within one run of the machine that is what its uptime says, whatever was done to the clock on
    the wall. Across its start the machine is known to have run for its uptime, and a clock that
    shows less than it did was set back: by how much is as good a guess as any.
    """
    if then.boot and then.boot == now.boot and now.uptime_s >= then.uptime_s:
        return now.uptime_s - then.uptime_s
    return max(abs(now.wall_s - then.wall_s), now.uptime_s)
