"""Which events were counted before, also by a process that was killed, or by another.

A reader that starts again reads more than it has yet to count. How far the counters got is kept
in the store just before they move: what lies between is a moment, not a turn.
"""

from service.events.log import Position
from service.store.counted import CountedTo, Part, find_counted, keep_counted
from service.store.engine import Store


class Counted:
    """What was counted before this process came to it, and what it has read since."""

    def __init__(self, store: Store) -> None:
        """Have read nothing."""
        self._store = store
        self._before: dict[Part, CountedTo | None] = {}
        self._read: dict[Part, CountedTo] = {}
        self._unkept: set[Part] = set()

    def note(self, position: Position, at: float) -> bool:
        """Take note of an event that was read; return whether it is one that is yet to be counted.

        A log that was taken away and begun anew has small offsets again, but later times.
        """
        part = position.log, position.part
        if part not in self._before:
            with self._store.read() as connection:
                self._before[part] = find_counted(connection, part)
        before = self._before[part]
        if before is not None and position.offset <= before.last and at <= before.latest_at:
            return False
        read = self._read.get(part)
        latest_at = at if read is None else max(at, read.latest_at)
        self._read[part] = CountedTo(position.offset, latest_at)
        self._unkept.add(part)
        return True

    def keep(self) -> None:
        """Keep that all that was noted is counted."""
        if not self._unkept:
            return
        with self._store.begin() as connection:
            keep_counted(connection, {part: self._read[part] for part in self._unkept})
        self._unkept.clear()
