"""How the sender finds gateways, whichever way they are reached: `sockets` and `addresses`.

A search has a thread of its own, since looking up a name knows no deadline, and a host that is dead
answers nothing: what is told to gateways that live must not wait for that.
"""

import socket
import threading
import time
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Final, NamedTuple, Protocol

_SEARCH_S: Final = 1.0
"""A search begins nothing more after so long: those that it has met wait to be told who speaks."""


class Met(NamedTuple):
    """A connection to a gateway process."""

    boot: str
    """Its id, which is in the ids of its exchanges."""
    connection: socket.socket


class Place(Hashable, Protocol):
    """Where a gateway process may listen; what is equal is one place."""

    def meet(self) -> Met:
        """Connect.

        Raises:
            ConnectionRefusedError, FileNotFoundError: nobody listens there now.
            OSError: there is no talking to whoever is there, or nobody answers.
        """


class Way(Protocol):
    """Knows where to look for gateways."""

    def places(self) -> Iterable[Place]:
        """Return where gateways may be now."""


class Search(threading.Thread):
    """Looks once for gateways that are not known; what it found is to be had when it has ended."""

    def __init__(
        self, way: Way, known: Collection[Place], avoided_until: Mapping[Place, float]
    ) -> None:
        """Pass over what is known or to be avoided."""
        super().__init__(name="probe-search", daemon=True)
        self._way = way
        self._known = frozenset(known)
        self._avoided_until = avoided_until
        self.met: list[tuple[Place, Met]] = []
        self.failed: list[tuple[Place, OSError]] = []

    def run(self) -> None:
        """Search; whoever has failed longest ago, or never, comes first."""
        now, avoided = time.monotonic(), self._avoided_until
        for place in sorted(self._way.places(), key=lambda it: avoided.get(it, 0.0)):
            if place in self._known or avoided.get(place, 0.0) > now:
                continue
            try:
                self.met.append((place, place.meet()))
            except OSError as error:
                self.failed.append((place, error))
            if time.monotonic() > now + _SEARCH_S:
                return
