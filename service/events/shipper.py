"""Moves records from the journal to where workers on other machines read them.

At least once, in order: a batch is read, sent again until all of it is acknowledged, and only
then acknowledged to the journal, which may drop it from that moment on.
"""

import random
import threading
from collections.abc import Sequence
from typing import Final, Protocol

from service.errors import ShipFailed
from service.events.log import EventReader, Position, Received

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0


class Sink(Protocol):
    """Takes records to their destination."""

    def ship(self, records: Sequence[Received]) -> None:
        """Return once every record is safe there.

        Raises:
            ShipFailed: send all of them again.
        """
        ...

    def close(self) -> None:
        """Let go of the destination."""
        ...


class Watcher(Protocol):
    """Is told what happens, to count it."""

    def on_shipped(self, records: Sequence[Received]) -> None:
        """These records are at the destination and acknowledged to the journal."""
        ...

    def on_error(self, reason: str) -> None:
        """An attempt failed; the records will be sent again."""
        ...


class Unwatched:
    """A watcher that counts nothing."""

    def on_shipped(self, records: Sequence[Received]) -> None:
        """Do nothing."""

    def on_error(self, reason: str) -> None:
        """Do nothing."""


class Shipper:
    """Reads, ships, acknowledges, until it is told to stop. Never skips, never gives up."""

    def __init__(
        self,
        reader: EventReader,
        sink: Sink,
        watcher: Watcher | None = None,
        *,
        poll_timeout_s: float = 0.5,
    ) -> None:
        """Take a reader of the journal, which is closed by whoever opened it, and a sink."""
        self._reader = reader
        self._sink = sink
        self._watcher = watcher or Unwatched()
        self._poll_timeout_s = poll_timeout_s
        self.connected = False
        """The last attempt succeeded."""

    def run(self, stop: threading.Event) -> None:
        """Ship until `stop` is set; what is unacknowledged then is shipped by the next run."""
        while not stop.is_set():
            records = self._reader.poll(self._poll_timeout_s)
            if records and self._ship(records, stop):
                self._reader.commit(last_positions(records))
                self._watcher.on_shipped(records)

    def _ship(self, records: Sequence[Received], stop: threading.Event) -> bool:
        failures = 0
        while not stop.is_set():
            try:
                self._sink.ship(records)
            except ShipFailed as error:
                self.connected = False
                self._watcher.on_error(error.reason)
                stop.wait(pause_s(failures, random.random()))  # noqa: S311 - only spreads load
                failures += 1
            else:
                self.connected = True
                return True
        return False


def pause_s(failures: int, chance: float) -> float:
    """Return how long to wait after so many failures in a row; `chance` is in [0, 1).

    The bound doubles from 50 ms to a second, and the pause lies in its upper half.
    """
    bound_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures, 16))
    return bound_s * (0.5 + chance / 2)


def last_positions(records: Sequence[Received]) -> list[Position]:
    """Return the last position in each (log, part), which stands for those before it."""
    last = {(one.position.log, one.position.part): one.position for one in records}
    return list(last.values())
