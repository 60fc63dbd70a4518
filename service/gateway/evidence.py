"""The journal as the event loop sees it: an append is a future."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

from service.errors import JournalBroken
from service.events.journal import Journal, Pending
from service.events.log import Durability, Position, Record
from service.telemetry.tally import HistogramTally


class _Waiter:
    """Who waits for a record, and since when."""

    __slots__ = ("future", "since")

    def __init__(self, future: asyncio.Future[Position], since: float) -> None:
        self.future = future
        self.since = since


class Evidence:
    """Appends to the journal from one event loop.

    What the loop appends in one of its rounds goes to the journal together at the end of the
    round: the write thread is woken once, and not while the loop is at work.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: HistogramTally) -> None:
        """Open nothing: `attach` brings the journal, which wants `announce` first."""
        self._loop = loop
        self._seconds = seconds
        self._journal: Journal | None = None
        self._round: list[Pending] = []

    def attach(self, journal: Journal) -> None:
        """Write to this journal from now on."""
        self._journal = journal

    @property
    def journal(self) -> Journal:
        """The journal that was attached."""
        if self._journal is None:
            raise RuntimeError("no journal is attached")
        return self._journal

    def append(self, record: Record, level: Durability, *, ends: bool) -> asyncio.Future[Position]:
        """Queue a record; the future is done once it has reached the level.

        Raises:
            JournalFull, JournalBroken: at once; or the future fails with them.
        """
        self.journal.check_room(record.size_bytes, ends=ends)
        future: asyncio.Future[Position] = self._loop.create_future()
        waiter = _Waiter(future, time.perf_counter())
        if not self._round:
            self._loop.call_soon(self.flush)
        self._round.append(Pending(record, level, ends, waiter))
        return future

    def flush(self) -> None:
        """Hand over what was appended in this round."""
        pendings, self._round = self._round, []
        if not pendings:
            return
        try:
            self.journal.put(pendings)
        except JournalBroken as error:
            for pending in pendings:
                pending.error = error
            self._resolve(pendings)

    def announce(self, decided: Sequence[Pending]) -> None:
        """Hand records that are decided to the loop. Called from the journal's threads."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._resolve, decided)

    def _resolve(self, decided: Sequence[Pending]) -> None:
        now = time.perf_counter()
        for pending in decided:
            waiter = pending.waiter
            if not isinstance(waiter, _Waiter):
                continue
            self._seconds.observe(now - waiter.since)
            if waiter.future.done():
                continue
            if pending.error is not None:
                waiter.future.set_exception(pending.error)
                waiter.future.exception()  # its owner may have gone: that is no surprise
            else:
                waiter.future.set_result(pending.position)  # type: ignore[arg-type]
