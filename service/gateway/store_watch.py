"""What the store says, asked for in a thread of its own: a store that hangs keeps nobody else.

A gateway goes on with the last that it heard, knows how old that is, and keeps a copy of it to
start from while the store is away.
"""

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from service.core.directory import Snapshot
from service.core.moments import Moment
from service.errors import ConfigError
from service.store.copy import Heard, LocalCopy, this_moment
from service.store.engine import Store
from service.store.heartbeats import Heartbeat, read_heartbeats
from service.store.pepper import lacking_peppers
from service.store.redigest import Redigests
from service.store.snapshot import NO_SNAPSHOT, refreshed

_log = logging.getLogger(__name__)
SCREENER: Final = "screener"
_STOP_S: Final = 2.0
"""The longest wait for a look that is under way: it may be at a store that hangs."""


OnSnapshot = Callable[[Snapshot], None]


def _nothing(_snapshot: Snapshot) -> None: ...


@dataclass(frozen=True, slots=True)
class News:
    """What is known of the store; times are of the monotonic clock `ticks`."""

    snapshot: Snapshot = NO_SNAPSHOT
    heard_at: float | None = None
    """When the store was last heard of; None: never."""
    beat: Heartbeat | None = None
    """The screener's last sign of life, which travels through the store."""
    beat_at: float = 0.0

    def silent_s(self) -> float | None:
        """Return how long the screener had been silent when the store was last heard of."""
        if self.beat is None or self.heard_at is None:
            return None
        return self.heard_at - self.beat_at


class StoreWatch:
    """Keeps the news up to date, and the local copy. `news` is replaced whole, and never waits."""

    def __init__(  # noqa: PLR0913  (the store, and the clocks)
        self,
        store: Store,
        prepare: Callable[[bool], None],
        copy: LocalCopy,
        *,
        poll_s: float,
        peppers: Collection[str] | None = None,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.perf_counter,
        moment: Callable[[], Moment] = this_moment,
    ) -> None:
        """Know nothing yet.

        `prepare` is what must have been done once before the store is read. It is told whether the
        store may be a new one: where there is a copy of it, it is away if it cannot be found.
        `peppers` are the ids of those that keys are looked up under; None: whatever they are.
        """
        self.news = News()
        self._store = store
        self._prepare = prepare
        self._copy = copy
        self._poll_s = poll_s
        self._peppers = peppers
        self._clock = clock
        self._ticks = ticks
        self._moment = moment
        self._prepared = False
        self._away: str | None = None
        self._lacking: Sequence[str] = ()
        self._unkept: str | None = None
        self._on_snapshot: OnSnapshot = _nothing
        self._redigests: Redigests | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    def open(self) -> None:
        """Take up the local copy, then look for the first time.

        Raises:
            ConfigError: the store is there, and cannot be used with these settings.
        """
        kept = self._copy.load(self._moment())
        if kept is not None:
            self.news = self._remembered(kept.snapshot, kept.heard)
        try:
            self._look()
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever the driver raises: the store is away)
            self._note_away(error)

    def start(
        self,
        on_snapshot: OnSnapshot,
        redigests: Redigests | None = None,
        before: OnSnapshot = _nothing,
    ) -> None:
        """Look from now on; `on_snapshot` gets each snapshot, on this thread's event loop.

        `redigests` are keys that were used, to be stored under the newest pepper. `before` gets
        each snapshot first, where it may take long and holds nobody up, and raises nothing.
        """
        loop = asyncio.get_running_loop()

        def hand_over(snapshot: Snapshot) -> None:
            before(snapshot)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(on_snapshot, snapshot)

        before(self.news.snapshot)
        on_snapshot(self.news.snapshot)
        self._on_snapshot = hand_over
        self._redigests = redigests
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def look(self) -> None:
        """Ask the store once; one that is away is told once, and so is its return."""
        try:
            self._look()
            self._redigest()
        except Exception as error:  # noqa: BLE001  (whatever the driver raises: the store is away)
            self._note_away(error)
        self._keep()

    def _run(self) -> None:
        while not self._stop.wait(self._poll_s):
            self.look()

    def _look(self) -> None:
        asked = self._ticks()
        if not self._prepared:
            self._prepare(not self._copy.is_there())
            self._prepared = True
        with self._store.read() as connection:
            snapshot = refreshed(connection, self.news.snapshot, self._clock())
            beat = read_heartbeats(connection).get(SCREENER)
            known = self._peppers
            lacking = () if known is None else lacking_peppers(connection, known)
        is_new = snapshot is not self.news.snapshot
        self.news = replace(self._with(beat, asked), snapshot=snapshot, heard_at=asked)
        if is_new:
            self._on_snapshot(snapshot)
        self._note_lacking(lacking)
        if self._away is not None:
            _log.warning("the store is back")
            self._away = None

    def _redigest(self) -> None:
        if self._redigests is not None:
            self._redigests.flush(self._store)

    def _with(self, beat: Heartbeat | None, asked: float) -> News:
        """Return the news with a beat, which came after the store was heard of before.

        Its own clock tells when, if that is later: of the first one that is found nothing else.
        """
        news = self.news
        if beat is None or beat == news.beat:
            return replace(news, beat=beat)
        unseen_s = math.inf if news.heard_at is None else asked - news.heard_at
        return replace(news, beat=beat, beat_at=asked - min(unseen_s, abs(self._clock() - beat.at)))

    def _remembered(self, snapshot: Snapshot, heard: Heard) -> News:
        heard_at = self._ticks() - heard.age_s
        if heard.screener_silent_s is None:
            return News(snapshot, heard_at)
        beat = Heartbeat(heard.screener_beat_at, heard.screener_lag_s)
        return News(snapshot, heard_at, beat, heard_at - heard.screener_silent_s)

    def _keep(self) -> None:
        news = self.news
        if news.heard_at is None:
            return
        age_s, beat = self._ticks() - news.heard_at, news.beat or Heartbeat(0.0, 0.0)
        heard = Heard(self._moment(), age_s, news.silent_s(), beat.at, beat.lag_s)
        try:
            self._copy.save(news.snapshot, heard)
            self._unkept = None
        except Exception as error:  # noqa: BLE001  (without a copy the watch goes on)
            if self._unkept is None:
                _log.warning("the local copy of the store cannot be written: %s", error)
            self._unkept = str(error)

    def _note_lacking(self, peppers: Sequence[str]) -> None:
        """Tell once that keys may be stored under peppers that came after this process."""
        if peppers and peppers != self._lacking:
            _log.error(
                "keys may be stored under a pepper that this gateway does not hold (%s), and are "
                "refused: restart it",
                ", ".join(peppers),
            )
        self._lacking = peppers

    def _note_away(self, error: Exception) -> None:
        why = str(error) if isinstance(error, ConfigError) else type(error).__name__
        if why != self._away:
            _log.warning("the store cannot be read: %s", why)
        self._away = why
