"""How far behind the workers are, and the signs of life by which gateways learn it."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from service.core.unreadable import UNREADABLE
from service.events.log import EventReader, Lag, Position, Received, Topic
from service.store.engine import Store
from service.store.heartbeats import beat

_log = logging.getLogger(__name__)
BEAT_S: Final = 5.0
"""Between two signs of life: each is a transaction with its syncs."""
_COUNT_S: Final = 1.0
_COUNT_SHARE: Final = 0.02
"""The most of its time that a reader spends counting what it has yet to read."""


class _Dated(msgspec.Struct):
    at: float


_decoder: Final = msgspec.json.Decoder(_Dated)


class Progress:
    """An `EventReader` that knows how far behind it is: the lag may be asked from any thread."""

    def __init__(
        self,
        reader: EventReader,
        clock: Callable[[], float],
        on_count: Callable[[Topic, int], None],
    ) -> None:
        """Read from another reader; `on_count` hears now and then what is yet to be read."""
        self._reader = reader
        self._clock = clock
        self._on_count = on_count
        self._since = clock()
        self._next_count = 0.0

    def lag_s(self) -> float:
        """Return the age of the oldest record in hand; with none, the time since the last look.

        So a record that is long in the making shows, and so does a log that cannot be read.
        """
        return max(0.0, self._clock() - self._since)

    def poll(self, timeout_s: float) -> Sequence[Received]:
        """Return the next records; see `EventReader`."""
        records = self._reader.poll(timeout_s)
        now = self._clock()
        if records:
            self._since = min(_made_at(received, now) for received in records)
        elif getattr(self._reader, "connected", True):
            self._since = now
        self._count()
        return records

    def commit(self, positions: Iterable[Position]) -> None:
        """Acknowledge; see `EventReader`."""
        self._reader.commit(positions)

    def lag(self) -> Lag:
        """Count what is synced and not yet read."""
        return self._reader.lag()

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    def _count(self) -> None:
        started = time.monotonic()
        if started < self._next_count:
            return
        for topic, count in self._reader.lag().records.items():
            self._on_count(topic, count)
        took_s = time.monotonic() - started
        self._next_count = started + max(_COUNT_S, took_s / _COUNT_SHARE)


class Pulse:
    """Gives signs of life for the groups of one process, all in one transaction.

    It has a thread of its own, so that a batch that takes long, or that waits, does not look
    like a dead worker: how long it takes shows in the lag.
    """

    def __init__(
        self, store: Store, clock: Callable[[], float], interval_s: float = BEAT_S
    ) -> None:
        """Speak for nobody yet."""
        self._store = store
        self._clock = clock
        self._interval_s = interval_s
        self._progress: dict[str, Progress] = {}

    def add(self, worker: str, progress: Progress) -> None:
        """Speak for this worker too; before `run`."""
        self._progress[worker] = progress

    def run(self, stop: threading.Event) -> None:
        """Beat until told to stop; a store that cannot be used is tried again."""
        while not stop.is_set():
            try:
                self._beat({name: one.lag_s() for name, one in self._progress.items()})
            except SQLAlchemyError as error:
                _log.warning("no sign of life: %s", type(error).__name__)
            stop.wait(self._interval_s)

    def _beat(self, lags_s: Mapping[str, float]) -> None:
        now = self._clock()
        with self._store.begin() as connection:
            for worker, lag_s in lags_s.items():
                beat(connection, worker, now, lag_s)


def _made_at(received: Received, now: float) -> float:
    try:
        return _decoder.decode(received.record.body).at
    except UNREADABLE:
        return now
