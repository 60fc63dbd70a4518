"""The journal as the event loop sees it: an append is a future."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from service.errors import EventLogError, JournalBroken
from service.events.journal import Journal, Pending
from service.events.log import Durability, Position, Record
from service.telemetry.tally import HistogramTally

_DRAIN_STEP_S: Final = 0.002
_OWED_BYTES: Final = 64 * 1024 * 1024
_RETRY_S: Final = 1.0

OnDecided = Callable[[EventLogError | None], None]
"""Told, on the loop, that a record is kept (None), or why it is not."""


class _Waiter(msgspec.Struct, eq=False):
    """Who waits for a record, and since when."""

    future: asyncio.Future[Position]
    since: float
    on_decided: OnDecided | None


class _Owed(msgspec.Struct, eq=False):
    """The end of an exchange that the disk did not take."""

    record: Record
    level: Durability
    on_decided: OnDecided


class Evidence:
    """Appends to the journal from one event loop.

    What the loop appends in one of its rounds goes to the journal together at the end of the
    round: the write thread is woken once, and not while the loop is at work. Written by the loop
    itself, records would cost 15 of 150 µs less for a request; but then a disk that hangs, or a
    file system that is frozen for a snapshot, would hang every stream.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: HistogramTally) -> None:
        """Open nothing: `attach` brings the journal, which wants `announce` first."""
        self._loop = loop
        self._seconds = seconds
        self._journal: Journal | None = None
        self._round: list[Pending] = []
        self._round_bytes = 0
        self._owed: list[_Owed] = []
        self._owed_bytes = 0
        self.undecided = 0
        """How many records are on their way."""

    def attach(self, journal: Journal) -> None:
        """Write to this journal from now on."""
        self._journal = journal

    @property
    def journal(self) -> Journal:
        """The journal that was attached."""
        if self._journal is None:
            raise RuntimeError("no journal is attached")
        return self._journal

    def append(
        self, record: Record, level: Durability, *, ends: bool, on_decided: OnDecided | None = None
    ) -> asyncio.Future[Position]:
        """Queue a record; the future is done once it has reached the level.

        `on_decided` is told once that is decided, also if the future was cancelled.

        Raises:
            JournalFull, JournalBroken: at once, unless `ends`; or the future fails with them.
        """
        size_bytes = self._round_bytes + record.size_bytes
        if not ends:
            self.journal.check_room(size_bytes, ends=False)
        self._round_bytes = size_bytes
        future: asyncio.Future[Position] = self._loop.create_future()
        waiter = _Waiter(future, time.perf_counter(), on_decided)
        if not self._round:
            self._loop.call_soon(self.flush)
        self._round.append(Pending(record, level, ends, waiter))
        self.undecided += 1
        return future

    def flush(self) -> None:
        """Hand over what was appended in this round."""
        pendings, self._round = self._round, []
        size_bytes, self._round_bytes = self._round_bytes, 0
        if not pendings:
            return
        try:
            self.journal.put(pendings, size_bytes)
        except JournalBroken as error:
            for pending in pendings:
                pending.error = error
            self._resolve(pendings)

    def owe(self, record: Record, level: Durability, on_decided: OnDecided) -> None:
        """Append the end of an exchange once the full disk has room again.

        What is too much to be held until then is left to the next start, which records that the
        exchange was interrupted.
        """
        if self._owed_bytes + record.size_bytes > _OWED_BYTES:
            return
        if not self._owed:
            self._loop.call_later(_RETRY_S, self._pay)
        self._owed.append(_Owed(record, level, on_decided))
        self._owed_bytes += record.size_bytes

    def _pay(self) -> None:
        if not self.journal.has_room():
            self._loop.call_later(_RETRY_S, self._pay)
            return
        owed, self._owed, self._owed_bytes = self._owed, [], 0
        for one in owed:
            self.append(one.record, one.level, ends=True, on_decided=one.on_decided)

    def announce(self, decided: Sequence[Pending]) -> None:
        """Hand records that are decided to the loop. Called from the journal's threads."""
        try:
            self._loop.call_soon_threadsafe(self._resolve, decided)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    async def drain(self, timeout_s: float) -> None:
        """Wait, if not for too long, until nothing is undecided."""
        end = self._loop.time() + timeout_s
        while self.undecided and self._loop.time() < end:  # noqa: ASYNC110  (an event costs each request)
            await asyncio.sleep(_DRAIN_STEP_S)

    def _resolve(self, decided: Sequence[Pending]) -> None:
        now = time.perf_counter()
        for pending in decided:
            waiter = pending.waiter
            if isinstance(waiter, _Waiter):  # else it was appended past this object
                self.undecided -= 1
                self._seconds.observe(now - waiter.since)
                _settle(waiter, pending)


def _settle(waiter: _Waiter, pending: Pending) -> None:
    future, error = waiter.future, pending.error
    if not future.done():
        if error is None:
            future.set_result(pending.position)  # type: ignore[arg-type]  # it has one
        else:
            future.set_exception(error)
            future.exception()  # its owner may have gone: that is no surprise
    if waiter.on_decided is not None:
        waiter.on_decided(error)
