"""How much at once one gateway process takes: connections in all, requests of one key."""

from dataclasses import dataclass
from typing import Final

from service.core.limits import has_room
from service.errors import RateLimitExceeded, TooManyConnections
from service.gateway.http_fields import STATUS_LINES, render_headers
from service.gateway.problems import error_body, error_headers, problem_of
from service.telemetry.tally import CounterTally


def _answer_of(error: Exception) -> bytes:
    body = error_body(error)
    fields = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    head = render_headers([*error_headers(error), *fields])
    return STATUS_LINES[problem_of(error).status] + head + b"\r\n" + body


TURNED_AWAY: Final = _answer_of(TooManyConnections("The gateway has too many connections."))
"""What a connection over the limit is told before it has said anything."""


@dataclass(frozen=True, slots=True)
class ConnectionCap:
    """The most connections that may be open."""

    limit: int
    turned_away: CounterTally

    def admits(self, connections: int) -> bool:
        """Say whether a new connection may stay, counting those that may not.

        `connections` are open, the new one among them.
        """
        if has_room(connections - 1, self.limit):
            return True
        self.turned_away.total += 1
        return False


class KeysInFlight:
    """Counts each key's requests in flight."""

    def __init__(self, limit: int | None, limited: CounterTally) -> None:
        """Let `limit` be in flight for each key; None: as many as may come."""
        self._limit = limit
        self._limited = limited
        self._counts: dict[str, int] = {}

    def enter(self, key: str) -> str | None:
        """Let a key's request in; return what `leave` is to be given in the end.

        Raises:
            RateLimitExceeded: the key has too many in flight.
        """
        if self._limit is None:
            return None
        count = self._counts.get(key, 0)
        if not has_room(count, self._limit):
            self._limited.total += 1
            raise RateLimitExceeded(f"The key has {count} requests in flight, which is its limit.")
        self._counts[key] = count + 1
        return key

    def leave(self, entered: str | None) -> None:
        """Note the end of a request that was let in."""
        if entered is None:
            return
        count = self._counts[entered] - 1
        if count:
            self._counts[entered] = count
        else:
            del self._counts[entered]
