"""The exchanges of a journal that were opened and not closed."""

import threading
from collections.abc import Iterable

from service.events.journal.pending import Pending
from service.events.journal.segment import OpenExchange
from service.events.log import Received


class OpenExchanges:
    """Follows what is written; any thread may ask."""

    def __init__(self, left_open: Iterable[OpenExchange]) -> None:
        """Start with those that a journal was left with."""
        self._lock = threading.Lock()
        self._open = {one.id: (one.position, one.body) for one in left_open}

    def note(self, written: Iterable[Pending | Received]) -> None:
        """Follow what was written; each has its position."""
        with self._lock:
            for one in written:
                record, position = one.record, one.position
                if record.kind == "opened" and position is not None:
                    self._open[record.id] = (position, record.body)
                elif record.kind == "closed":
                    self._open.pop(record.id, None)

    def list(self) -> list[OpenExchange]:
        """List the exchanges that are open now."""
        with self._lock:
            return [
                OpenExchange(id_, *place_and_body) for id_, place_and_body in self._open.items()
            ]

    def oldest_segment(self) -> int:
        """Return the first segment in which one of them was opened; huge if there is none."""
        with self._lock:
            return min((position.part for position, _ in self._open.values()), default=2**63)
