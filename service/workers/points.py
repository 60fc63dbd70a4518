"""The operating points that apply, as a worker knows them: those of the settings and the store's.

The store is asked in a thread of its own, so one that hangs keeps nobody: the last that was heard
stays, and what expires does so by this machine's clock.
"""

import logging
import math
import threading
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import select

from service.core.points import Count, tally
from service.core.screening import Point, unexpired
from service.errors import StoreUnavailable
from service.store.engine import Store
from service.store.points import active_points
from service.store.tables import meta

_log = logging.getLogger(__name__)
_NEVER: Final = ("", -1)


class PointWatch:
    """Keeps the points up to date. `current` never waits, and may be called by any thread."""

    def __init__(  # noqa: PLR0913  (the store, and what there is beside it)
        self,
        store: Store,
        fixed: Sequence[Point],
        *,
        clock: Callable[[], float],
        count: Count,
        can_apply: Callable[[Point], bool],
        poll_s: float,
    ) -> None:
        """Know the points of the settings alone, which are not enough to go by."""
        self._store = store
        self._fixed = fixed
        self._clock = clock
        self._count = count
        self._can_apply = can_apply
        self._poll_s = poll_s
        self._known = _NEVER
        self._of_store: Sequence[Point] = ()
        self._now: tuple[tuple[Point, ...], float] = ((), -math.inf)
        """The points that apply, and until when they do."""
        self._away: str | None = None
        self._renewing = threading.Lock()

    def current(self) -> Sequence[Point]:
        """Return the points that apply now.

        Raises:
            StoreUnavailable: the store was not heard of since the start, so what would cross its
                points cannot be told: wait.
        """
        if self._known is _NEVER:
            raise StoreUnavailable("the operating points of the store are not known yet")
        points, until = self._now
        return points if self._clock() < until else self._renew()

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        while not stop.wait(self._poll_s):
            self.look()

    def look(self) -> None:
        """Ask the store once; one that is away is told once, and so is its return."""
        try:
            self._look()
        except Exception as error:  # noqa: BLE001  (it is away, or holds what nobody can read)
            self._note_away(type(error).__name__)
            return
        if self._away is not None:
            _log.warning("the operating points are up to date again")
            self._away = None

    def _look(self) -> None:
        with self._store.read() as connection:
            epoch, revision = connection.execute(select(meta.c.epoch, meta.c.revision)).one()
            if (epoch, revision) == self._known:
                return
            found = [it.to_point() for it in active_points(connection)]
        if found != self._of_store or self._known is _NEVER:
            self._of_store = found
            self._renew()
        self._known = (epoch, revision)

    def _renew(self) -> Sequence[Point]:
        with self._renewing:  # else one that began with older points might end last
            now = self._clock()
            points = [*self._fixed, *self._of_store]
            self._now = unexpired(filter(self._can_apply, points), now)
            for counted in tally(points, now, self._can_apply):
                self._count(*counted)
            return self._now[0]

    def _note_away(self, why: str) -> None:
        if why != self._away:
            last = "none is known" if self._known is _NEVER else "the last that are known apply"
            _log.warning("the operating points of the store cannot be read (%s): %s", why, last)
        self._away = why
